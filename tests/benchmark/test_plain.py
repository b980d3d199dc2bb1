"""The plain models keep the contract and have the sizes of the models they stand beside."""

from typing import Any

import pytest
import torch

from nmt import models
from nmt.benchmark.training import PlainObjective
from nmt.cli.benchmark import build_plain_model
from nmt.run.registry import build
from nmt.training.loss import Objective


@pytest.fixture
def both(description: Any) -> Any:
    return [build(description, models).eval(), build_plain_model(description).eval()]


def test_a_plain_model_is_of_the_same_kind_and_size(both: Any) -> None:
    own, other = both
    assert type(own).__name__ == type(other).__name__
    assert type(own) is not type(other)
    assert other.num_parameters() == pytest.approx(own.num_parameters(), rel=0.06)
    assert other.vocabulary.output.weight is other.vocabulary.source.weight
    assert other.max_length == own.max_length


def test_a_plain_model_begins_with_a_loss_of_the_same_size(both: Any, batch: Any) -> None:
    own, other = both
    expected, _ = Objective(own, label_smoothing=0.1)(*batch.tensors)
    found, _ = PlainObjective(other, label_smoothing=0.1)(*batch.tensors)
    assert found.item() == pytest.approx(expected.item(), rel=0.25)


def test_the_losses_are_the_same(both: Any, batch: Any) -> None:
    own, _ = both
    expected, found = (kind(own, label_smoothing=0.1)(*batch.tensors)[0] for kind in (Objective, PlainObjective))
    torch.testing.assert_close(found, expected)


def test_a_plain_step_equals_its_teacher_forcing(both: Any, batch: Any) -> None:
    _, model = both
    expected = model(batch.source, batch.source_mask, batch.target_input)
    rows = torch.tensor([3, 1, 1])
    memory = model.encode(batch.source, batch.source_mask).select(rows)
    state, logits = model.start(memory), []
    for token in batch.target_input[rows].unbind(1):
        output = model.step(token, state, memory)
        state = output.state.select(torch.arange(3), None)
        logits.append(output.logits)
    torch.testing.assert_close(torch.stack(logits, 1), expected[rows], rtol=0.0, atol=1e-5)


def test_a_plain_models_padding_changes_nothing(both: Any, batch: Any) -> None:
    _, model = both
    changed = batch.source.masked_fill(~batch.source_mask, 7)
    logits, same = (model(source, batch.source_mask, batch.target_input) for source in (batch.source, changed))
    torch.testing.assert_close(logits, same)


def test_every_parameter_of_a_plain_model_learns(both: Any, batch: Any) -> None:
    _, model = both
    PlainObjective(model, label_smoothing=0.1)(*batch.tensors)[0].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
