"""The most probable token at each step."""

from __future__ import annotations

from typing import Any

from nmt.errors import UserError
from nmt.search.beam import BeamSearch
from nmt.search.hypothesis import Hypothesis


class GreedySearch:
    """Takes the best token at each step, and never looks back: a beam of one. The score is the log-probability.

    Args:
        max_length_factor: most target tokens for each source token.
        max_length_margin: and so many more.
    """

    def __init__(self, *, max_length_factor: float, max_length_margin: int) -> None:
        self.beam = BeamSearch(
            beam_size=1,
            length_penalty=0.0,
            max_length_factor=max_length_factor,
            max_length_margin=max_length_margin,
        )

    def __call__(self, *arguments: Any, n_best: int, **options: Any) -> list[list[Hypothesis]]:
        """Translates as `BeamSearch.__call__` does."""
        if n_best != 1:
            raise UserError(f"greedy search finds one translation, not n_best={n_best}: use search=beam")
        return self.beam(*arguments, n_best=n_best, **options)
