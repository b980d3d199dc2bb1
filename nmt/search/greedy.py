"""The most probable token at each step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nmt.models.seq2seq import Seq2Seq
from nmt.search.hypothesis import Hypothesis
from nmt.search.scoring import LengthLimit, end_here


class GreedySearch:
    """Takes the best token at each step, and never looks back; the score is the log-probability.

    Args:
        max_length_factor: most target tokens for each source token.
        max_length_margin: and so many more.
    """

    def __init__(self, *, max_length_factor: float, max_length_margin: int) -> None:
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
        """Translates source (B, S); see `BeamSearch.__call__`, whose beam of one this is."""
        if n_best != 1:
            raise ValueError(f"greedy search finds one translation, not n_best={n_best}: use search=beam")
        memory = model.encode(source, source_mask)
        state = model.start(memory)
        limits = self.limit(source_mask, model.max_length)  # (B,)
        tokens = source.new_full((source.size(0),), bos_id)  # (B,)
        totals = torch.zeros(source.size(0), device=source.device)
        ended = torch.zeros_like(tokens, dtype=torch.bool)
        history, attention = [], []
        for length in range(1, int(limits.max()) + 1):
            output = model.step(tokens, state, memory, need_attention=need_attention)
            log_probabilities = output.logits.float().log_softmax(-1)  # (B, V)
            log_probabilities[:, banned_ids] = -math.inf
            end_here(log_probabilities, limits == length, eos_id)
            best, tokens = log_probabilities.max(-1)  # (B,), (B,)
            totals += best.masked_fill(ended, 0.0)
            history.append(tokens)
            if output.attention_weights is not None:
                attention.append(output.attention_weights)
            state = output.state
            ended |= tokens == eos_id
            if bool(ended.all()):
                break
        chosen = torch.stack(history, 1).tolist()  # B × T
        weights = torch.stack(attention, 1).cpu() if attention else None  # (B, T, …, S)
        lengths = source_mask.sum(1).tolist()
        results = []
        for row, (ids, total) in enumerate(zip(chosen, totals.tolist(), strict=True)):
            end = ids.index(eos_id) + 1
            seen = weights[row, :end, ..., : lengths[row]] if weights is not None else None
            results.append([Hypothesis(tuple(ids[:end]), total, total, seen)])
        return results
