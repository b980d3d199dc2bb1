"""What the recurrent architectures with attention share: the memory, and how a decoder attends to it.

Shapes: S source positions, D hidden size; A sentences and K queries of each: the hypotheses of a decoding step, one
target position in a training loop, or all target positions at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nmt.checks import check_probabilities
from nmt.models.attention import Score, attend
from nmt.models.dropout import Dropout
from nmt.models.recurrent.base import RecurrentDecoder, RecurrentSeq2Seq
from nmt.models.recurrent.cells import LSTMState
from nmt.models.seq2seq import Memory, StateT


@dataclass(frozen=True)
class AttentionMemory(Memory):
    """The encoded source for a decoder with attention.

    Attributes:
        values: the encoder's outputs h_j, (A, S, D).
        keys: the score's keys of these outputs, which it compares with the queries, (A, S, ·).
        initial_state: s_0, the decoder's state before the first position.
    """

    values: Tensor
    keys: Tensor
    initial_state: LSTMState


class AttentionDecoder(RecurrentDecoder[AttentionMemory, StateT]):
    """A decoder that attends to the source with `self.score`."""

    score: Score

    def attend(self, query: Tensor, memory: AttentionMemory) -> tuple[Tensor, Tensor]:
        """Context vectors (A·K, D) and weights (A·K, S) of queries (A·K, D), K of each sentence."""
        # The K queries of a sentence share its keys and values.
        queries = query.view(memory.num_sentences, -1, query.size(-1))  # (A, K, D)
        scores = self.score(queries, memory.keys)  # (A, K, S)
        context, weights = attend(scores, memory.values, memory.source_mask)  # (A, K, D), (A, K, S)
        return context.flatten(0, 1), weights.flatten(0, 1)  # (A·K, D), (A·K, S)


class AttentionSeq2Seq(RecurrentSeq2Seq[AttentionMemory, StateT]):
    """A recurrent encoder-decoder whose decoder attends to all outputs of the encoder.

    Args: those of RecurrentSeq2Seq, and
        encoder_dropout: probability of dropping an element of the encoder's outputs before attention reads them.
    """

    decoder: AttentionDecoder[StateT]

    def __init__(self, *, encoder_dropout: float, **arguments: Any) -> None:
        check_probabilities(encoder_dropout=encoder_dropout)
        super().__init__(**arguments)
        self.encoder_dropout = Dropout(encoder_dropout, shared_dim=self.dropout.shared_dim)

    def encode(self, source: Tensor, source_mask: Tensor) -> AttentionMemory:
        values, initial_state = self.encode_source(source, source_mask)  # (A, S, D)
        values = self.encoder_dropout(values)
        return AttentionMemory(source_mask, values, self.decoder.score.keys(values), initial_state)
