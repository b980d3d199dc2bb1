"""Minimum Bayes risk: the translation that agrees best with all others that the model might give.

    candidates = translations of a sentence, from another search
    expected utility of a candidate h = Σ_r p(r) · utility(h, r), over all candidates r as references
    take the candidates with the highest expected utility

Beam search looks for the most probable translation, which is often an untypical one: too short, or a copy of the
source. The translation with the highest expected utility lies where much of the probability is, even if no single
translation there has much.

Source: Eikema and Aziz (2020), https://aclanthology.org/2020.coling-main.398, and (2022),
https://aclanthology.org/2022.emnlp-main.754, with samples as candidates and as references; Freitag et al. (2022),
https://doi.org/10.1162/tacl_a_00491, on utilities and candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from typing_extensions import Unpack

from nmt.checks import check_sizes
from nmt.errors import UserError
from nmt.models.seq2seq import TranslationModel
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import DecodeTokens, Search, SearchArguments, SearchRequest
from nmt.search.scoring import LengthPenalty
from nmt.search.utility import UTILITIES


@dataclass(frozen=True, kw_only=True)
class MinimumBayesRisk:
    """Takes the candidates that agree best with all candidates.

    The score of a hypothesis is its expected utility, from 0 to 100; its log-probability is that of the model.

    Args:
        candidates: finds the candidates. Samples count equally, so a translation that is drawn twice counts twice. The
            hypotheses of a beam count by their probabilities, as shares of the sum over the beam.
        num_candidates: number of candidates of each sentence. Time grows with its square.
        utility: "chrf" or "bleu", see `nmt.search.utility`.

    Raises:
        UserError: an argument is out of range.
    """

    candidates: Search
    num_candidates: int
    utility: str

    def __post_init__(self) -> None:
        check_sizes(num_candidates=self.num_candidates)
        if self.utility not in UTILITIES:
            raise UserError(f"utility={self.utility} is unknown: use {' or '.join(UTILITIES)}")
        if self.candidates.has_beam and self.candidates.beam_size < self.num_candidates:
            raise UserError(
                f"num_candidates={self.num_candidates} must be at most candidates.beam_size={self.candidates.beam_size}"
            )

    @property
    def beam_size(self) -> int:
        """No more hypotheses can be asked for than there are candidates."""
        return self.num_candidates

    @property
    def has_beam(self) -> bool:
        """There is no beam of its own: the texts of the hypotheses differ already."""
        return False

    def penalty(self) -> LengthPenalty:
        """The length penalty of the search for candidates."""
        return self.candidates.penalty()

    def changed(self, **changes: Unpack[SearchArguments]) -> Search:
        """The same search with some arguments changed; one that only a beam search has makes it a beam search."""
        changed = self.candidates.changed(**changes)
        return changed if {"beam_size", "length_penalty"} & changes.keys() else replace(self, candidates=changed)

    def __call__(self, model: TranslationModel, request: SearchRequest) -> list[list[Hypothesis]]:
        """Translates a batch; see `Search`. The hypotheses of a sentence have different texts.

        Raises:
            UserError: `n_best` is larger than the number of candidates.
        """
        decode, n_best = request.decode, request.n_best
        assert decode is not None, "the utility compares texts"
        if not 1 <= n_best <= self.num_candidates:
            raise UserError(f"n_best={n_best} must be from 1 to search.num_candidates={self.num_candidates}")
        lists = self.candidates(model, replace(request, n_best=self.num_candidates))
        return [self._rank(hypotheses, decode)[:n_best] for hypotheses in lists]

    def _rank(self, hypotheses: Sequence[Hypothesis], decode: DecodeTokens) -> list[Hypothesis]:
        """The first hypothesis of each text, by descending expected utility, which becomes its score."""
        if not hypotheses:
            return []
        weights = np.ones(len(hypotheses))
        if self.candidates.has_beam:
            log_probabilities = np.array([each.log_probability for each in hypotheses])
            weights = np.exp(log_probabilities - log_probabilities.max())
        texts: dict[str, Hypothesis] = {}
        weight_of: dict[str, float] = {}
        for hypothesis, weight in zip(hypotheses, weights / weights.sum(), strict=True):
            text = decode(hypothesis.tokens)
            texts.setdefault(text, hypothesis)
            weight_of[text] = weight_of.get(text, 0.0) + float(weight)
        expected = UTILITIES[self.utility](list(texts)) @ np.array(list(weight_of.values()))  # (D,)
        scored = [replace(each, score=score) for each, score in zip(texts.values(), expected.tolist(), strict=True)]
        return sorted(scored, key=lambda hypothesis: -hypothesis.score)
