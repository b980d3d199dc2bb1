"""Textbook implementations to measure against: the classes of `nmt.models`, with the same names, sizes and arguments.

They keep the same contract, so the same batches train them and the same search decodes with them. Nothing in them is
written for speed.
"""

from nmt.benchmark.plain.recurrent import LSTM, AdditiveScore, BahdanauLSTM, DotScore, GeneralScore, LuongLSTM
from nmt.benchmark.plain.transformer import LinearTransformer, Transformer
from nmt.models.attention import SparseAttention
from nmt.models.positions import (
    ALiBiPositions,
    LearnedPositions,
    RelativePositions,
    RotaryPositions,
    SinusoidalPositions,
)

__all__ = [
    "LSTM",
    "ALiBiPositions",
    "AdditiveScore",
    "BahdanauLSTM",
    "DotScore",
    "GeneralScore",
    "LearnedPositions",
    "LinearTransformer",
    "LuongLSTM",
    "RelativePositions",
    "RotaryPositions",
    "SinusoidalPositions",
    "SparseAttention",
    "Transformer",
]
