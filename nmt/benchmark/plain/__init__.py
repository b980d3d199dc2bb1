"""Textbook implementations to measure against: the classes of `nmt.models`, with the same names, sizes and arguments.

They keep the same contract, so the same batches train them and the same search decodes with them. Nothing in them is
written for speed.
"""

from nmt.benchmark.plain.decoder_only import DecoderOnly, PrefixLM
from nmt.benchmark.plain.recurrent import LSTM, AdditiveScore, BahdanauLSTM, DotScore, GeneralScore, LuongLSTM
from nmt.benchmark.plain.transformer import Transformer

__all__ = [
    "LSTM",
    "AdditiveScore",
    "BahdanauLSTM",
    "DecoderOnly",
    "DotScore",
    "GeneralScore",
    "LuongLSTM",
    "PrefixLM",
    "Transformer",
]
