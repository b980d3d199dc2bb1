"""A model as two functions that can become graphs of another program: an encoder, and a decoding step.

    encode(source, source_mask)    -> memory, state             once per sentence
    step(token, state, memory)     -> logits, weights, state    once per target token

They are calls of the model contract, with two differences. The step also returns the weights of cross-attention. And
the leaves of memory and state are tensors with one row per hypothesis, so that a search reorders hypotheses without
knowing what is inside. Recurrent models are here, Transformers in `transformer_steps`.

Shapes: N hypotheses, S source positions, V target vocabulary, L layers, H heads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, Generic, NamedTuple

from torch import Tensor, nn

from nmt.models.attention import attend
from nmt.models.recurrent import RecurrentSeq2Seq, RecurrentState
from nmt.models.recurrent.attentional import AttentionDecoder, AttentionMemory
from nmt.models.seq2seq import MemoryT, StateT


class Step(NamedTuple):
    """What a decoding step returns.

    Attributes:
        logits: (N, V), of the next token.
        weights: (N, L, H, S), with which each decoder layer attends to the source; None without attention.
        state: for the next step.
    """

    logits: Tensor
    weights: Tensor | None
    state: Any


class Steps(nn.Module, ABC, Generic[MemoryT, StateT]):
    """The two functions of an architecture."""

    @abstractmethod
    def encode(self, source: Tensor, source_mask: Tensor) -> tuple[MemoryT, StateT]:
        """The memory and the first state of source ids (N, S)."""

    @abstractmethod
    def step(self, token: Tensor, state: StateT, memory: MemoryT) -> Step:
        """One more target position, from the last token (N,) of each hypothesis."""


class RecurrentSteps(Steps[Any, Any]):
    """Recurrent models: their own decoding step needs no other form."""

    def __init__(self, model: RecurrentSeq2Seq[Any, Any]) -> None:
        super().__init__()
        self.model = model
        self.scores: list[Tensor] = []  # of the latest step
        if isinstance(model.decoder, AttentionDecoder):
            model.decoder.span.register_forward_hook(lambda span, inputs, scores: self.scores.append(scores))

    def encode(self, source: Tensor, source_mask: Tensor) -> tuple[Any, Any]:
        memory = self.model.encode(source, source_mask)
        state = self.model.start(memory)
        return replace(memory, initial_state=RecurrentState(())), state  # a step does not read the initial state

    def step(self, token: Tensor, state: Any, memory: Any) -> Step:
        self.scores.clear()
        logits, state = self.model.step(token, state, memory)  # (N, V)
        if not isinstance(memory, AttentionMemory):
            return Step(logits, None, state)
        [scores] = self.scores  # (N, 1, S), with several heads (N, H, 1, S)
        weights = attend(scores, memory.values, memory.source_mask)[1]
        # (N, 1, 1, S), with several heads (N, 1, H, S): there is one layer
        return Step(logits, weights.unsqueeze(1) if weights.dim() == 3 else weights.transpose(1, 2), state)
