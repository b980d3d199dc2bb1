"""The architectures, all behind one contract.

In reading order:

    seq2seq.py       the contract: what a trainer, a search or a report may ask of any model
    embedding.py     from piece ids to vectors and back: embeddings, positions, the output layer
    attention/       scores of the recurrent models, multi-head attention of the Transformer
    recurrent/       recurrent encoder-decoders: without attention, with Bahdanau's and with Luong's
    transformer/     the Transformer, its decoding step and its key/value cache
    decoder_only/    source and target in one stack of self-attention, causal or with a bidirectional source
    ensemble.py      several models that translate together
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
)
from nmt.models.decoder_only import DecoderOnly, PrefixLM
from nmt.models.recurrent import BahdanauRNN, GRUCell, LSTMCell, LuongRNN, PlainRNN
from nmt.models.seq2seq import Seq2Seq
from nmt.models.transformer import PictureTransformer, Transformer

__all__ = [
    "AdditiveScore",
    "BahdanauRNN",
    "CoverageScore",
    "DecoderOnly",
    "DotScore",
    "GRUCell",
    "GeneralScore",
    "GlobalSpan",
    "LSTMCell",
    "LuongRNN",
    "MonotonicSpan",
    "MultiHeadAdditiveScore",
    "PictureTransformer",
    "PlainRNN",
    "PredictiveSpan",
    "PrefixLM",
    "Seq2Seq",
    "Transformer",
]
