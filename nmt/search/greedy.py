"""Greedy search: the most probable token at each step."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from typing_extensions import Unpack

from nmt.errors import UserError
from nmt.models.seq2seq import TranslationModel
from nmt.search.beam import BeamSearch
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import SearchArguments, SearchRequest
from nmt.search.scoring import LengthPenalty


@dataclass(frozen=True, kw_only=True)
class GreedySearch:
    """Takes the most probable token at each step and never revises it: a beam of size 1.

    The score is the log-probability. With one hypothesis per sentence there is nothing to rank, so there is no length
    penalty.

    Args:
        max_length_factor: see `LengthLimit`.
        max_length_margin: see `LengthLimit`.
        min_length: see `BeamSearch`.
        no_repeat_ngram: see `BeamSearch`.

    Raises:
        UserError: an argument is out of range.
    """

    max_length_factor: float
    max_length_margin: int
    min_length: int = 0
    no_repeat_ngram: int | None = None

    def __post_init__(self) -> None:
        self.as_beam_search()

    def as_beam_search(self) -> BeamSearch:
        """The beam search that does the same."""
        return BeamSearch(beam_size=1, length_penalty=0.0, **asdict(self))

    @property
    def beam_size(self) -> int:
        """One hypothesis per sentence."""
        return 1

    @property
    def has_beam(self) -> bool:
        """A beam finds more hypotheses."""
        return True

    def penalty(self) -> LengthPenalty:
        """No length penalty."""
        return LengthPenalty(0.0)

    def changed(self, **changes: Unpack[SearchArguments]) -> GreedySearch | BeamSearch:
        """The same search with some arguments changed; one that only a beam search has makes it a beam search."""
        arguments: dict[str, Any] = {**changes}
        if {"beam_size", "length_penalty"} & arguments.keys():
            return replace(self.as_beam_search(), **arguments)
        return replace(self, **arguments)

    def __call__(self, model: TranslationModel, request: SearchRequest) -> list[list[Hypothesis]]:
        """Translates a batch; see `Search`.

        Raises:
            UserError: `n_best` is not 1.
        """
        if request.n_best != 1:
            raise UserError(
                f"greedy search finds one translation, not n_best={request.n_best}: set search.beam_size or use "
                "search=beam"
            )
        return self.as_beam_search()(model, request)
