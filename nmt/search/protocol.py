"""The interface of a search, so that the translator works with any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict

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


class Search(Protocol):
    """Finds translations of a batch of sentences. `GreedySearch` and `BeamSearch` implement it."""

    @property
    def beam_size(self) -> int:
        """Maximum number of hypotheses per sentence."""
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

    def __call__(
        self,
        model: TranslationModel,
        source: Tensor,
        source_mask: Tensor,
        *,
        bos_id: int,
        eos_id: int,
        banned_ids: Sequence[int],
        n_best: int,
        prefixes: Sequence[Sequence[int]] | None = None,
        observer: StepObserver | None = None,
    ) -> list[list[Hypothesis]]:
        """Returns the `n_best` hypotheses of each sentence, best first; fewer if the length limit allows fewer.

        Args:
            model: in evaluation mode.
            source: (B, S) ids; each sentence ends with `eos`, followed by padding.
            source_mask: (B, S), True = a real token.
            bos_id: id that the decoder reads before the first token.
            eos_id: id that ends a translation.
            banned_ids: ids that are never produced.
            n_best: number of hypotheses per sentence.
            prefixes: the tokens with which each of the B translations must begin, without `bos`; none of them is `eos`
                or banned, and the model takes one token more. The log-probabilities stay those of the model. None, or
                an empty prefix: a translation may begin with any token.
            observer: is called after every step.

        Raises:
            UserError: the search cannot return `n_best` hypotheses.
        """
        ...
