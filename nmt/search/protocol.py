"""The interface of a search, so that the translator works with any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypedDict

from torch import Tensor
from typing_extensions import Unpack

from nmt.models.seq2seq import TranslationModel
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

        Raises:
            UserError: the search cannot return `n_best` hypotheses.
        """
        ...
