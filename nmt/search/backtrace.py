"""From the steps of a beam search back to complete hypotheses.

At each step the search records only the token of each slot, and its parent: the slot of the step before that it
continues. So a finished hypothesis is read backwards, from its `eos` along the parents to its first token.

Shapes: A active sentences, K hypotheses of each before a step, K' after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nmt.search.hypothesis import Hypothesis
from nmt.search.scoring import LengthPenalty


@dataclass(frozen=True)
class BeamStep:
    """The continuations that one step kept."""

    sentences: list[int]  # A, index of each active sentence in the batch
    parents: Tensor  # (A, K'), the slot of the step before that each hypothesis continues
    tokens: Tensor  # (A, K'), the token that it adds
    totals: Tensor  # (A, K'), its log-probability; -inf for a slot without a hypothesis
    is_cut: Tensor | None  # (A, K), by *parent* slot: its end was forced by the length limit; None if no end was


class SentenceStep(NamedTuple):
    """One step of one sentence, as plain numbers on the host."""

    row: int  # of this sentence among the A active sentences of the step
    parents: list[int]  # K'
    tokens: list[int]  # K'
    totals: list[float]  # K'


class FinishedSlot(NamedTuple):
    """A finished hypothesis: its scores, and the step (from 0) and the slot in which it ended."""

    score: float
    log_probability: float
    step: int
    slot: int


def backtrace(
    steps: Sequence[BeamStep], num_sentences: int, eos_id: int, n_best: int, length_penalty: LengthPenalty
) -> list[list[Hypothesis]]:
    """Returns the `n_best` finished hypotheses of each sentence, best first.

    Args:
        steps: every step of the search, from the first.
        num_sentences: B.
        eos_id: the token that finishes a hypothesis.
        n_best: maximum number of hypotheses per sentence.
        length_penalty: the penalty that the search ranked by.
    """
    results = []
    is_cut = [None if step.is_cut is None else step.is_cut.tolist() for step in steps]  # few steps force an end
    for history in histories_by_sentence(steps, num_sentences):
        finished = [
            FinishedSlot(total / length_penalty(float(number + 1)), total, number, slot)
            for number, step in enumerate(history)
            for slot, (token, total) in enumerate(zip(step.tokens, step.totals, strict=True))
            if token == eos_id and total > -math.inf
        ]
        finished.sort(key=lambda end: -end.score)  # stable: of equal scores, the shorter hypothesis first
        hypotheses = []
        for end in finished[:n_best]:
            tokens, parents = follow_parents(history, end)
            cut_slots = is_cut[end.step]
            truncated = cut_slots is not None and cut_slots[history[end.step].row][parents[-1]]
            hypotheses.append(Hypothesis(tokens, end.log_probability, end.score, truncated))
        results.append(hypotheses)
    return results


def histories_by_sentence(steps: Sequence[BeamStep], num_sentences: int) -> list[list[SentenceStep]]:
    """The steps of each sentence, in order, until it left the batch."""
    parents = copy_rows([step.parents for step in steps])
    tokens = copy_rows([step.tokens for step in steps])
    totals = copy_rows([step.totals for step in steps])
    histories: list[list[SentenceStep]] = [[] for _ in range(num_sentences)]
    for step in steps:
        for row, sentence in enumerate(step.sentences):
            histories[sentence].append(SentenceStep(row, next(parents), next(tokens), next(totals)))
    return histories


def copy_rows(matrices: Sequence[Tensor]) -> Iterator[list[Any]]:
    """The rows of all matrices (A, K'), one after the other, as lists.

    A and K' differ from step to step, so the matrices are copied from the device as one long vector: one transfer is
    much faster than one per step.
    """
    numbers = iter(torch.cat([matrix.flatten() for matrix in matrices]).tolist())
    return (list(islice(numbers, matrix.size(1))) for matrix in matrices for _ in range(matrix.size(0)))


def follow_parents(history: Sequence[SentenceStep], end: FinishedSlot) -> tuple[tuple[int, ...], list[int]]:
    """The T tokens of a hypothesis, and for each of them the slot that it continues."""
    tokens, parents = [], []
    slot = end.slot
    for step in reversed(history[: end.step + 1]):
        tokens.append(step.tokens[slot])
        parents.append(step.parents[slot])
        slot = step.parents[slot]  # where the hypothesis was one step earlier
    return tuple(reversed(tokens)), parents[::-1]
