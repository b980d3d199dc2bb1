"""Training for the benchmark: operations counted by hand, both models on the same batches, rates by hand."""

import itertools
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt import models
from nmt.benchmark.training import TimedUpdates, count_step_flops, measure_training, percentiles
from nmt.data.batch import Batch
from nmt.models import Seq2Seq
from nmt.run.registry import build
from nmt.training.distributed import Processes
from nmt.training.loss import Objective
from nmt.training.update import PendingUpdate, Updater

Log = list[tuple[str, Batch | None]]
"""The names of updaters, with the batches of their updates; None when the updater was created."""


class OneLinearLayer(nn.Module):
    """Embeddings and one linear layer from 5 numbers to 7; it ignores the source."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 5)
        self.linear = nn.Linear(5, 7)

    def forward(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        return self.linear(self.embedding(target_input))  # (B, T, 7)


def test_operations_of_a_linear_layer_by_hand(batch: Batch) -> None:
    model: Any = OneLinearLayer()
    positions = batch.target_input.numel()
    # The output, the gradient of the input and the gradient of the weights: three products of positions x 5 x 7.
    assert count_step_flops(model, [batch]) == 3 * 2 * positions * 5 * 7
    assert count_step_flops(model, [batch] * 3) == 3 * count_step_flops(model, [batch])


def test_counting_changes_nothing(batch: Batch, description: dict[str, Any]) -> None:
    model: Seq2Seq = build(description, models).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert count_step_flops(model, [batch]) > 0
    assert not model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_attention_and_recurrence_are_counted(batch: Batch, description: dict[str, Any]) -> None:
    """torch's counter knows neither fused LSTMs nor the fused attention of CPUs; without them the count is too low."""
    model: Seq2Seq = build(description, models)
    weights = {name: parameter for name, parameter in model.named_parameters() if parameter.dim() > 1}
    output_size = model.get_parameter("vocabulary.output.weight").numel()
    output = 3 * 2 * batch.target_input.numel() * output_size
    others = sum(weight.numel() for name, weight in weights.items() if not name.startswith("vocabulary"))
    # Every other matrix is used at least once at each of at least 9 positions of a sentence.
    assert count_step_flops(model, [batch]) > output + 3 * 2 * 9 * others


def make_recording_updater(name: str, log: Log, description: dict[str, Any]) -> Updater:
    """An updater that logs when it is created, and each batch of its updates."""
    model: Seq2Seq = build(description, models)

    class RecordingUpdater(Updater):
        def update(self, batches: Sequence[Batch], *, rate: float, step: int) -> PendingUpdate:
            log.extend((name, batch) for batch in batches)
            return super().update(batches, rate=rate, step=step)

    log.append((name, None))
    return RecordingUpdater(
        model=model,
        objective=Objective(model, label_smoothing=0.1),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
        autocast=nullcontext,
        clip_norm=1.0,
        processes=Processes(),
    )


@pytest.mark.parametrize("description", ["lstm_luong"], indirect=True)
def test_both_models_learn_from_the_same_batches_in_turn(description: dict[str, Any], batch: Batch) -> None:
    log: Log = []
    peaks = iter([3e9, 1e9, 2e9])
    first_number = batch.num_tokens  # the batches differ in num_tokens alone, which tells them apart
    result = measure_training(
        lambda: make_recording_updater("model", log, description),
        lambda: make_recording_updater("plain", log, description),
        (replace(batch, num_tokens=number) for number in itertools.count(first_number)),
        rounds=3,
        steps=2,
        warmup_steps=1,
        measure_peak=lambda: next(peaks),
    )
    events = [(name, "created" if used is None else used.num_tokens - first_number) for name, used in log]
    warmup = [("model", "created"), ("model", 0), ("plain", "created"), ("plain", 0)]
    rounds = [(name, first + step) for first in (1, 3, 5) for name in ("model", "plain") for step in (0, 1)]
    assert events == [*warmup, *rounds]

    model, plain, ratio = result["model"], result["plain"], result["ratio"]
    assert set(model) - set(plain) == {
        "waiting_share",
        "peak_memory_bytes",
        "flops_per_target_token",
        "matrix_peak_flops_per_second",
        "share_of_matrix_peak",
    }
    assert set(plain) <= set(model)
    assert model["matrix_peak_flops_per_second"] == 2e9
    flops = count_step_flops(build(description, models), [batch])
    assert model["flops_per_target_token"] == pytest.approx(flops / (first_number + 1.5))  # batches 1 and 2
    assert 0 <= model["waiting_share"] < 1
    assert len(ratio["rounds"]) == 3
    assert ratio["lowest"] <= ratio["median"] <= ratio["highest"]


def test_rates_by_hand(batch: Batch) -> None:
    # Six pairs: sources of 3 to 8 pieces and targets of 9 to 4 pieces, each followed by eos.
    updates = TimedUpdates(seconds=[0.5, 1.5], waiting_seconds=0.0, batches=[batch, batch])
    assert updates.rates() == {
        "target_tokens_per_second": 45.0,
        "tokens_per_second": 84.0,
        "sentences_per_second": 6.0,
    }


def test_percentiles_by_hand() -> None:
    assert percentiles([float(number) for number in range(101)]) == {"p50": 50.0, "p90": 90.0, "p99": 99.0}
