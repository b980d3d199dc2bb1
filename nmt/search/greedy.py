"""Greedy search: the most probable token at each step."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.search.beam import BeamSearch
from nmt.search.hypothesis import Hypothesis


class GreedySearch:
    """Takes the most probable token at each step and never revises it: a beam of size 1.

    The score is the log-probability. With one hypothesis per sentence there is nothing to rank, so there is no length
    penalty.

    Args:
        max_length_factor: see `LengthLimit`.
        max_length_margin: see `LengthLimit`.
    """

    def __init__(self, *, max_length_factor: float, max_length_margin: int) -> None:
        self.beam_search = BeamSearch(
            beam_size=1,
            length_penalty=0.0,
            max_length_factor=max_length_factor,
            max_length_margin=max_length_margin,
        )

    def __call__(
        self,
        model: Seq2Seq,
        source: Tensor,
        source_mask: Tensor,
        *,
        bos_id: int,
        eos_id: int,
        banned_ids: Sequence[int],
        n_best: int,
        need_attention: bool,
    ) -> list[list[Hypothesis]]:
        """Translates a batch; see `Search`.

        Raises:
            UserError: `n_best` is not 1.
        """
        if n_best != 1:
            raise UserError(f"greedy search finds one translation, not n_best={n_best}: use search=beam")
        return self.beam_search(
            model,
            source,
            source_mask,
            bos_id=bos_id,
            eos_id=eos_id,
            banned_ids=banned_ids,
            n_best=n_best,
            need_attention=need_attention,
        )
