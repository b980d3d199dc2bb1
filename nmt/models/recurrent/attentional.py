"""What the recurrent architectures with attention share: the memory, and how a decoder attends to it.

Shapes: S source positions, D hidden size, H heads; A sentences and K queries of each: the hypotheses of a decoding
step, one target position in a training loop, or all target positions at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from nmt.checks import check_probabilities
from nmt.errors import UserError
from nmt.models.attention import Kind, MultiHeadAdditiveScore, Score, Span, attend
from nmt.models.dropout import Dropout
from nmt.models.recurrent.base import RecurrentDecoder, RecurrentSeq2Seq
from nmt.models.recurrent.cells import RecurrentState
from nmt.models.seq2seq import AttentionHeads, Memory, State, StateT


@dataclass(frozen=True)
class AttentionMemory(Memory):
    """The encoded source for a decoder with attention.

    Attributes:
        values: what attention averages: the encoder's outputs h_j, (A, S, D), or what each head makes of them,
            (A, H, S, D / H).
        keys: the score's keys of these outputs, which it compares with the queries, (A, S, ·).
        initial_state: s_0, the decoder's state before the first position.
    """

    values: Tensor
    keys: Tensor
    initial_state: RecurrentState


@dataclass(frozen=True)
class AttentionHistory(State):
    """What attention has to know of the target positions before.

    Attributes:
        position: t, (A·K,), the number of positions before; None if the span does not depend on it.
        coverage: Σ_t' a_t', (A·K, S), the sum of the weights before, at least in float32, since a sum in bfloat16 soon
            stops growing; None if the score does not depend on it.
    """

    position: Tensor | None
    coverage: Tensor | None

    def after(self, weights: Tensor) -> Self:
        """The history after a position with these attention weights (A·K, S)."""
        return type(self)(
            position=None if self.position is None else self.position + 1,
            coverage=None if self.coverage is None else self.coverage + weights,
        )


@dataclass(frozen=True)
class AttentionState(State):
    """The state of a decoder with attention: of its cells, and the history of its attention."""

    recurrent: RecurrentState
    history: AttentionHistory


class AttentionDecoder(RecurrentDecoder[AttentionMemory, StateT]):
    """A decoder that attends to the source: `self.score` compares, `self.span` says where it may attend."""

    score: Score
    span: Span

    def start_history(self, memory: AttentionMemory) -> AttentionHistory:
        """The history before the first position."""
        mask = memory.source_mask
        sums_format = torch.promote_types(memory.values.dtype, torch.float32)
        return AttentionHistory(
            position=mask.new_zeros(mask.size(0), dtype=torch.int64) if self.span.uses_position else None,  # (A,)
            coverage=mask.new_zeros(mask.shape, dtype=sums_format) if self.score.uses_coverage else None,  # (A, S)
        )

    def attend(self, query: Tensor, memory: AttentionMemory, history: AttentionHistory) -> tuple[Tensor, Tensor]:
        """Context vectors (A·K, D) and weights (A·K, S) of queries (A·K, D), K of each sentence.

        With several heads, the weights are (A·K, H, S).
        """

        def by_sentence(rows: Tensor) -> Tensor:
            return rows.view(memory.num_sentences, -1, *rows.shape[1:])  # (A·K, …) -> (A, K, …)

        # The K queries of a sentence share its keys and values.
        queries = by_sentence(query)  # (A, K, D)
        if history.coverage is None:
            scores = self.score(queries, memory.keys)  # (A, K, S), with heads (A, H, K, S)
        else:
            scores = self.score(queries, memory.keys, by_sentence(history.coverage))  # (A, K, S)
        position = None if history.position is None else by_sentence(history.position)  # (A, K)
        scores = self.span(scores, queries, position, memory.source_mask)
        context, weights = attend(scores, memory.values, memory.source_mask)  # (A, K, D), (A, K, S)
        if self.score.num_heads > 1:  # (A, H, K, D / H) and (A, H, K, S)
            context, weights = context.transpose(1, 2).flatten(2), weights.transpose(1, 2)  # (A, K, D), (A, K, H, S)
        return context.flatten(0, 1), weights.flatten(0, 1)  # (A·K, D), (A·K, S)

    def by_heads(self, weights: Tensor) -> Tensor:
        """The weights (B, T, S), with heads (B, T, H, S), of all target positions as (B, H, T, S), for the record."""
        return weights.view(*weights.shape[:2], self.score.num_heads, -1).transpose(1, 2)


class AttentionSeq2Seq(RecurrentSeq2Seq[AttentionMemory, StateT]):
    """A recurrent encoder-decoder whose decoder attends to the outputs of the encoder.

    Args: those of RecurrentSeq2Seq, and
        score: how a query is compared with the source.
        span: where a query may attend.
        encoder_dropout: probability of dropping an element of the encoder's outputs before attention reads them.

    Raises:
        UserError: the score or the span is not for vectors of hidden_size.
    """

    decoder: AttentionDecoder[StateT]

    def __init__(self, *, hidden_size: int, score: Score, span: Span, encoder_dropout: float, **others: Any) -> None:
        check_probabilities(encoder_dropout=encoder_dropout)
        super().__init__(hidden_size=hidden_size, **others)
        self.encoder_dropout = Dropout(encoder_dropout, shared_dim=self.dropout.shared_dim)
        if (score.query_size, score.value_size) != (hidden_size, hidden_size):
            raise UserError(
                f"the score compares {score.query_size} with {score.value_size} numbers: "
                f"its query_size and value_size must be hidden_size={hidden_size}"
            )
        if span.query_size not in (None, hidden_size):
            raise UserError(f"the span's query_size={span.query_size} must be hidden_size={hidden_size}")

    def encode(self, source: Tensor, source_mask: Tensor) -> AttentionMemory:
        outputs, initial_state = self.encode_source(source, source_mask)  # (A, S, D)
        outputs = self.encoder_dropout(outputs)
        score = self.decoder.score
        return AttentionMemory(source_mask, score.values(outputs), score.keys(outputs), initial_state)

    def attention_layers(self) -> Mapping[Kind, Sequence[AttentionHeads]]:
        score = self.decoder.score
        return {"cross": [score]} if isinstance(score, MultiHeadAdditiveScore) else {}
