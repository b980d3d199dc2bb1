"""Beam search: the K most probable beginnings, side by side, for all sentences of a batch at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.models.seq2seq import Seq2Seq, check_sizes
from nmt.search.candidates import best_continuations, normalise, rows_of
from nmt.search.hypothesis import Hypothesis
from nmt.search.scoring import LengthLimit, LengthPenalty, end_here

LEAVE = 8
"""Sentences that are done leave the batch as soon as they are one in so many: then all that stay are moved.
What a sentence that waits still finds cannot be better than what it has."""


@dataclass(frozen=True)
class Step:
    """What one step decided, kept to walk back along; A sentences were still being translated, K beams each."""

    parents: Tensor  # (A, K), the beam of the step before that each slot continues
    tokens: Tensor  # (A, K), the token that it adds
    totals: Tensor  # (A, K), log-probability so far
    ended: Tensor  # (A, K), the slot's hypothesis took `eos` at this step
    attention: Tensor | None  # (A, K, …, S), weights of each *parent* at this step; (A, 1, …, S) at the first
    sentences: list[int]  # A, their places in the batch


@dataclass
class Front:
    """The A sentences that are still being translated, and where their K slots stand."""

    sentences: list[int]  # A, their places in the batch
    limits: Tensor  # (A,), the most tokens of each
    greatest: Tensor  # (A,), the length penalty at that limit
    totals: Tensor  # (A, K), log-probability of each hypothesis that goes on; -inf in the other slots
    room: Tensor  # (A, 1), slots whose hypothesis has not ended
    best_ended: Tensor  # (A, K), scores of those that have, best first

    @classmethod
    def at_start(cls, limits: Tensor, width: int, penalty: LengthPenalty) -> Front:
        """All slots of a sentence begin alike, so one of them speaks for all."""
        size = limits.size(0)
        totals = torch.full((size, width), -math.inf, device=limits.device)
        best_ended = totals.clone()
        totals[:, 0] = 0.0
        room = limits.new_full((size, 1), width)
        return cls(list(range(size)), limits, penalty(limits.float()), totals, room, best_ended)

    def extend(self, log_probabilities: Tensor, attention: Tensor | None, eos_id: int) -> Step:
        """Fills the slots with the best continuations, given the next token's log-probabilities (A·K or A, V)."""
        size, width = self.totals.shape
        totals, parents, tokens = best_continuations(self.totals, log_probabilities)  # (A, K) each, best first
        # The slots of hypotheses that have ended are taken: only so many of the best continuations find room.
        totals = totals.masked_fill(torch.arange(width, device=totals.device) >= self.room, -math.inf)
        ended = (tokens == eos_id) & totals.isfinite()  # (A, K)
        self.room = self.room - ended.sum(1, keepdim=True)
        self.totals = totals.masked_fill(ended, -math.inf)
        weights = None if attention is None else attention.view(size, -1, *attention.shape[1:])
        return Step(parents, tokens, totals, ended, weights, self.sentences)

    def done(self, step: Step, length: int, n_best: int, penalty: LengthPenalty) -> Tensor:
        """Which sentences (A,) have their `n_best` hypotheses for good.

        The log-probability of a hypothesis that goes on can only fall, and its penalty grow no further than at the
        length limit: what it has now, over that penalty, is the most that it can reach.
        """
        scores = (step.totals / penalty(float(length))).masked_fill(~step.ended, -math.inf)
        self.best_ended = torch.cat([self.best_ended, scores], dim=1).topk(scores.size(1)).values  # (A, K)
        reachable = self.totals.amax(1) / self.greatest  # (A,)
        return (reachable == -math.inf) | (self.best_ended[:, n_best - 1] >= reachable)

    def keep(self, rows: Tensor) -> None:
        """Lets all sentences leave but those in `rows`."""
        self.sentences = [self.sentences[row] for row in rows.tolist()]
        self.limits, self.greatest = self.limits[rows], self.greatest[rows]
        self.totals, self.room, self.best_ended = self.totals[rows], self.room[rows], self.best_ended[rows]


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
        width = self.beam_size
        if not 1 <= n_best <= width:
            raise ValueError(f"n_best={n_best} must be from 1 to search.beam_size={width}")
        memory = model.encode(source, source_mask)
        limits = self.limit(source_mask, model.max_length)  # (B,)
        last_steps = set(limits.tolist())
        front = Front.at_start(limits, width, self.penalty)
        state = model.start(memory)
        tokens = source.new_full((source.size(0),), bos_id)  # (A,): at first, one hypothesis of each sentence
        steps: list[Step] = []
        for length in range(1, max(last_steps) + 1):
            output = model.step(tokens, state, memory, need_attention=need_attention)
            log_probabilities = normalise(output.logits, banned_ids)  # (A·K, V)
            going = len(front.sentences)
            num_rows = len(tokens) // going  # K, at first 1
            if length in last_steps:
                end_here(log_probabilities, (front.limits == length).repeat_interleave(num_rows), eos_id)
            step = front.extend(log_probabilities, output.attention_weights, eos_id)
            steps.append(step)
            rows, tokens = rows_of(step.parents, num_rows), step.tokens  # (A, K)
            done = front.done(step, length, n_best, self.penalty)
            num_done = int(done.sum())
            if num_done == going:
                break
            if num_done * LEAVE >= going:
                stay = (~done).nonzero().squeeze(1)
                front.keep(stay)
                rows, tokens, memory = rows[stay], tokens[stay], memory.select(stay)
            state, tokens = output.state.select(rows), tokens.flatten()
        return collect(steps, source_mask.sum(1).tolist(), n_best, self.penalty)


def collect(
    steps: Sequence[Step], source_lengths: Sequence[int], n_best: int, penalty: LengthPenalty
) -> list[list[Hypothesis]]:
    """The best hypotheses of each sentence that have ended, followed back to their beginnings."""
    ends: list[list[tuple[float, float, int, int]]] = [[] for _ in source_lengths]  # score, total, step and slot
    history: list[list[tuple[list[int], list[int]]]] = [[] for _ in source_lengths]  # each step's tokens and parents
    for number, step in enumerate(steps):
        factor = penalty(float(number + 1))
        rows = zip(
            step.sentences,
            step.tokens.tolist(),
            step.parents.tolist(),
            step.totals.tolist(),
            step.ended.tolist(),
            strict=True,
        )
        for sentence, tokens, parents, totals, ended in rows:
            history[sentence].append((tokens, parents))
            ends[sentence] += [
                (totals[slot] / factor, totals[slot], number, slot) for slot, end in enumerate(ended) if end
            ]
    results = []
    for sentence, found in enumerate(ends):
        found.sort(key=lambda end: -end[0])
        hypotheses = []
        for score, total, number, slot in found[:n_best]:
            path = trace(history[sentence], number, slot)
            weights = attention_along(steps, sentence, path, source_lengths[sentence])
            hypotheses.append(Hypothesis(tuple(token for token, _ in path), total, score, weights))
        results.append(hypotheses)
    return results


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
