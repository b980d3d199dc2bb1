"""The architectures, all behind one contract.

In reading order:

    seq2seq.py       the contract: what a trainer, a search or a report may ask of any model
    embedding.py     from piece ids to vectors and back: embeddings, the output layer
    positions.py     how a Transformer knows the order of its inputs
    attention/       scores of the recurrent models, multi-head attention of the Transformer
    recurrent/       LSTM encoder-decoders: without attention, with Bahdanau's and with Luong's
    transformer/     the Transformer, its decoding step and its key/value cache
    ensemble.py      several models that translate together
"""

from nmt.models.attention import AdditiveScore, DotScore, GeneralScore, SparseAttention
from nmt.models.positions import (
    ALiBiPositions,
    LearnedPositions,
    RelativePositions,
    RotaryPositions,
    SinusoidalPositions,
)
from nmt.models.recurrent import LSTM, BahdanauLSTM, LuongLSTM
from nmt.models.seq2seq import Seq2Seq
from nmt.models.transformer import LinearTransformer, Transformer

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
    "Seq2Seq",
    "SinusoidalPositions",
    "SparseAttention",
    "Transformer",
]
