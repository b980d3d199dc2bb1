"""Training measured: a model and a plain one, in turn on the same batches."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nmt.benchmark.timing import Clock
from nmt.data.batch import Batch
from nmt.device import peak_memory
from nmt.models.seq2seq import Seq2Seq
from nmt.training.update import Updater

LEARNING_RATE = 1e-4
"""Too low to matter: only the time of a step counts here."""


class PlainObjective(nn.Module):
    """A plain model and torch's loss, which goes over padding too and then ignores it; as `Objective` otherwise."""

    def __init__(self, model: Seq2Seq, *, label_smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.criterion = nn.CrossEntropyLoss(label_smoothing=label_smoothing, reduction="sum")

    def forward(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, target_output: Tensor, target_indices: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loss, twice: the nll is of no use here."""
        logits = self.model(source, source_mask, target_input)  # (B, T, V)
        target = target_output.flatten()
        ignored = torch.full_like(target, self.criterion.ignore_index)
        expected = ignored.index_copy_(0, target_indices, target.index_select(0, target_indices))
        loss: Tensor = self.criterion(logits.flatten(0, 1).float(), expected)
        return loss, loss.detach()


def step_flops(model: Seq2Seq, batches: Sequence[Batch]) -> int:
    """Operations of all matrix products of one step on each of the batches, forwards and backwards.

    They are counted on torch's `meta` device, where tensors have shapes and no numbers: nothing is computed, and fused
    kernels are taken apart into the products that they consist of.
    """
    meta = torch.device("meta")
    shapes = copy.deepcopy(model).to(meta).train()
    with FlopCounterMode(display=False) as counter:
        for batch in batches:
            like = batch.to(meta)
            shapes(like.source, like.source_mask, like.target_input).sum().backward()
    return int(counter.get_total_flops())


@dataclass(frozen=True)
class Round:
    """What one learner did in one round.

    Args:
        seconds: of each step.
        waited: seconds of all steps together in which the next batch was not there.
        batches: what it learned from.
    """

    seconds: list[float]
    waited: float
    batches: list[Batch]

    @classmethod
    def run(cls, updater: Updater, batches: Iterable[Batch]) -> Round:
        device, waited = updater.model.device, 0.0
        taken: list[Batch] = []
        iterator = iter(batches)
        clock = Clock(device)
        while True:
            began = time.perf_counter()
            batch = next(iterator, None)
            waited += time.perf_counter() - began
            if batch is None:
                return cls(clock.seconds(), waited, taken)
            updater.update([batch], rate=LEARNING_RATE, step=1)
            clock.mark()
            taken.append(batch)

    def per_second(self) -> dict[str, float]:
        """Real target tokens, real tokens of both sides, and sentence pairs per second."""
        total = sum(self.seconds)
        target = sum(batch.num_tokens for batch in self.batches)
        source = sum(int(batch.source_mask.sum()) for batch in self.batches)
        return {
            "target_tokens_per_second": target / total,
            "tokens_per_second": (source + target) / total,
            "sentences_per_second": sum(len(batch.source) for batch in self.batches) / total,
        }


def measure_training(
    make_own: Callable[[], Updater],
    make_plain: Callable[[], Updater],
    batches: Iterator[Batch],
    *,
    rounds: int,
    steps: int,
    warmup_steps: int,
    peak: Callable[[], float],
) -> dict[str, Any]:
    """Trains both in turn; see `nmt.benchmark` for the method.

    Args:
        make_own: the model that is measured, made only when its memory can be told apart.
        make_plain: what it is held against.
        batches: without an end.
        rounds: of both.
        steps: of each in a round.
        warmup_steps: of each before the first round.
        peak: measures the matrix products' peak, in operations per second.
    """
    own = make_own()
    device = own.model.device
    first = list(islice(batches, warmup_steps))
    Round.run(own, first)
    memory = peak_memory(device)
    plain = make_plain()
    Round.run(plain, first)
    pairs, peaks = [], []
    for _ in range(rounds):
        mine = Round.run(own, islice(batches, steps))
        pairs.append((mine, Round.run(plain, mine.batches)))
        peaks.append(peak())
    ours, theirs = zip(*pairs, strict=True)
    some = ours[0].batches
    flops_per_token = step_flops(own.model, some) / sum(batch.num_tokens for batch in some)
    shares = [
        flops_per_token * mine.per_second()["target_tokens_per_second"] / best
        for mine, best in zip(ours, peaks, strict=True)
    ]
    return {
        "model": summary(ours)
        | {
            "waiting_share": sum(mine.waited for mine in ours) / sum(sum(mine.seconds) for mine in ours),
            "peak_memory_bytes": memory,
            "flops_per_target_token": flops_per_token,
            "matrix_peak_flops_per_second": median(peaks),
            "share_of_matrix_peak": median(shares),
        },
        "plain": summary(theirs),
        "ratio": ratio([sum(other.seconds) / sum(mine.seconds) for mine, other in pairs]),
    }


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """Medians of the rounds' rates, and percentiles over all steps."""
    rates = [one.per_second() for one in rounds]
    seconds = [second for one in rounds for second in one.seconds]
    return {name: median(rate[name] for rate in rates) for name in rates[0]} | {"step_seconds": percentiles(seconds)}


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """The median and the slow end of some times."""
    return {f"p{percent}": float(np.percentile(seconds, percent)) for percent in (50, 90, 99)}


def ratio(ratios: Sequence[float]) -> dict[str, Any]:
    """How many times faster than the plain model, by round."""
    return {"median": median(ratios), "lowest": min(ratios), "highest": max(ratios), "rounds": list(ratios)}
