import contextlib
import itertools
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from nmt import models
from nmt.benchmark.training import Learner, measure_training, own_loss, percentiles, step_flops
from nmt.run import build


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


@dataclass
class Recorder:
    """Stands in a model's place, and writes down what it is given."""

    name: str
    log: list

    def learner(self, description):
        model = build(description, models)
        learner = Learner(
            model=model,
            loss=own_loss(0.1),
            optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
            autocast=contextlib.nullcontext,
            clip_norm=1.0,
        )
        self.log.append((self.name, "made"))
        model.register_forward_pre_hook(lambda _, inputs: self.log.append((self.name, inputs[0].device.type)))
        return learner


@pytest.mark.parametrize("description", ["lstm_luong"], indirect=True)
def test_both_learn_from_the_same_batches_in_turn(description, batch):
    log = []
    peaks = iter([3e9, 1e9, 2e9])
    result = measure_training(
        lambda: Recorder("model", log).learner(description),
        lambda: Recorder("plain", log).learner(description),
        itertools.repeat(batch),
        rounds=3,
        steps=2,
        warmup_steps=1,
        peak=lambda: next(peaks),
    )
    warmup = [("model", "made"), ("model", "cpu"), ("plain", "made"), ("plain", "cpu")]
    in_turn = ([("model", "cpu")] * 2 + [("plain", "cpu")] * 2) * 3
    assert [entry for entry in log if entry[1] != "meta"] == warmup + in_turn
    model, plain = result["model"], result["plain"]
    assert set(plain) | {
        "waiting_share",
        "peak_memory_bytes",
        "flops_per_target_token",
        "matrix_peak_flops_per_second",
        "share_of_matrix_peak",
    } == set(model)
    pairs, source = len(batch.source), int(batch.source_mask.sum())
    per_token = model["sentences_per_second"] / model["target_tokens_per_second"]
    assert per_token == pytest.approx(pairs / batch.num_tokens)
    whole = model["tokens_per_second"] / model["target_tokens_per_second"]
    assert whole == pytest.approx((batch.num_tokens + source) / batch.num_tokens)
    assert model["matrix_peak_flops_per_second"] == 2e9
    expected = step_flops(build(description, models), [batch]) / batch.num_tokens
    assert model["flops_per_target_token"] == pytest.approx(expected)
    assert 0 <= model["waiting_share"] < 1
    assert len(result["ratio"]["rounds"]) == 3
    assert result["ratio"]["lowest"] <= result["ratio"]["median"] <= result["ratio"]["highest"]


def test_percentiles():
    assert percentiles([float(number) for number in range(101)]) == {"p50": 50.0, "p90": 90.0, "p99": 99.0}
