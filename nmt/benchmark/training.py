"""Training speed: the model and the plain model learn from the same batches, in turn."""

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
"""Its value does not matter, since only the time of an update is measured; low enough that training never diverges."""


class PlainObjective(nn.Module):
    """The plain model with torch's own loss, called like `nmt.training.loss.Objective`.

    The loss is computed at every position; padding is then ignored. (`Objective` leaves padding out from the start.)

    Args:
        model: computes the logits.
        label_smoothing: ε of the loss.
    """

    def __init__(self, model: Seq2Seq, *, label_smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.criterion = nn.CrossEntropyLoss(label_smoothing=label_smoothing, reduction="sum")

    def forward(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, target_output: Tensor, target_indices: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loss, twice: in place of the negative log-likelihood, which the benchmark does not use."""
        logits = self.model(source, source_mask, target_input)  # (B, T, V)
        target = target_output.flatten()  # (B·T,)
        ignored = torch.full_like(target, self.criterion.ignore_index)  # (B·T,)
        # Real tokens at their indices, "ignore" at every position of padding.
        labels = ignored.index_copy_(0, target_indices, target.index_select(0, target_indices))  # (B·T,)
        loss = self.criterion(logits.flatten(0, 1).float(), labels)  # ()
        return loss, loss.detach()


def count_step_flops(model: Seq2Seq, batches: Sequence[Batch]) -> int:
    """Floating-point operations of all matrix products in one forward and one backward pass over every batch.

    A product of an (m, k) and a (k, n) matrix takes 2·m·k·n operations: one multiplication and one addition per term.
    The backward pass needs two products of the same size, for the gradients of the input and of the weights. A matrix
    of P weights therefore takes 6·P operations per position (Kaplan et al., 2020, §2.1,
    https://arxiv.org/abs/2001.08361). Attention adds the products of queries, keys and values.

    The products are counted on torch's `meta` device, where tensors have shapes but no numbers. Nothing is computed
    there, and fused kernels are replaced by the products that they consist of.
    """
    meta = torch.device("meta")
    meta_model = copy.deepcopy(model).to(meta).train()
    with FlopCounterMode(display=False) as counter:
        for batch in batches:
            batch = batch.to(meta)
            meta_model(batch.source, batch.source_mask, batch.target_input).sum().backward()
    return int(counter.get_total_flops())


@dataclass(frozen=True)
class TimedUpdates:
    """The updates that one model made in one round.

    Attributes:
        seconds: duration of every update, including the time spent waiting for its batch.
        waiting_seconds: total time spent waiting for batches.
        batches: the batches of the updates.
    """

    seconds: list[float]
    waiting_seconds: float
    batches: list[Batch]

    def rates(self) -> dict[str, float]:
        """Real target tokens, real tokens of both sides, and sentence pairs per second."""
        total = sum(self.seconds)
        target = sum(batch.num_tokens for batch in self.batches)
        source = sum(int(batch.source_mask.sum()) for batch in self.batches)
        return {
            "target_tokens_per_second": target / total,
            "tokens_per_second": (source + target) / total,
            "sentences_per_second": sum(len(batch.source) for batch in self.batches) / total,
        }


def time_updates(updater: Updater, batches: Iterable[Batch]) -> TimedUpdates:
    """Makes one update per batch and times each."""
    waiting_seconds = 0.0
    used: list[Batch] = []
    iterator = iter(batches)
    clock = Clock(updater.model.device)
    while True:
        start = time.perf_counter()
        batch = next(iterator, None)
        waiting_seconds += time.perf_counter() - start
        if batch is None:
            return TimedUpdates(clock.seconds(), waiting_seconds, used)
        updater.update([batch], rate=LEARNING_RATE, step=1)
        clock.mark()
        used.append(batch)


def measure_training(
    make_updater: Callable[[], Updater],
    make_plain_updater: Callable[[], Updater],
    batches: Iterator[Batch],
    *,
    rounds: int,
    steps: int,
    warmup_steps: int,
    measure_peak: Callable[[], float],
) -> dict[str, Any]:
    """Trains both models in turn; see `nmt.benchmark` for the method.

    Args:
        make_updater: makes the updater of the model; called first, so that its memory can be measured alone.
        make_plain_updater: makes the updater of the plain model; called after the model's memory has been measured.
        batches: an endless sequence.
        rounds: measurements of each model.
        steps: updates of each model in one round.
        warmup_steps: updates of each model before the first round.
        measure_peak: measures the speed of matrix products, in operations per second.
    """
    updater = make_updater()
    warmup_batches = list(islice(batches, warmup_steps))
    time_updates(updater, warmup_batches)
    memory = peak_memory(updater.model.device)
    plain_updater = make_plain_updater()
    time_updates(plain_updater, warmup_batches)
    model_rounds, plain_rounds, peaks = [], [], []
    for _ in range(rounds):
        model_rounds.append(time_updates(updater, islice(batches, steps)))
        plain_rounds.append(time_updates(plain_updater, model_rounds[-1].batches))
        peaks.append(measure_peak())
    counted = model_rounds[0].batches
    flops_per_token = count_step_flops(updater.model, counted) / sum(batch.num_tokens for batch in counted)
    peak_shares = [
        flops_per_token * updates.rates()["target_tokens_per_second"] / peak
        for updates, peak in zip(model_rounds, peaks, strict=True)
    ]
    model_seconds = [sum(updates.seconds) for updates in model_rounds]
    plain_seconds = [sum(updates.seconds) for updates in plain_rounds]
    return {
        "model": summarize_rounds(model_rounds)
        | {
            "waiting_share": sum(updates.waiting_seconds for updates in model_rounds) / sum(model_seconds),
            "peak_memory_bytes": memory,
            "flops_per_target_token": flops_per_token,
            "matrix_peak_flops_per_second": median(peaks),
            "share_of_matrix_peak": median(peak_shares),
        },
        "plain": summarize_rounds(plain_rounds),
        "ratio": summarize_ratios([plain / model for model, plain in zip(model_seconds, plain_seconds, strict=True)]),
    }


def summarize_rounds(rounds: Sequence[TimedUpdates]) -> dict[str, Any]:
    """Medians of the rounds' rates, and percentiles over all updates."""
    rates = [updates.rates() for updates in rounds]
    seconds = [second for updates in rounds for second in updates.seconds]
    return {name: median(rate[name] for rate in rates) for name in rates[0]} | {"step_seconds": percentiles(seconds)}


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """The median and the slow end of a list of durations."""
    return {f"p{percent}": float(np.percentile(seconds, percent)) for percent in (50, 90, 99)}


def summarize_ratios(ratios: Sequence[float]) -> dict[str, Any]:
    """How many times faster the model is than the plain model: the median, the range and the value of every round."""
    return {"median": median(ratios), "lowest": min(ratios), "highest": max(ratios), "rounds": list(ratios)}
