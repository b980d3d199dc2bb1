"""`prepare_for_decoding` changes the layout of weights, not their values; a step always uses the present weights."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from nmt.models import Seq2Seq
from nmt.models.weight_layout import store_by_columns

if TYPE_CHECKING:
    from tests.models.conftest import Variant

SOURCE = torch.tensor([[5, 6, 7, 2], [8, 2, 0, 0]])
TARGET = torch.tensor([[1, 4, 5], [1, 7, 8]])


@torch.no_grad()
def step_logits(model: Seq2Seq) -> torch.Tensor:
    """The logits (B, T, V) of the target, step by step."""
    memory = model.encode(SOURCE, SOURCE != 0)
    state, logits = model.start(memory), []
    for token in TARGET.unbind(1):
        step_logits, state = model.step(token, state, memory)
        logits.append(step_logits)
    return torch.stack(logits, 1)


@torch.no_grad()
def forward_logits(model: Seq2Seq) -> torch.Tensor:
    """The same logits by teacher forcing."""
    return model(SOURCE, SOURCE != 0, TARGET)


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_preparing_changes_no_value(largest: Variant) -> None:
    model, prepared = largest.build(), largest.build()
    prepared.prepare_for_decoding()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        assert torch.equal(prepared.get_parameter(name), parameter), name
    assert_close(step_logits(prepared), step_logits(model))
    assert_close(forward_logits(prepared), forward_logits(model))


def test_prepared_weights_are_frozen_and_stored_by_columns_where_steps_read_them(largest: Variant) -> None:
    model = largest.build()
    model.prepare_for_decoding()
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model.training
    by_columns = {
        f"{path}.{name}"
        for path, layer in model.named_modules()
        for name, weight in layer.named_parameters(recurse=False)
        if weight.dim() == 2 and weight.t().is_contiguous() and not weight.is_contiguous()
    }
    expected = {
        f"{path}.{name}"
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.RNNCellBase)
        or (isinstance(layer, nn.RNNBase) and path.startswith("decoder."))  # the encoder's reads all positions at once
        for name, weight in layer.named_parameters(recurse=False)
        if weight.dim() == 2
    }
    assert by_columns == expected
    assert "vocabulary.output.weight" in by_columns  # its twin, the embedding, stays stored by rows
    assert model.vocabulary.target.weight.is_contiguous()


@pytest.mark.parametrize("layer", [nn.Linear(3, 5), nn.LSTMCell(3, 5), nn.LSTM(3, 5, num_layers=2)])
def test_storing_by_columns_keeps_values_and_shapes(layer: nn.Module) -> None:
    before = {name: weight.clone() for name, weight in layer.named_parameters()}
    store_by_columns(layer)
    for name, weight in layer.named_parameters():
        assert torch.equal(weight, before[name])
        assert weight.dim() == 1 or weight.t().is_contiguous()


def test_a_step_uses_weights_that_were_updated_in_place(largest: Variant) -> None:
    """As validation between updates does: no copy of the old weights may be used."""
    model = largest.build()
    before = step_logits(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    for update in range(2):
        model.zero_grad()
        model(SOURCE, SOURCE != 0, TARGET).square().sum().backward()
        optimizer.step()
        assert_close(step_logits(model), forward_logits(model))
        assert (step_logits(model) - before).abs().max() > 1e-3, update
    for parameter in model.parameters():  # as checkpoints are loaded
        parameter.data.copy_(torch.randn_like(parameter))
    assert_close(step_logits(model), forward_logits(model))


def test_a_step_uses_weights_that_were_replaced_converted_or_copied(largest: Variant) -> None:
    model = largest.build()
    step_logits(model)
    twin = copy.deepcopy(model)
    for module in twin.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(parameter + torch.randn_like(parameter)))
    assert_close(step_logits(twin), forward_logits(twin))
    assert (step_logits(twin) - step_logits(model)).abs().max() > 1e-3
    assert_close(step_logits(model), forward_logits(model))
    assert step_logits(twin.float()).dtype == torch.float32
    torch.testing.assert_close(step_logits(twin), forward_logits(twin), rtol=1e-3, atol=1e-3)
