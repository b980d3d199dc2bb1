"""Textbook implementations to measure against: the classes of `nmt.models`, with the same names, sizes and arguments.

They keep the same contract, so the same batches train them and the same search decodes with them. Nothing in them is
written for speed. Only the usual parts exist: LSTM cells, three scores, and attention to the whole source.
"""

from nmt.benchmark.plain.decoder_only import DecoderOnly, PrefixLM
from nmt.benchmark.plain.recurrent import AdditiveScore, BahdanauRNN, DotScore, GeneralScore, LuongRNN, PlainRNN
from nmt.benchmark.plain.transformer import LinearTransformer, Transformer
from nmt.models import (  # they compute nothing here, or the same, but are arguments of the classes
    ALiBiPositions,
    GlobalSpan,
    LearnedPositions,
    LSTMCell,
    RelativePositions,
    RotaryPositions,
    SinusoidalPositions,
    SparseAttention,
)

__all__ = [
    "ALiBiPositions",
    "AdditiveScore",
    "BahdanauRNN",
    "DecoderOnly",
    "DotScore",
    "GeneralScore",
    "GlobalSpan",
    "LSTMCell",
    "LearnedPositions",
    "LinearTransformer",
    "LuongRNN",
    "PlainRNN",
    "PrefixLM",
    "RelativePositions",
    "RotaryPositions",
    "SinusoidalPositions",
    "SparseAttention",
    "Transformer",
]
