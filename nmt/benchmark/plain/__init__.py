"""Textbook implementations to measure against: the classes of `nmt.models`, with the same names, sizes and arguments.

They keep the same contract, so the same batches train them and the same search decodes with them. Nothing in them is
written for speed. Only the usual parts exist: LSTM cells, three scores, and attention to the whole source.
"""

from nmt.benchmark.plain.decoder_only import DecoderOnly, PrefixLM
from nmt.benchmark.plain.recurrent import AdditiveScore, BahdanauRNN, DotScore, GeneralScore, LuongRNN, PlainRNN
from nmt.benchmark.plain.transformer import Transformer
from nmt.models import GlobalSpan, LSTMCell  # they compute nothing here, but are arguments of the classes

__all__ = [
    "AdditiveScore",
    "BahdanauRNN",
    "DecoderOnly",
    "DotScore",
    "GeneralScore",
    "GlobalSpan",
    "LSTMCell",
    "LuongRNN",
    "PlainRNN",
    "PrefixLM",
    "Transformer",
]
