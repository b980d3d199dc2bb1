"""The interface of a search, so that the translator works with any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict, runtime_checkable

from torch import Tensor
from typing_extensions import Unpack

from nmt.models.seq2seq import TranslationModel
from nmt.search.backtrace import BeamStep
from nmt.search.hypothesis import Hypothesis
from nmt.search.scoring import LengthPenalty


class SearchArguments(TypedDict, total=False):
    """Arguments of a search that replace its own; `BeamSearch` describes them."""

    beam_size: int
    length_penalty: float
    max_length_factor: float
    max_length_margin: int
    min_length: int
    no_repeat_ngram: int | None


StepObserver = Callable[[Tensor, BeamStep], None]
"""Sees what a search chose from and what it kept: the log-probabilities (A·K, V) of the next token, -inf where it is
forbidden, which the observer must not change; and the step."""


DecodeTokens = Callable[[Sequence[int]], str]
"""The text of some tokens."""


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """A batch of sentences, and what is wanted of their translations.

    Attributes:
        source: (B, S) ids; each sentence ends with `eos`, followed by padding.
        source_mask: (B, S), True = a real token.
        bos_id: id that the decoder reads before the first token.
        eos_id: id that ends a translation.
        banned_ids: ids that are never produced.
        n_best: number of hypotheses per sentence.
        prefixes: the tokens with which each of the B translations must begin, without `bos`; none of them is `eos` or
            banned, and the model takes one token more. The log-probabilities stay those of the model. None, or an empty
            prefix: a translation may begin with any token.
        observer: is called after every step.
        decode: gives the text of tokens; only a search that compares texts needs it.
    """

    source: Tensor
    source_mask: Tensor
    bos_id: int
    eos_id: int
    banned_ids: Sequence[int]
    n_best: int
    prefixes: Sequence[Sequence[int]] | None = None
    observer: StepObserver | None = None
    decode: DecodeTokens | None = None


@runtime_checkable  # a search that is an argument of another one is checked when it is read from a run folder
class Search(Protocol):
    """Finds translations of a batch of sentences. The classes in `nmt.search` implement it."""

    @property
    def beam_size(self) -> int:
        """Maximum number of hypotheses per sentence."""
        ...

    @property
    def has_beam(self) -> bool:
        """Whether a larger `beam_size` finds more hypotheses.

        If it does, the translator merges hypotheses with the same text and searches again for the missing ones. If not,
        it takes what the search returns.
        """
        ...

    def penalty(self) -> LengthPenalty:
        """The length penalty by which hypotheses are ranked."""
        ...

    def changed(self, **changes: Unpack[SearchArguments]) -> Search:
        """The same search with some arguments changed.

        Raises:
            UserError: an argument is out of range.
        """
        ...

    def __call__(self, model: TranslationModel, request: SearchRequest) -> list[list[Hypothesis]]:
        """Returns the `n_best` hypotheses of each sentence, best first; fewer if the length limit allows fewer.

        Samples are not ordered by their scores, but in the order in which they were drawn.

        Args:
            model: in evaluation mode.
            request: what to find, on the device of the model.

        Raises:
            UserError: the search cannot return `n_best` hypotheses.
        """
        ...
