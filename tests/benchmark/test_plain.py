"""The plain models keep the contract of `Seq2Seq`, and have the sizes of the models that they are compared with."""

from typing import Any

import pytest
import torch

from nmt import models
from nmt.benchmark.training import PlainObjective
from nmt.cli.benchmark import build_plain_model
from nmt.data.batch import Batch
from nmt.models import Seq2Seq
from nmt.run.registry import build
from nmt.training.loss import Objective

Models = tuple[Seq2Seq, Seq2Seq]
"""A model, and the plain model of the same sizes."""


@pytest.fixture
def both(description: dict[str, Any]) -> Models:
    return build(description, models).eval(), build_plain_model(description).eval()


def test_a_plain_model_has_the_name_and_the_size_of_its_model(both: Models) -> None:
    model, plain_model = both
    assert type(model).__name__ == type(plain_model).__name__
    assert type(model) is not type(plain_model)
    assert plain_model.num_parameters() == pytest.approx(model.num_parameters(), rel=0.06)
    assert plain_model.vocabulary.output.weight is plain_model.vocabulary.source.weight
    assert plain_model.max_length == model.max_length


def test_the_first_loss_of_a_plain_model_is_close_to_the_models(both: Models, batch: Batch) -> None:
    model, plain_model = both
    expected, _ = Objective(model, label_smoothing=0.1)(*batch.tensors)
    plain_loss, _ = PlainObjective(plain_model, label_smoothing=0.1)(*batch.tensors)
    assert plain_loss.item() == pytest.approx(expected.item(), rel=0.25)


def test_both_objectives_compute_the_same_loss(both: Models, batch: Batch) -> None:
    model, _ = both
    expected, plain_loss = (kind(model, label_smoothing=0.1)(*batch.tensors)[0] for kind in (Objective, PlainObjective))
    torch.testing.assert_close(plain_loss, expected)


def test_decoding_steps_of_a_plain_model_equal_teacher_forcing(both: Models, batch: Batch) -> None:
    _, plain_model = both
    expected = plain_model(batch.source, batch.source_mask, batch.target_input)
    rows = torch.tensor([3, 1, 1])
    memory = plain_model.encode(batch.source, batch.source_mask).select(rows)
    state, logits = plain_model.start(memory), []
    for token in batch.target_input[rows].unbind(1):
        step_logits, state = plain_model.step(token, state, memory)
        state = state.select(torch.arange(3), None)
        logits.append(step_logits)
    torch.testing.assert_close(torch.stack(logits, 1), expected[rows], rtol=0.0, atol=1e-5)


def test_padding_changes_nothing_in_a_plain_model(both: Models, batch: Batch) -> None:
    _, plain_model = both
    changed = batch.source.masked_fill(~batch.source_mask, 7)
    logits, logits_of_changed = (
        plain_model(source, batch.source_mask, batch.target_input) for source in (batch.source, changed)
    )
    torch.testing.assert_close(logits, logits_of_changed)


def test_every_parameter_of_a_plain_model_learns(both: Models, batch: Batch) -> None:
    _, plain_model = both
    PlainObjective(plain_model, label_smoothing=0.1)(*batch.tensors)[0].backward()
    for name, parameter in plain_model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
