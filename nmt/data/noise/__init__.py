"""Noise for pre-training: hides a part of a text, which a model then learns to restore.

    text                 A man in a red shirt is sleeping.
    masked pieces        A man <mask> a red shirt garden sleeping.     predict "in" and "is", each at its own position
    text infilling       A man <mask> shirt is <mask>                  write the whole text

masked_pieces.py    trains an encoder (BERT)
text_infilling.py   trains an encoder and a decoder (BART, mBART)
noise.py            what both have in common

The training pairs are (text, text), and the noise is applied to the sources when a batch is loaded. Like sampled
segmentations, it is a function of one 64-bit seed per text, so a resumed run and the processes of a distributed run
hide the same pieces.
"""

from nmt.data.noise.masked_pieces import MaskedPieces
from nmt.data.noise.noise import Noise
from nmt.data.noise.text_infilling import TextInfilling

__all__ = ["MaskedPieces", "Noise", "TextInfilling"]
