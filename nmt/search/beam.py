"""Beam search: the K best partial translations of each sentence, for all sentences of a batch at once.

    tokens, state = bos of each sentence, model.start(memory)
    for length = 1, 2, …:
        log p = log_softmax(model.step(tokens, state, memory))
        if asked for: log p = -inf for tokens that would repeat an n-gram, and for an eos that comes too early
        if a prefix is given: log p = -inf for all tokens but its next one
        for each sentence:
            of the K · V continuations of its K hypotheses, keep the best, one for each free slot
            a hypothesis that now ends with eos is finished: note its score; its slot stays taken
            if no unfinished hypothesis can still reach the n best: the sentence is finished
        stop if all sentences are finished; from time to time, remove the finished ones from the batch
        tokens, state = last token and decoder state of the hypotheses that were kept
    walk back from the n best finished hypotheses to their first tokens

Shapes: B sentences in the batch, A sentences still active, K hypotheses of each (1 before the first step, then
`beam_size`, or fewer if there are fewer continuations), S source positions, V target vocabulary. K' is K after a
step, A' is A after finished sentences were removed. Row a·K + k of a tensor (A·K, …) is hypothesis k of sentence a.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import Unpack

from nmt.checks import check_counts, check_sizes
from nmt.errors import UserError
from nmt.models.seq2seq import TranslationModel
from nmt.search.backtrace import BeamStep, backtrace
from nmt.search.candidates import best_continuations, masked_log_softmax
from nmt.search.constraints import ForcedPrefixes, constrain
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import SearchArguments, SearchRequest
from nmt.search.scoring import LengthLimit, LengthPenalty

MIN_FINISHED_SHARE = 1 / 8
"""Finished sentences are removed once they make up this share of the batch, since removal copies all the others.

Until then they are decoded further, which is harmless: further hypotheses cannot enter their n best."""


@dataclass
class Beam:
    """The K slots of each of the A active sentences."""

    sentences: list[int]  # A, index of each active sentence in the batch
    max_lengths: Tensor  # (A,), length limit of each sentence, in tokens
    max_penalty: Tensor  # (A,), length penalty at that limit: the largest that a hypothesis can get
    totals: Tensor  # (A, K), log-probability of each unfinished hypothesis; -inf for a slot without one
    slot_numbers: Tensor  # (beam_size,), 0 … beam_size - 1
    free_slots: Tensor  # (A, 1), number of slots that no finished hypothesis has taken
    best_scores: Tensor  # (A, n_best), scores of the best finished hypotheses, best first; -inf where there is none

    @classmethod
    def start(cls, max_lengths: Tensor, beam_size: int, n_best: int, length_penalty: LengthPenalty) -> Beam:
        """One empty hypothesis per sentence, with log-probability 0; `max_lengths` is (B,)."""
        num_sentences = max_lengths.size(0)
        max_penalty = length_penalty(max_lengths.float())  # (B,)
        return cls(
            sentences=list(range(num_sentences)),
            max_lengths=max_lengths,
            max_penalty=max_penalty,
            totals=max_penalty.new_zeros((num_sentences, 1)),
            slot_numbers=torch.arange(beam_size, device=max_lengths.device),
            free_slots=max_lengths.new_full((num_sentences, 1), beam_size),
            best_scores=max_penalty.new_full((num_sentences, n_best), -math.inf),
        )

    def at_limit(self, length: int) -> Tensor:
        """True (A·K,) for the hypotheses that reach their length limit with their next token."""
        return (self.max_lengths == length).repeat_interleave(self.totals.size(1))

    def extend(
        self,
        log_probabilities: Tensor,
        is_cut: Tensor | None,
        *,
        eos_id: int,
        penalty: float,
    ) -> BeamStep:
        """Replaces the hypotheses of each sentence by their best continuations, and returns these.

        Args:
            log_probabilities: (A·K, V), of the next token.
            is_cut: (A·K,), True = this hypothesis must end now although it would not; None if none must.
            eos_id: the token that finishes a hypothesis.
            penalty: the length penalty of hypotheses that finish at this step.
        """
        if is_cut is not None:
            is_cut = is_cut.view(self.totals.shape)  # (A, K)
        # 1. The best continuations, best first.
        totals, parents, tokens = best_continuations(self.totals, log_probabilities, len(self.slot_numbers))  # (A, K')
        # 2. A finished hypothesis keeps its slot for good, so only the `free_slots` best continuations are kept.
        # Without this rule a beam of size 1 would go on after its first `eos`, and would not be greedy search.
        no_slot = self.slot_numbers[: totals.size(1)] >= self.free_slots  # (K',) >= (A, 1) -> (A, K')
        totals = totals.masked_fill(no_slot, -math.inf)
        # 3. Continuations that end with `eos` are finished: they take a slot, and are not continued.
        is_eos = tokens == eos_id  # (A, K')
        scores = (totals / penalty).masked_fill(~is_eos, -math.inf)  # (A, K')
        self.free_slots = self.free_slots - (scores > -math.inf).sum(1, keepdim=True)  # (A, 1)
        self.best_scores = torch.cat([self.best_scores, scores], 1).topk(self.best_scores.size(1)).values  # (A, n_best)
        self.totals = totals.masked_fill(is_eos, -math.inf)  # (A, K')
        return BeamStep(self.sentences, parents, tokens, totals, is_cut)

    def finished(self) -> Tensor:
        """True (A,) for the sentences whose n best hypotheses are final.

        Further tokens can only lower a log-probability, which is at most 0, and the penalty that divides it is at most
        `max_penalty`. So an unfinished hypothesis will score total / max_penalty at best; -inf where none is left.
        """
        highest_score = self.totals.amax(1) / self.max_penalty  # (A,)
        return self.best_scores[:, -1] >= highest_score

    def remove(self, finished: Sequence[bool]) -> Tensor:
        """Removes the finished sentences. Returns the indices (A',) of the others among the A sentences so far."""
        kept = [index for index, is_finished in enumerate(finished) if not is_finished]
        self.sentences = [self.sentences[index] for index in kept]
        indices = torch.tensor(kept, device=self.totals.device)  # (A',)
        self.max_lengths = self.max_lengths[indices]  # (A',)
        self.max_penalty = self.max_penalty[indices]  # (A',)
        self.totals = self.totals[indices]  # (A', K)
        self.free_slots = self.free_slots[indices]  # (A', 1)
        self.best_scores = self.best_scores[indices]  # (A', n_best)
        return indices


@dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """Keeps K slots for each sentence and fills them at every step with the best continuations of their hypotheses.

    A finished hypothesis keeps its slot (Sutskever et al., 2014, §3.2; https://arxiv.org/abs/1409.3215). Therefore a
    beam of size 1 is greedy search, and a beam with a slot for every prefix is an exhaustive search.

    A sentence is finished when all its slots hold finished hypotheses, or when no other hypothesis can still reach the
    n best, see `Beam.finished`.

    Args:
        beam_size: K.
        length_penalty: α of `LengthPenalty`.
        max_length_factor: see `LengthLimit`.
        max_length_margin: see `LengthLimit`.
        min_length: minimum number of tokens before `eos`. A hypothesis ends earlier only if nothing else is possible,
            or if the model takes no more.
        no_repeat_ngram: no hypothesis contains any n-gram of this size twice; None or 0 allows everything.

    Raises:
        UserError: an argument is out of range.
    """

    beam_size: int
    length_penalty: float
    max_length_factor: float
    max_length_margin: int
    min_length: int = 0
    no_repeat_ngram: int | None = None

    def __post_init__(self) -> None:
        check_sizes(beam_size=self.beam_size)
        check_counts(min_length=self.min_length, no_repeat_ngram=self.no_repeat_ngram or 0)
        self.penalty()
        self.length_limit()

    def penalty(self) -> LengthPenalty:
        """The length penalty by which hypotheses are ranked."""
        return LengthPenalty(self.length_penalty)

    def length_limit(self) -> LengthLimit:
        """The maximum number of target tokens, by the length of the source."""
        return LengthLimit(factor=self.max_length_factor, margin=self.max_length_margin, min_length=self.min_length)

    def changed(self, **changes: Unpack[SearchArguments]) -> BeamSearch:
        """The same search with some arguments changed."""
        return replace(self, **changes)

    @property
    def has_beam(self) -> bool:
        """A larger beam finds more hypotheses."""
        return True

    @torch.inference_mode()
    def __call__(self, model: TranslationModel, request: SearchRequest) -> list[list[Hypothesis]]:
        """Translates a batch; see `Search`.

        Raises:
            UserError: `n_best` is not between 1 and K.
        """
        self._check_n_best(request.n_best)
        length_penalty = self.penalty()
        source, prefixes, device = request.source, request.prefixes, request.source.device
        memory = model.encode(source, request.source_mask)
        source_lengths = request.source_mask.sum(1).tolist()  # B
        max_lengths = self.length_limit().of_batch(source_lengths, model.max_length, prefixes)  # B
        forced = None if prefixes is None else ForcedPrefixes(prefixes, device)
        beam = Beam.start(torch.tensor(max_lengths, device=device), self.beam_size, request.n_best, length_penalty)
        banned = torch.tensor(request.banned_ids, dtype=torch.int64, device=device)
        state = model.start(memory)
        tokens = source.new_full((source.size(0),), request.bos_id)  # (A·K,): one hypothesis of each sentence
        history = tokens.new_empty((source.size(0), 0))  # (A·K, t), all tokens so far; empty unless they are needed
        steps: list[BeamStep] = []
        for length in range(1, max(max_lengths) + 1):
            # 1. The probabilities of the next token, and what it may be.
            logits, state = model.step(tokens, state, memory)
            log_probabilities = masked_log_softmax(logits, banned)  # (A·K, V)
            num_active, width = beam.totals.shape
            next_forced = None if forced is None else forced.tokens(length - 1, beam.sentences, width)  # (A·K,)
            at_limit = beam.at_limit(length) if length in max_lengths else None  # (A·K,)
            is_cut = constrain(
                log_probabilities,
                history,
                length=length,
                min_length=self.min_length,
                no_repeat_ngram=self.no_repeat_ngram,
                forced=next_forced,
                at_limit=at_limit,
                eos_id=request.eos_id,
            )  # (A·K,)
            # 2. The best continuations of each sentence.
            step = beam.extend(log_probabilities, is_cut, eos_id=request.eos_id, penalty=length_penalty(float(length)))
            steps.append(step)
            if request.observer is not None:
                request.observer(log_probabilities, step)
            # 3. The sentences that are finished. The host reads nothing else from the device in a step: while it waits
            # for a value, it cannot queue the next operations, and the GPU becomes idle.
            finished = beam.finished().tolist()
            if all(finished):
                break
            # 4. The decoder states and tokens of the continuations: row a·K + parent of the states before.
            first_rows = torch.arange(0, num_active * width, width, device=device).unsqueeze(1)  # (A, 1)
            rows, tokens, kept = first_rows + step.parents, step.tokens, None  # (A, K'), (A, K')
            if sum(finished) >= MIN_FINISHED_SHARE * len(finished):
                kept = beam.remove(finished)  # (A',)
                rows, tokens, memory = rows[kept], tokens[kept], memory.select(kept)  # (A', K'), (A', K')
            state, tokens = state.select(rows, kept), tokens.flatten()  # tokens: (A'·K',)
            if self.no_repeat_ngram:
                history = torch.cat([history[rows.flatten()], tokens.unsqueeze(1)], dim=1)  # (A'·K', t + 1)
        return backtrace(steps, source.size(0), request.eos_id, request.n_best, length_penalty)

    def _check_n_best(self, n_best: int) -> None:
        if not 1 <= n_best <= self.beam_size:
            remedy = f": set search.beam_size={n_best}" if n_best > self.beam_size else ""
            raise UserError(f"n_best={n_best} must be from 1 to search.beam_size={self.beam_size}{remedy}")
