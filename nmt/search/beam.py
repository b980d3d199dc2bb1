"""Beam search: the K most probable beginnings, side by side, for all sentences of a batch at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from nmt.checks import check_sizes
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.search.candidates import best_continuations, normalise
from nmt.search.hypothesis import Hypothesis
from nmt.search.scoring import LengthLimit, LengthPenalty, end_here

LEAVE = 8
"""Sentences that are done leave the batch as soon as they are one in so many: then all that stay are moved.
What a sentence that waits still finds cannot be better than what it has."""


@dataclass(frozen=True)
class Step:
    """What one step decided, kept to walk back along; A sentences were still being translated, K slots each."""

    parents: Tensor  # (A, K), the slot of the step before that each continues
    tokens: Tensor  # (A, K), the token that it adds
    totals: Tensor  # (A, K), log-probability so far; -inf of a slot without a hypothesis
    attention: Tensor | None  # (A, K, …, S), weights of each *parent* at this step
    sentences: list[int]  # A, their places in the batch


@dataclass
class Front:
    """The A sentences that are still being translated, and where their K slots stand; at first K is 1."""

    sentences: list[int]  # A, their places in the batch
    limits: Tensor  # (A,), the most tokens of each
    greatest: Tensor  # (A,), the length penalty at that limit
    totals: Tensor  # (A, K), log-probability of each hypothesis that goes on; -inf in the other slots
    slots: Tensor  # (K,), 0 … K - 1 of the search
    room: Tensor  # (A, 1), slots whose hypothesis has not ended
    best_ended: Tensor  # (A, n), scores of the n best that have, best first

    @classmethod
    def at_start(cls, limits: Tensor, width: int, n_best: int, penalty: LengthPenalty) -> Front:
        """With one hypothesis each, of no tokens."""
        size = limits.size(0)
        greatest = penalty(limits.float())
        best_ended = greatest.new_full((size, n_best), -math.inf)
        slots = torch.arange(width, device=limits.device)
        room = limits.new_full((size, 1), width)
        return cls(list(range(size)), limits, greatest, greatest.new_zeros((size, 1)), slots, room, best_ended)

    def extend(self, log_probabilities: Tensor, attention: Tensor | None, eos_id: int, factor: float) -> Step:
        """Fills the slots with the best continuations.

        Args:
            log_probabilities: (A·K, V), of the next token.
            attention: of as many rows.
            factor: the length penalty of hypotheses that end here.
        """
        weights = None if attention is None else attention.view(*self.totals.shape, *attention.shape[1:])
        totals, parents, tokens = best_continuations(self.totals, log_probabilities, len(self.slots))  # 3 × (A, K')
        # The slots of hypotheses that have ended are taken: only so many of the best continuations find room.
        totals = totals.masked_fill(self.slots[: totals.size(1)] >= self.room, -math.inf)
        ending = tokens == eos_id
        scores = (totals / factor).masked_fill(~ending, -math.inf)  # (A, K')
        self.totals = totals.masked_fill(ending, -math.inf)
        self.room = self.room - (scores > -math.inf).sum(1, keepdim=True)
        self.best_ended = torch.cat([self.best_ended, scores], 1).topk(self.best_ended.size(1)).values  # (A, n)
        return Step(parents, tokens, totals, weights, self.sentences)

    def done(self) -> Tensor:
        """Which sentences (A,) have their n best hypotheses for good.

        The log-probability of a hypothesis that goes on can only fall, and its penalty grow no further than at the
        length limit: what it has now, over that penalty, is the most that it can reach. Where none goes on, that is
        -inf, which is no more than anything.
        """
        return self.best_ended[:, -1] >= self.totals.amax(1) / self.greatest

    def leave(self, done: Sequence[bool]) -> Tensor:
        """Lets the sentences leave that are done; returns where those that stay were, (A',)."""
        places = [place for place, is_done in enumerate(done) if not is_done]
        self.sentences = [self.sentences[place] for place in places]
        rows = torch.tensor(places, device=self.totals.device)
        self.limits, self.greatest = self.limits[rows], self.greatest[rows]
        self.totals, self.room, self.best_ended = self.totals[rows], self.room[rows], self.best_ended[rows]
        return rows


class BeamSearch:
    """Keeps K slots for each sentence. Every step fills them with the best continuations of what they held; a
    hypothesis that ends keeps its slot for good (Sutskever et al., 2014, §3.2), so K = 1 is greedy search, and with
    slots for every prefix the search is exhaustive.

    A sentence is done when all its slots have ended, or when none of the others can still reach the n best: a
    log-probability only falls, and the penalty grows no further than the length limit's. Then it leaves the batch.

    Args:
        beam_size: K.
        length_penalty: α of `LengthPenalty`.
        max_length_factor: most target tokens for each source token.
        max_length_margin: and so many more.
    """

    def __init__(
        self, *, beam_size: int, length_penalty: float, max_length_factor: float, max_length_margin: int
    ) -> None:
        check_sizes(beam_size=beam_size)
        self.beam_size = beam_size
        self.penalty = LengthPenalty(length_penalty)
        self.limit = LengthLimit(factor=max_length_factor, margin=max_length_margin)

    @torch.inference_mode()
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
        """The `n_best` hypotheses of each sentence, best first; fewer where fewer exist within the length limit.

        Args:
            model: in evaluation mode.
            source: (B, S) ids, closed by `eos` and padded.
            source_mask: (B, S).
            bos_id: the token before the first.
            eos_id: the token that ends a translation.
            banned_ids: tokens that are never produced.
            n_best: at most K.
            need_attention: record what each token looked at.

        Raises:
            ValueError: `n_best` is not between 1 and K.
        """
        if not 1 <= n_best <= self.beam_size:
            raise UserError(f"n_best={n_best} must be from 1 to search.beam_size={self.beam_size}")
        device = source.device
        memory = model.encode(source, source_mask)
        source_lengths = source_mask.sum(1).tolist()
        limits = [self.limit(length, model.max_length) for length in source_lengths]
        front = Front.at_start(torch.tensor(limits, device=device), self.beam_size, n_best, self.penalty)
        banned = torch.tensor(banned_ids, dtype=torch.int64, device=device)
        state = model.start(memory)
        tokens = source.new_full((source.size(0),), bos_id)  # (A,): at first, one hypothesis of each sentence
        steps: list[Step] = []
        for length in range(1, max(limits) + 1):
            output = model.step(tokens, state, memory, need_attention=need_attention)
            log_probabilities = normalise(output.logits, banned)  # (A·K, V)
            size, width = front.totals.shape
            if length in limits:
                end_here(log_probabilities, (front.limits == length).repeat_interleave(width), eos_id)
            step = front.extend(log_probabilities, output.attention_weights, eos_id, self.penalty(float(length)))
            steps.append(step)
            done = front.done().tolist()  # all that the host reads in a step
            if all(done):
                break
            first = torch.arange(0, size * width, width, device=device).unsqueeze(1)  # (A, 1), row of each sentence
            rows, tokens, stay = first + step.parents, step.tokens, None  # (A, K'), (A, K')
            if sum(done) * LEAVE >= len(done):
                stay = front.leave(done)  # (A',)
                rows, tokens, memory = rows[stay], tokens[stay], memory.select(stay)
            state, tokens = output.state.select(rows, stay), tokens.flatten()
        return collect(steps, source_lengths, eos_id, n_best, self.penalty)


def collect(
    steps: Sequence[Step], source_lengths: Sequence[int], eos_id: int, n_best: int, penalty: LengthPenalty
) -> list[list[Hypothesis]]:
    """The best hypotheses of each sentence that have ended, followed back to their beginnings."""
    ends: list[list[tuple[float, float, int, int]]] = [[] for _ in source_lengths]  # score, total, step and slot
    history: list[list[tuple[list[int], list[int]]]] = [[] for _ in source_lengths]  # each step's tokens and parents
    every = [rows_of([getattr(step, name) for step in steps]) for name in ("tokens", "parents", "totals")]
    for number, step in enumerate(steps):
        factor = penalty(float(number + 1))
        for sentence, tokens, parents, totals in zip(step.sentences, *every, strict=False):
            history[sentence].append((tokens, parents))
            for slot, (token, total) in enumerate(zip(tokens, totals, strict=True)):
                if token == eos_id and total > -math.inf:
                    ends[sentence].append((total / factor, total, number, slot))
    results = []
    for sentence, ended in enumerate(ends):
        ended.sort(key=lambda end: -end[0])
        hypotheses = []
        for score, total, number, slot in ended[:n_best]:
            path = trace(history[sentence], number, slot)
            weights = attention_along(steps, sentence, path, source_lengths[sentence])
            hypotheses.append(Hypothesis(tuple(token for token, _ in path), total, score, weights))
        results.append(hypotheses)
    return results


def rows_of(matrices: Sequence[Tensor]) -> Iterator[list[Any]]:
    """The rows of all matrices, one after the other; they leave the device in one piece."""
    numbers = iter(torch.cat([matrix.flatten() for matrix in matrices]).tolist())
    return (list(islice(numbers, matrix.size(1))) for matrix in matrices for _ in range(matrix.size(0)))


def trace(history: Sequence[tuple[list[int], list[int]]], number: int, slot: int) -> list[tuple[int, int]]:
    """Each token from the first to the one that step `number` put into `slot`, and the slot that it continued."""
    path = []
    for tokens, parents in reversed(history[: number + 1]):
        path.append((tokens[slot], parents[slot]))
        slot = parents[slot]
    return path[::-1]


def attention_along(
    steps: Sequence[Step], sentence: int, path: Sequence[tuple[int, int]], source_length: int
) -> Tensor | None:
    """What each token of a path looked at, (T, …, S), its padding cut off; None where it was not recorded."""
    weights = []
    for step, (_, parent) in zip(steps, path, strict=False):
        if step.attention is None:
            return None
        weights.append(step.attention[step.sentences.index(sentence), parent, ..., :source_length])
    return torch.stack(weights).cpu()
