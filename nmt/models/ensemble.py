"""An ensemble: several models translate together with the mean of their probabilities (Sutskever et al., 2014, §3.6).

    p(token | source, tokens before) = 1/M Σ_m p_m(token | source, tokens before)

The members may be of any architectures, such as an LSTM and a Transformer, if they share both vocabularies. Their
probabilities are averaged before the search chooses, so the members always continue the same hypotheses. The search
does not know that there are several: the memory and the state of an ensemble hold those of its members.

Shapes as in `nmt.models.seq2seq`; M members.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from nmt.models.attention import KINDS, Kind
from nmt.models.seq2seq import Memory, State, TranslationModel


@dataclass(frozen=True)
class EnsembleMemory(Memory):
    """The source as each member has encoded it."""

    members: tuple[Memory, ...]  # M

    def select(self, sentences: Tensor) -> Self:
        """See `Memory.select`."""
        members = tuple(memory.select(sentences) for memory in self.members)
        return type(self)(self.source_mask.index_select(0, sentences), members)


@dataclass(frozen=True)
class EnsembleState(State):
    """The state of each member's decoder, of the same hypotheses."""

    members: tuple[State, ...]  # M

    def select(self, hypotheses: Tensor, sentences: Tensor | None) -> Self:
        """See `State.select`."""
        return type(self)(tuple(state.select(hypotheses, sentences) for state in self.members))


class Ensemble(TranslationModel[EnsembleMemory, EnsembleState]):
    """Translates with the mean of the members' probabilities. It cannot be trained: train its members.

    Args:
        members: M models with the same vocabularies, which are put into evaluation mode; a model may occur twice.
    """

    def __init__(self, members: Sequence[TranslationModel]) -> None:
        super().__init__()
        assert members, "an ensemble has members"
        self.members = nn.ModuleList(members)
        self.eval()

    def forward(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        """See `TranslationModel.forward`; the logits are log-probabilities."""
        return mean_log_probabilities([model(source, source_mask, target_input) for model in self._models])  # (B, T, V)

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
        """The cross-attention "cross" (B, 1, 1, T, S), as if of one layer and head: the mean of the members' means.

        Layers, heads and self-attention of one member have no counterpart in another: look at that member by itself. A
        member without attention does not count; if none has any, the result is empty.
        """
        if "cross" not in kinds or layer not in (None, 0):
            return {}
        attended = [model.attention(source, source_mask, target_input, kinds=["cross"]) for model in self._models]
        means = [weights["cross"].mean((1, 2), keepdim=True) for weights in attended if weights]  # (B, 1, 1, T, S) each
        return {"cross": torch.stack(means).mean(0)} if means else {}

    def encode(self, source: Tensor, source_mask: Tensor) -> EnsembleMemory:
        """See `TranslationModel.encode`."""
        return EnsembleMemory(source_mask, tuple(model.encode(source, source_mask) for model in self._models))

    def start(self, memory: EnsembleMemory) -> EnsembleState:
        """See `TranslationModel.start`."""
        pairs = zip(self._models, memory.members, strict=True)
        return EnsembleState(tuple(model.start(own_memory) for model, own_memory in pairs))

    def step(self, token: Tensor, state: EnsembleState, memory: EnsembleMemory) -> tuple[Tensor, EnsembleState]:
        """See `TranslationModel.step`; the logits are log-probabilities."""
        members = zip(self._models, state.members, memory.members, strict=True)
        steps = [model.step(token, own_state, own_memory) for model, own_state, own_memory in members]
        logits = mean_log_probabilities([logits for logits, _ in steps])  # (A·K, V)
        return logits, EnsembleState(tuple(next_state for _, next_state in steps))

    def prepare_for_decoding(self) -> None:
        """See `TranslationModel.prepare_for_decoding`."""
        for model in self._models:
            model.prepare_for_decoding()

    @property
    def max_length(self) -> int | None:
        """The smallest limit of the members; None if no member has one."""
        return min((model.max_length for model in self._models if model.max_length is not None), default=None)

    @property
    def _models(self) -> list[TranslationModel]:
        """The members, with their type."""
        return list(self.members)  # type: ignore[arg-type]  # a ModuleList knows them as modules


def mean_log_probabilities(logits: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of M members' probabilities, log 1/M Σ_m softmax(logits_m): (…, V) from M × (…, V).

    It is computed from log-probabilities, since the probability of a rare token may be too small for a float. A softmax
    of the result gives the mean again, so it serves as logits.
    """
    dtype = torch.promote_types(logits[0].dtype, torch.float32)  # 16 bits are too few
    total = logits[0].log_softmax(-1, dtype=dtype)
    for member in logits[1:]:
        total = torch.logaddexp(total, member.log_softmax(-1, dtype=dtype))
    return total - math.log(len(logits))
