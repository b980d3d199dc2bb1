"""Beam search: the K most probable beginnings, side by side, for all sentences of a batch at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.models.seq2seq import Seq2Seq, check_sizes
from nmt.search.hypothesis import Hypothesis
from nmt.search.scoring import LengthLimit, LengthPenalty, end_here


@dataclass(frozen=True)
class Step:
    """What one step decided, kept to walk back along; A sentences were still being translated, K beams each."""

    parents: Tensor  # (A, K), the beam of the step before that each slot continues
    tokens: Tensor  # (A, K), the token that it adds
    totals: Tensor  # (A, K), log-probability so far
    ended: Tensor  # (A, K), the slot's hypothesis took `eos` at this step
    attention: Tensor | None  # (A, K, …, S), weights of each *parent* at this step
    row_of: dict[int, int]  # from a sentence of the batch to its row among the A


@dataclass
class Front:
    """The A sentences that are still being translated, and where their K slots stand."""

    sentences: list[int]  # A, their places in the batch
    limits: Tensor  # (A,), the most tokens of each
    totals: Tensor  # (A, K), log-probability of each hypothesis that goes on; -inf in the other slots
    room: Tensor  # (A, 1), slots whose hypothesis has not ended
    best_ended: Tensor  # (A, K), scores of those that have, best first

    @classmethod
    def at_start(cls, limits: Tensor, width: int) -> Front:
        """All slots of a sentence begin alike, so one of them speaks for all."""
        size = limits.size(0)
        totals = torch.full((size, width), -math.inf, device=limits.device)
        best_ended = totals.clone()
        totals[:, 0] = 0.0
        return cls(list(range(size)), limits, totals, limits.new_full((size, 1), width), best_ended)

    def extend(self, log_probabilities: Tensor, attention: Tensor | None, eos_id: int) -> Step:
        """Fills the slots with the best continuations, given the next token's log-probabilities (A·K, V)."""
        size, width = self.totals.shape
        num_tokens = log_probabilities.size(-1)
        continued = (self.totals.unsqueeze(-1) + log_probabilities.view(size, width, -1)).flatten(1)  # (A, K·V)
        totals, chosen = continued.topk(width)  # (A, K) twice, best first
        parents, tokens = chosen // num_tokens, chosen % num_tokens
        # The slots of hypotheses that have ended are taken: only so many of the best continuations find room.
        totals = totals.masked_fill(torch.arange(width, device=totals.device) >= self.room, -math.inf)
        ended = (tokens == eos_id) & totals.isfinite()  # (A, K)
        self.room = self.room - ended.sum(1, keepdim=True)
        self.totals = totals.masked_fill(ended, -math.inf)
        weights = None if attention is None else attention.view(size, width, *attention.shape[1:])
        return Step(parents, tokens, totals, ended, weights, {number: row for row, number in enumerate(self.sentences)})

    def done(self, step: Step, length: int, n_best: int, penalty: LengthPenalty) -> Tensor:
        """Which sentences (A,) have their `n_best` hypotheses for good.

        The log-probability of a hypothesis that goes on can only fall, and its penalty grow no further than at the
        length limit: what it has now, over that penalty, is the most that it can reach.
        """
        scores = (step.totals / penalty(float(length))).masked_fill(~step.ended, -math.inf)
        self.best_ended = torch.cat([self.best_ended, scores], dim=1).topk(scores.size(1)).values  # (A, K)
        reachable = self.totals.max(1).values / penalty(self.limits.float())  # (A,)
        return (reachable == -math.inf) | (self.best_ended[:, n_best - 1] >= reachable)

    def keep(self, rows: Tensor) -> None:
        """Lets all sentences leave but those in `rows`."""
        self.sentences = [self.sentences[row] for row in rows.tolist()]
        self.limits, self.totals, self.room = self.limits[rows], self.totals[rows], self.room[rows]
        self.best_ended = self.best_ended[rows]


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
        slots = torch.arange(width, device=source.device)  # (K,)
        memory = model.encode(source, source_mask)
        front = Front.at_start(self.limit(source_mask, model.max_length), width)
        memory = memory.select(torch.arange(source.size(0), device=source.device).repeat_interleave(width))
        state = model.start(memory)
        tokens = source.new_full((source.size(0) * width,), bos_id)  # (A·K,)
        steps: list[Step] = []
        for length in range(1, int(front.limits.max()) + 1):
            output = model.step(tokens, state, memory, need_attention=need_attention)
            log_probabilities = output.logits.float().log_softmax(-1)  # (A·K, V)
            log_probabilities[:, banned_ids] = -math.inf
            end_here(log_probabilities, (front.limits == length).repeat_interleave(width), eos_id)
            step = front.extend(log_probabilities, output.attention_weights, eos_id)
            steps.append(step)
            rows = (
                torch.arange(len(front.sentences), device=source.device).unsqueeze(1) * width + step.parents
            )  # (A, K)
            tokens = step.tokens
            done = front.done(step, length, n_best, self.penalty)
            if bool(done.any()):
                going = (~done).nonzero().squeeze(1)
                if len(going) == 0:
                    break
                front.keep(going)
                rows, tokens = rows[going], tokens[going]
                memory = memory.select((going.unsqueeze(1) * width + slots).flatten())
            state, tokens = output.state.select(rows.flatten()), tokens.flatten()

        lengths = source_mask.sum(1).tolist()
        return [self._walk_back(steps, sentence, lengths[sentence], n_best) for sentence in range(source.size(0))]

    def _walk_back(self, steps: Sequence[Step], sentence: int, source_length: int, n_best: int) -> list[Hypothesis]:
        """Collects the hypotheses of one sentence that have ended, and follows the best of them to the beginning."""
        ends = []
        for length, step in enumerate(steps, start=1):
            if sentence not in step.row_of:
                break
            row = step.row_of[sentence]
            for slot in step.ended[row].nonzero().flatten().tolist():
                total = float(step.totals[row, slot])
                ends.append((total / self.penalty(float(length)), total, length, slot))
        ends.sort(key=lambda end: -end[0])
        return [self._follow(steps, sentence, source_length, *end) for end in ends[:n_best]]

    @staticmethod
    def _follow(
        steps: Sequence[Step], sentence: int, source_length: int, score: float, total: float, length: int, slot: int
    ) -> Hypothesis:
        tokens, attention = [], []
        for step in reversed(steps[:length]):
            row = step.row_of[sentence]
            tokens.append(int(step.tokens[row, slot]))
            slot = int(step.parents[row, slot])
            if step.attention is not None:
                attention.append(step.attention[row, slot, ..., :source_length])
        weights = torch.stack(attention[::-1]).cpu() if attention else None  # (T, …, S)
        return Hypothesis(tuple(reversed(tokens)), total, score, weights)
