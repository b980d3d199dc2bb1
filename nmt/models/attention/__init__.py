"""Attention: a query is compared with every position; the result is the average of the values, weighted by the match.

    score_j = score(query, key_j)           how well position j matches: dot, general, additive, scaled dot product
    weights = softmax_j(score)              how much the model attends to position j
    context = Σ_j weights_j · value_j       the weighted average of the values

`scores` holds the attention of the recurrent models and `spans` where they may attend. `multi_head` holds the attention
of the Transformer, and `kernels` the ways to compute it; `sparse` and `linear` are for long sequences. `record`
collects weights for callers that ask for them.
"""

from nmt.models.attention.kernels import MIN_KEY_POSITIONS, attention_with_weights, fused_attention, step_attention
from nmt.models.attention.multi_head import MultiHeadAttention
from nmt.models.attention.record import KINDS, NO_RECORD, AttentionRecord, Kind
from nmt.models.attention.scores import (
    AdditiveScore,
    CoverageScore,
    DotScore,
    GeneralScore,
    MultiHeadAdditiveScore,
    Score,
    attend,
)
from nmt.models.attention.spans import GlobalSpan, MonotonicSpan, PredictiveSpan, Span
from nmt.models.attention.sparse import SparseAttention, largest_window

__all__ = [
    "KINDS",
    "MIN_KEY_POSITIONS",
    "NO_RECORD",
    "AdditiveScore",
    "AttentionRecord",
    "CoverageScore",
    "DotScore",
    "GeneralScore",
    "GlobalSpan",
    "Kind",
    "MonotonicSpan",
    "MultiHeadAdditiveScore",
    "MultiHeadAttention",
    "PredictiveSpan",
    "Score",
    "Span",
    "SparseAttention",
    "attend",
    "attention_with_weights",
    "fused_attention",
    "largest_window",
    "step_attention",
]
