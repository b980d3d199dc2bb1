import contextlib
import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from nmt import models
from nmt.benchmark.training import Round, measure_training, percentiles, step_flops
from nmt.run.registry import build
from nmt.training.distributed import Processes
from nmt.training.loss import Objective
from nmt.training.update import Updater


class Projection(nn.Module):
    """Embeddings and one linear layer, 5 numbers to 7."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 5)
        self.linear = nn.Linear(5, 7)

    def forward(self, source, source_mask, target_input):
        return self.linear(self.table(target_input))


def test_operations_of_a_linear_layer_by_hand(batch):
    positions = batch.target_input.numel()
    # Forwards, the inputs' gradient and the weights': three products of positions x 5 x 7, two operations each.
    assert step_flops(Projection(), [batch]) == 3 * 2 * positions * 5 * 7
    assert step_flops(Projection(), [batch] * 3) == 3 * step_flops(Projection(), [batch])


def test_counting_changes_nothing(batch, description):
    model = build(description, models).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert step_flops(model, [batch]) > 0
    assert not model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_operations_of_attention_and_recurrence_are_counted(batch, description):
    """More than those of the output layer: torch's counter knows neither fused LSTMs nor the CPU's fused attention."""
    model = build(description, models)
    size = model.vocabulary.output.in_features
    output = 3 * 2 * batch.target_input.numel() * size * 50
    weights = sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if parameter.dim() > 1 and not name.startswith("vocabulary")
    )
    assert step_flops(model, [batch]) > output + weights * 2 * 3 * 9  # at the very least once in each of 9 rows


def recording(name, log, description):
    """An updater that writes down when it is made, and each batch that it learns from."""
    model = build(description, models)

    class Recording(Updater):
        def update(self, group, **options):
            log.extend((name, batch) for batch in group)
            return super().update(group, **options)

    log.append((name, "made"))
    return Recording(
        model=model,
        objective=Objective(model, label_smoothing=0.1),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
        autocast=contextlib.nullcontext,
        clip_norm=1.0,
        processes=Processes(),
    )


@pytest.mark.parametrize("description", ["lstm_luong"], indirect=True)
def test_both_learn_from_the_same_batches_in_turn(description, batch):
    log = []
    peaks = iter([3e9, 1e9, 2e9])
    result = measure_training(
        lambda: recording("model", log, description),
        lambda: recording("plain", log, description),
        (replace(batch, num_tokens=number) for number in itertools.count(batch.num_tokens)),
        rounds=3,
        steps=2,
        warmup_steps=1,
        peak=lambda: next(peaks),
    )
    # Batches are told apart by their number.
    seen = [(name, what if what == "made" else what.num_tokens - batch.num_tokens) for name, what in log]
    warmup = [("model", "made"), ("model", 0), ("plain", "made"), ("plain", 0)]
    in_turn = [(name, first + place) for first in (1, 3, 5) for name in ("model", "plain") for place in (0, 1)]
    assert seen == warmup + in_turn
    model, plain = result["model"], result["plain"]
    assert set(plain) | {
        "waiting_share",
        "peak_memory_bytes",
        "flops_per_target_token",
        "matrix_peak_flops_per_second",
        "share_of_matrix_peak",
    } == set(model)
    assert model["matrix_peak_flops_per_second"] == 2e9
    expected = step_flops(build(description, models), [batch]) / (batch.num_tokens + 1.5)  # of batches 1 and 2
    assert model["flops_per_target_token"] == pytest.approx(expected)
    assert 0 <= model["waiting_share"] < 1
    assert len(result["ratio"]["rounds"]) == 3
    assert result["ratio"]["lowest"] <= result["ratio"]["median"] <= result["ratio"]["highest"]


def test_rates_by_hand(batch):
    # Six pairs: sources of 3 to 8 pieces and targets of 9 to 4, each with its end.
    one = Round(seconds=[0.5, 1.5], waited=0.0, batches=[batch, batch])
    assert one.per_second() == {
        "target_tokens_per_second": 45.0,
        "tokens_per_second": 84.0,
        "sentences_per_second": 6.0,
    }


def test_percentiles():
    assert percentiles([float(number) for number in range(101)]) == {"p50": 50.0, "p90": 90.0, "p99": 99.0}
