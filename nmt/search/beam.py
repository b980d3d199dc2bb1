"""Beam search: the K most probable beginnings, side by side, for all sentences of a batch at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.models.seq2seq import Seq2Seq, check_sizes
from nmt.search.hypothesis import Hypothesis
from nmt.search.scoring import LengthLimit, LengthPenalty


@dataclass(frozen=True)
class Step:
    """What one step decided, kept to walk back along; A sentences were still being translated, K beams each."""

    parents: Tensor  # (A, K), the beam of the step before that each slot continues
    tokens: Tensor  # (A, K), the token that it adds
    totals: Tensor  # (A, K), log-probability so far
    ended: Tensor  # (A, K), the slot's hypothesis took `eos` at this step
    attention: Tensor | None  # (A, K, …, S), weights of each *parent* at this step
    row_of: dict[int, int]  # from a sentence of the batch to its row among the A


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
        device = source.device
        batch_size = source.size(0)
        memory = model.encode(source, source_mask)
        limits = self.limit(source_mask, model.max_length)  # (A,)
        memory = memory.select(torch.arange(batch_size, device=device).repeat_interleave(width))
        state = model.start(memory)
        tokens = source.new_full((batch_size * width,), bos_id)  # (A·K,)
        totals = torch.full((batch_size, width), -math.inf, device=device)  # (A, K)
        totals[:, 0] = 0.0  # all slots begin alike: one of them speaks for all
        slots = torch.full((batch_size, 1), width, device=device)  # (A, 1), those that have not ended
        best_ended = torch.full((batch_size, width), -math.inf, device=device)  # (A, K), scores, best first
        active = list(range(batch_size))
        steps: list[Step] = []

        for length in range(1, int(limits.max()) + 1):
            output = model.step(tokens, state, memory, need_attention=need_attention)
            log_probabilities = output.logits.float().log_softmax(-1)  # (A·K, V)
            log_probabilities = log_probabilities.view(len(active), width, -1)  # (A, K, V)
            log_probabilities[..., banned_ids] = -math.inf
            at_limit = limits == length  # (A,), these have to end here
            if bool(at_limit.any()):
                ending = log_probabilities[..., eos_id].clone()
                log_probabilities.masked_fill_(at_limit[:, None, None], -math.inf)
                log_probabilities[..., eos_id] = ending

            num_tokens = log_probabilities.size(-1)
            continued = (totals.unsqueeze(-1) + log_probabilities).flatten(1)  # (A, K·V)
            totals, chosen = continued.topk(min(width, continued.size(1)))  # (A, K) twice, best first
            parents, chosen_tokens = chosen // num_tokens, chosen % num_tokens
            # Slots of hypotheses that have ended are taken: only so many of the best continuations find room.
            totals = totals.masked_fill(torch.arange(width, device=device) >= slots, -math.inf)
            ended = (chosen_tokens == eos_id) & totals.isfinite()  # (A, K)
            attention = output.attention_weights
            steps.append(
                Step(
                    parents,
                    chosen_tokens,
                    totals,
                    ended,
                    None if attention is None else attention.view(len(active), width, *attention.shape[1:]),
                    {sentence: row for row, sentence in enumerate(active)},
                )
            )

            slots = slots - ended.sum(1, keepdim=True)
            ended_scores = (totals / self.penalty(float(length))).masked_fill(~ended, -math.inf)
            best_ended = torch.cat([best_ended, ended_scores], dim=1).topk(width).values  # (A, K)
            totals = totals.masked_fill(ended, -math.inf)
            reachable = totals.max(1).values / self.penalty(limits.float())  # (A,)
            done = (reachable == -math.inf) | (best_ended[:, n_best - 1] >= reachable)
            rows = torch.arange(len(active), device=device).unsqueeze(1) * width + parents  # (A, K)
            if bool(done.any()):
                going = (~done).nonzero().squeeze(1)  # the sentences that go on
                active = [active[row] for row in going.tolist()]
                if not active:
                    break
                memory = memory.select((going.unsqueeze(1) * width + torch.arange(width, device=device)).flatten())
                rows, chosen_tokens, totals, slots, best_ended, limits = (
                    tensor[going] for tensor in (rows, chosen_tokens, totals, slots, best_ended, limits)
                )
            state = output.state.select(rows.flatten())
            tokens = chosen_tokens.flatten()

        lengths = source_mask.sum(1).tolist()
        return [self._walk_back(steps, sentence, lengths[sentence], n_best) for sentence in range(batch_size)]

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
