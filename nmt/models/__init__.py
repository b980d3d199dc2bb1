"""The architectures, all behind one contract.

In reading order:

    seq2seq.py       the contract: what a trainer, a search or a report may ask of any model
    embedding.py     from piece ids to vectors and back: embeddings, the output layer
    positions.py     how a Transformer knows the order of its inputs
    attention/       scores of the recurrent models, multi-head attention of the Transformer
    recurrent/       recurrent encoder-decoders: without attention, with Bahdanau's and with Luong's
    transformer/     the Transformer, its decoding step and its key/value cache
    decoder_only/    source and target in one stack of self-attention, causal or with a bidirectional source
    ensemble.py      several models that translate together
    heads.py         names attention heads, and silences them
"""

from nmt.models.attention import (
    AdditiveScore,
    CoverageScore,
    DotScore,
    GeneralScore,
    GlobalSpan,
    MonotonicSpan,
    MultiHeadAdditiveScore,
    PredictiveSpan,
    SparseAttention,
)
from nmt.models.decoder_only import DecoderOnly, PrefixLM
from nmt.models.positions import (
    ALiBiPositions,
    LearnedPositions,
    RelativePositions,
    RotaryPositions,
    SinusoidalPositions,
)
from nmt.models.recurrent import BahdanauRNN, GRUCell, LSTMCell, LuongRNN, PlainRNN
from nmt.models.seq2seq import Seq2Seq
from nmt.models.transformer import LinearTransformer, PictureTransformer, Transformer

__all__ = [
    "ALiBiPositions",
    "AdditiveScore",
    "BahdanauRNN",
    "CoverageScore",
    "DecoderOnly",
    "DotScore",
    "GRUCell",
    "GeneralScore",
    "GlobalSpan",
    "LSTMCell",
    "LearnedPositions",
    "LinearTransformer",
    "LuongRNN",
    "MonotonicSpan",
    "MultiHeadAdditiveScore",
    "PictureTransformer",
    "PlainRNN",
    "PredictiveSpan",
    "PrefixLM",
    "RelativePositions",
    "RotaryPositions",
    "Seq2Seq",
    "SinusoidalPositions",
    "SparseAttention",
    "Transformer",
]
