"""The architectures, all behind one contract.

In reading order:

    seq2seq.py       the contract: what a trainer, a search or a report may ask of any model
    embedding.py     from piece ids to vectors and back: embeddings, positions, the output layer
    attention/       scores of the recurrent models, multi-head attention of the Transformer
    recurrent/       LSTM encoder-decoders: without attention, with Bahdanau's and with Luong's
    transformer/     the Transformer, its decoding step and its key/value cache
    ensemble.py      several models that translate together
"""

from nmt.models.attention import AdditiveScore, DotScore, GeneralScore
from nmt.models.recurrent import LSTM, BahdanauLSTM, LuongLSTM
from nmt.models.seq2seq import Seq2Seq
from nmt.models.transformer import PictureTransformer, Transformer

__all__ = [
    "LSTM",
    "AdditiveScore",
    "BahdanauLSTM",
    "DotScore",
    "GeneralScore",
    "LuongLSTM",
    "PictureTransformer",
    "Seq2Seq",
    "Transformer",
]
