"""The contract of a model: what the trainer, the search and the report know of an architecture, and all they know.

    decoder_outputs(source, source_mask, target_input) -> vectors     teacher forcing, every position at once
    compiled_readouts(compiler) -> decoder_outputs                    the same, in part compiled
    forward(source, source_mask, target_input) -> logits       decoder_outputs, and the output layer
    encode(source, source_mask)                -> Memory       everything that is computed once per sentence
    start(memory)                              -> State        before the first target token
    step(token, state, memory)                 -> StepOutput   one target position further
    Memory.select(sentences)                   -> Memory       of the sentences that stay
    State.select(rows, sentences)              -> State        of the hypotheses that go on

A search keeps several hypotheses of a sentence, but its memory once: rows of tokens and of states are K hypotheses of
each of the memory's A sentences, row a·K + k is hypothesis k of sentence a, and K may be another at every step.

None of `start`, `step` and `select` looks at a number that is on the device. A GPU computes behind the host's back, and
stands idle whenever the host waits for a number to find out what comes next; the search does so once in a step, to
see which sentences are done, and hands on what it then knows.

Shapes in this package: B batch, S source positions, T target positions, V target vocabulary, D model size, H heads.
A mask is boolean and True where a token is real.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from nmt.models.embedding import Vocabulary


Readouts = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`Seq2Seq.decoder_outputs` of a model, or what computes the same."""

Compiler = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes a function that computes the same, of tensors and of what holds tensors, and returns tensors."""


def _select(value: Any, rows: Tensor) -> Any:
    if isinstance(value, Tensor):
        return value.index_select(0, rows)
    if isinstance(value, tuple):
        return tuple(_select(item, rows) for item in value)
    if value is None:
        return None
    return replace(value, **{field.name: _select(getattr(value, field.name), rows) for field in fields(value)})


@dataclass(frozen=True)
class Rows:
    """Tensors (or tuples and Rows of them) whose first dimension is the batch: one rule reorders them all."""

    def select(self, rows: Tensor) -> Self:
        """The same for `rows`, int64 indices of any shape, in their order, repeated where they are."""
        selected: Self = _select(self, rows.flatten())
        return selected


@dataclass(frozen=True)
class Memory(Rows):
    """What the decoder reads of the source; each architecture adds its own tensors."""

    source_mask: Tensor  # (B, S), True = a real token

    def repeated(self, rows: int) -> Self:
        """One row for each of `rows` hypotheses: for a model that cannot do with one for each sentence."""
        sentences = self.source_mask.size(0)
        if rows == sentences:
            return self
        every = torch.arange(sentences, device=self.source_mask.device)
        return self.select(every.repeat_interleave(rows // sentences))


@dataclass(frozen=True)
class State:
    """Where the decoder stands after some target tokens; each architecture adds its own tensors, or Rows of them."""

    def select(self, rows: Tensor, sentences: Tensor | None) -> Self:
        """The hypotheses that go on.

        Args:
            rows: (A', K'), the K' hypotheses of each sentence: rows of this state, which were one sentence's; or (A',),
                one of each. Repeated where a hypothesis splits.
            sentences: (A',), which of this state's A sentences they are; None where all stay in their places. A state
                that keeps something once for a sentence has only then to move it, and need not look at `rows` first.
        """
        selected: Self = _select(self, rows.flatten())
        return selected


@dataclass(frozen=True)
class StepOutput:
    """One step of the decoder.

    Attributes:
        logits: (A·K, V), unnormalised scores of the next token; the caller's to write into.
        attention_weights: what this step looked at: (A·K, S) of a recurrent decoder, (A·K, layers, H, S) of the
            Transformer's cross-attention; None without attention, or where nobody asked.
        state: to hand to the next step.
    """

    logits: Tensor
    attention_weights: Tensor | None
    state: State


class Seq2Seq(nn.Module, ABC):
    """An encoder-decoder. Parameters live on the module; everything about a sentence travels in arguments."""

    vocabulary: Vocabulary

    def forward(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        """Logits (B, T, V) of each next token, given the right tokens before it; see `decoder_outputs`."""
        logits: Tensor = self.vocabulary.output(self.decoder_outputs(source, source_mask, target_input))  # (B, T, V)
        return logits

    @abstractmethod
    def decoder_outputs(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        """What the output layer predicts each next token from, (B, T, E), given the right tokens before it.

        The trainer asks for these: its loss applies the output layer itself, to some positions at a time.

        Args:
            source: (B, S) ids, padded at the end.
            source_mask: (B, S).
            target_input: (B, T) ids that begin with `bos`, padded at the end.
        """

    def compiled_readouts(self, compiler: Compiler) -> Readouts:
        """`decoder_outputs`, with the part that is worth compiling made by `compiler`; the model itself stays as it is.

        As it is here, nothing is: where torch's fused LSTM does the work, there is little left to compile.
        """
        return self.decoder_outputs

    @abstractmethod
    def encode(self, source: Tensor, source_mask: Tensor) -> Memory:
        """Reads (B, S) source ids once."""

    @abstractmethod
    def start(self, memory: Memory) -> State:
        """The state before the first token."""

    @abstractmethod
    def step(self, token: Tensor, state: Any, memory: Any, *, need_attention: bool = False) -> StepOutput:
        """Advances every hypothesis by one `token` (A·K,). Without `need_attention` nothing is spent on weights.

        It is not made for autocast: a model that shall translate in bf16 is one of bf16 numbers.

        Args:
            state: of as many rows.
            memory: of the A sentences.
        """

    @property
    @abstractmethod
    def max_length(self) -> int | None:
        """The most positions that a side may have; None where there is no limit."""

    def num_parameters(self) -> int:
        """Trainable numbers, tied ones counted once."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device
