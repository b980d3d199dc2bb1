"""The contract between a model and the rest of the program: training, search, alignment and export use nothing else.

    decoder_outputs(source, source_mask, target_input) -> vectors    teacher forcing, all positions at once
    forward(source, source_mask, target_input)         -> logits     the output layer applied to decoder_outputs
    encoder_outputs(source, source_mask)               -> vectors    the encoder alone, for pre-training
    encode(source, source_mask)                        -> Memory     everything computed once per sentence
    start(memory)                                      -> State      before the first target token
    step(token, state, memory)                         -> logits and State, one target position further
    attention(source, source_mask, target_input)       -> attention weights of every layer and head
    Memory.select(sentences)                           -> Memory     of the sentences that stay in the batch
    State.select(hypotheses, sentences)                -> State      of the hypotheses that continue
    prepare_for_decoding()                                           rearranges the weights, once, for inference

A `TranslationModel` has all of these calls but those that return vectors. Search and translator need no more, so they
also accept an `Ensemble` of several models. A `Seq2Seq` is one architecture, and adds the calls for training.

A search keeps K hypotheses of each sentence but encodes the sentence once. So tokens and states have A·K rows and a
memory has A rows: row a·K + k is hypothesis k of sentence a. K may change from step to step.

`start`, `step` and `select` never read a number from the device. A GPU works asynchronously and idles while the host
waits for a result, so the search reads once per step (which sentences are finished) and passes on what it has learned.

Shapes in this package: B batch, S source positions, T target positions, V target vocabulary, E embedding size, D model
or hidden size, L layers, H heads; while decoding A sentences and K hypotheses of each.
Masks are boolean, and True means a real token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Generic, Protocol, Self

import torch
from torch import Tensor, nn
from typing_extensions import TypeVar  # typing.TypeVar has defaults from Python 3.13 on

from nmt.errors import UserError
from nmt.models.attention import KINDS, NO_RECORD, AttentionRecord, Kind
from nmt.models.embedding import Vocabulary
from nmt.models.weight_layout import store_by_columns


@cache
def field_names(dataclass_type: type[Any]) -> tuple[str, ...]:
    """The names of a dataclass's fields. A search selects rows at every step, and looking the fields up takes time."""
    return tuple(field.name for field in fields(dataclass_type))


def select_rows(value: Any, rows: Tensor) -> Any:
    """Applies `index_select(0, rows)` to every tensor of a tensor, tuple or dataclass."""
    if isinstance(value, Tensor):
        return value.index_select(0, rows)
    if isinstance(value, tuple):
        return tuple(select_rows(item, rows) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(*(select_rows(getattr(value, name), rows) for name in field_names(type(value))))
    assert value is None, f"cannot select rows of a {type(value).__name__}"
    return None


@dataclass(frozen=True)
class Memory:
    """The encoded source: everything the decoder needs of it. Each architecture adds its own tensors, batch first."""

    source_mask: Tensor  # (A, S), True = a real token

    @property
    def num_sentences(self) -> int:
        """A."""
        return self.source_mask.size(0)

    def select(self, sentences: Tensor) -> Self:
        """The memory of `sentences`, int64 indices (A',) in any order, repeated where an index is repeated."""
        return select_rows(self, sentences)

    def repeated(self, num_rows: int) -> Self:
        """One row for each of A·K hypotheses, for a model that needs as many memory rows as token rows."""
        if num_rows == self.num_sentences:
            return self
        sentences = torch.arange(self.num_sentences, device=self.source_mask.device)
        return self.select(sentences.repeat_interleave(num_rows // self.num_sentences))  # (A·K, …)


@dataclass(frozen=True)
class State:
    """The decoder's state after some target tokens. Each architecture adds its own tensors, hypotheses first."""

    def select(self, hypotheses: Tensor, sentences: Tensor | None) -> Self:
        """The state of the hypotheses that continue.

        Args:
            hypotheses: (A', K') or, for one hypothesis each, (A',): row indices into this state. The K' indices of a
                sentence point to rows of that same sentence; an index is repeated where a hypothesis branches.
            sentences: (A',), indices of the sentences that stay; None if all stay in their order. Only a state with
                tensors per sentence, such as a key/value cache, needs them: with None it copies no such tensor.
        """
        return select_rows(self, hypotheses.flatten())


MemoryT = TypeVar("MemoryT", bound=Memory, default=Any)
StateT = TypeVar("StateT", bound=State, default=Any)


class AttentionHeads(Protocol):
    """A layer's attention with several heads."""

    num_heads: int

    def silence(self, head: int) -> None:
        """Removes, for good, what a head adds to the layer's output."""


class TranslationModel(nn.Module, ABC, Generic[MemoryT, StateT]):
    """A model that can translate: one architecture (`Seq2Seq`), or an `Ensemble` of several models.

    The module holds parameters only; everything about a sentence is passed as an argument.
    """

    @abstractmethod
    def forward(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        """Logits (B, T, V) of each next token given the correct tokens before it (teacher forcing).

        Args:
            source: (B, S) piece ids, padded at the end.
            source_mask: (B, S).
            target_input: (B, T) piece ids that begin with `bos`, padded at the end.
        """

    @abstractmethod
    def attention(
        self,
        source: Tensor,
        source_mask: Tensor,
        target_input: Tensor,
        *,
        kinds: Sequence[Kind] = KINDS,
        layer: int | None = None,
    ) -> dict[Kind, Tensor]:
        """The attention weights with which the model predicts each next token of a given target; arguments as above.

        Args:
            kinds: the kinds of attention to return.
            layer: the only layer to return, counted from 0; None: all of them, L.

        Returns:
            for each kind that the model has, the weights of every layer and head, whose rows sum to one: "cross"
            (B, L, H, T, S), "encoder" (B, L, H, S, S) and "decoder" (B, L, H, T, T). Row t of the target predicts
            token t + 1 of `target_input`. Rows of padding are meaningless; no row attends to padding. A recurrent
            decoder has cross-attention with L = 1, and H = 1 unless its score has several heads.
        """

    def cross_attention_shape(self) -> tuple[int, int] | None:
        """The number of decoder layers that attend to the source, and of the heads of each; None without attention."""
        was_training = self.training
        token = torch.zeros(1, 1, dtype=torch.int64, device=self.device)  # (1, 1), any token
        weights = self.eval().attention(token, torch.ones_like(token, dtype=torch.bool), token, kinds=["cross"])
        self.train(was_training)
        if "cross" not in weights:
            return None
        _, num_layers, num_heads, _, _ = weights["cross"].shape  # (1, L, H, 1, 1)
        return num_layers, num_heads

    @abstractmethod
    def encode(self, source: Tensor, source_mask: Tensor) -> MemoryT:
        """Encodes source ids (A, S) and computes everything that is needed once per sentence."""

    @abstractmethod
    def start(self, memory: MemoryT) -> StateT:
        """The state before the first token, one hypothesis per sentence."""

    @abstractmethod
    def step(self, token: Tensor, state: StateT, memory: MemoryT) -> tuple[Tensor, StateT]:
        """Advances every hypothesis by one token (A·K,), the model being in evaluation mode.

        Steps are not meant for autocast: to translate in bfloat16, convert the model.

        Args:
            token: the last token of each hypothesis.
            state: of the same A·K hypotheses.
            memory: of the A sentences.

        Returns:
            logits (A·K, V), unnormalised scores of the next token, which the caller may overwrite; and the state for
            the next step.
        """

    def attention_layers(self) -> Mapping[Kind, Sequence[AttentionHeads]]:
        """The multi-head attention of every layer, by kind; empty for a model whose attention has no heads."""
        return {}

    @abstractmethod
    def prepare_for_decoding(self) -> None:
        """Rearranges the weights for fast decoding on the present device; afterwards use the model for inference only.

        Call it once, after loading and moving the model.
        """

    @property
    @abstractmethod
    def max_length(self) -> int | None:
        """The maximum number of positions on either side; None without a limit."""

    def num_parameters(self) -> int:
        """The number of trainable values, tied ones counted once."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device


class Seq2Seq(TranslationModel[MemoryT, StateT]):
    """An encoder-decoder, which can be trained."""

    vocabulary: Vocabulary

    def forward(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        """The output layer applied to the decoder outputs; see `TranslationModel.forward`."""
        return self.vocabulary.output(self.decoder_outputs(source, source_mask, target_input))  # (B, T, V)

    @abstractmethod
    def decoder_outputs(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, *, record: AttentionRecord = NO_RECORD
    ) -> Tensor:
        """The vectors (B, T, E) from which the output layer predicts each next token (teacher forcing).

        Training calls this instead of `forward`: its loss applies the output layer itself, a few positions at a time.

        Args:
            source: (B, S) piece ids, padded at the end.
            source_mask: (B, S).
            target_input: (B, T) piece ids that begin with `bos`, padded at the end.
            record: receives the attention weights that it asks for.
        """

    def encoder_outputs(self, source: Tensor, source_mask: Tensor) -> Tensor:
        """The vectors (B, S, D) with which the encoder represents source ids (B, S), for an objective of its own.

        Raises:
            UserError: the model has no encoder that reads a source by itself.
        """
        raise UserError(
            f"{type(self).__name__} has no encoder that could be trained by itself: use objective=denoising"
        )

    @torch.no_grad()
    def attention(
        self,
        source: Tensor,
        source_mask: Tensor,
        target_input: Tensor,
        *,
        kinds: Sequence[Kind] = KINDS,
        layer: int | None = None,
    ) -> dict[Kind, Tensor]:
        """See `TranslationModel.attention`; a forward pass records the weights."""
        record = AttentionRecord(*kinds, layer=layer)
        self.decoder_outputs(source, source_mask, target_input, record=record)
        return {kind: weights for kind in kinds if (weights := record.weights(kind)) is not None}

    def prepare_for_decoding(self) -> None:
        """See `TranslationModel.prepare_for_decoding`.

        On a CPU the weights of all layers that run position by position are stored by columns (`store_by_columns`
        explains why). The values stay the same, but an output layer tied to the embedding gets its own copy, so
        training would pull the two apart; therefore all parameters are frozen. Classes with further such weights
        extend this method.
        """
        self.eval().requires_grad_(False)
        if self.device.type == "cpu":
            for layer in self.modules():
                if isinstance(layer, nn.Linear | nn.RNNCellBase):
                    store_by_columns(layer)
