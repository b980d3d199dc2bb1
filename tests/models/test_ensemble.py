"""An ensemble of an LSTM and a Transformer, compared with the mean of their probabilities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from nmt.models.ensemble import Ensemble, mean_log_probabilities
from nmt.models.seq2seq import TranslationModel

if TYPE_CHECKING:
    from tests.models.conftest import Variant

SOURCE = torch.tensor([[5, 6, 7, 4, 2], [8, 3, 2, 0, 0]])
TARGET = torch.tensor([[1, 4, 5, 6], [1, 7, 8, 9]])


@pytest.fixture
def members(variant: Variant) -> list[TranslationModel]:
    """An LSTM without attention, and a model of each architecture."""
    lstm = type(variant)("lstm", variant.num_layers, variant.shared_vocab, variant.tie_output)
    return [lstm.build(seed=2), variant.build()]


def step_through(model: TranslationModel) -> Tensor:
    """Steps through the target; returns the logits (B, T, V)."""
    memory = model.encode(SOURCE, SOURCE != 0)
    state, logits = model.start(memory), []
    for token in TARGET.unbind(1):
        step_logits, state = model.step(token, state, memory)
        logits.append(step_logits)
    return torch.stack(logits, 1)


def test_step_probabilities_are_the_mean_of_the_members(members: list[TranslationModel]) -> None:
    first, second = (step_through(member).softmax(-1) for member in members)
    assert (first - second).abs().max() > 0.1
    ensemble = Ensemble(members)
    torch.testing.assert_close(step_through(ensemble).softmax(-1), (first + second) / 2)
    torch.testing.assert_close(ensemble(SOURCE, SOURCE != 0, TARGET).exp(), (first + second) / 2)
    ensemble.prepare_for_decoding()
    torch.testing.assert_close(step_through(ensemble).exp(), (first + second) / 2)


def test_each_member_keeps_its_own_hypotheses(members: list[TranslationModel]) -> None:
    ensemble = Ensemble(members)
    memory = ensemble.encode(SOURCE, SOURCE != 0)
    _, state = ensemble.step(TARGET[:, 0], ensemble.start(memory), memory)
    rows = torch.tensor([1])  # the first sentence is finished
    token = TARGET[rows, 1]
    logits, _ = ensemble.step(token, state.select(rows, rows), memory.select(rows))
    torch.testing.assert_close(logits, step_through(ensemble)[rows, 1])


def test_the_attention_is_the_mean_over_members_layers_and_heads(variant: Variant) -> None:
    luong = type(variant)("lstm_luong-dot-fed", variant.num_layers, variant.shared_vocab, variant.tie_output)
    lstm = type(variant)("lstm", variant.num_layers, variant.shared_vocab, variant.tie_output)
    inputs = (SOURCE, SOURCE != 0, TARGET)
    members: list[TranslationModel] = [luong.build(seed=2), variant.build(), lstm.build(seed=3)]
    means = [
        attention["cross"].flatten(1, 2).mean(1)  # (B, T, S)
        for member in members
        if (attention := member.attention(*inputs, kinds=["cross"]))
    ]
    ensemble = Ensemble(members)
    attention = ensemble.attention(*inputs)
    assert attention.keys() == {"cross"}
    assert attention["cross"].shape == (2, 1, 1, 4, 5)
    torch.testing.assert_close(attention["cross"][:, 0, 0], sum(means) / len(means))
    assert torch.equal(ensemble.attention(*inputs, kinds=["cross"], layer=0)["cross"], attention["cross"])
    assert ensemble.attention(*inputs, kinds=["cross"], layer=1) == {}
    assert ensemble.attention(*inputs, kinds=["encoder", "decoder"]) == {}
    assert ensemble.cross_attention_shape() == (1, 1)
    assert not any(module.training for module in ensemble.modules())  # as before: dropout stays off
    assert Ensemble([lstm.build(), lstm.build()]).attention(*inputs) == {}
    assert Ensemble([lstm.build()]).cross_attention_shape() is None


def test_the_smallest_limit_counts(members: list[TranslationModel]) -> None:
    assert Ensemble(members).max_length == members[1].max_length
    assert Ensemble(members[:1]).max_length is None


def test_probabilities_that_are_too_small_for_a_float_keep_their_logarithm() -> None:
    logits = torch.tensor([[0.0, -300.0]])  # e^-300 is 0 as a 32-bit number
    other = torch.tensor([[0.0, -301.0]])
    expected = -300 + math.log((1 + math.exp(-1)) / 2)
    torch.testing.assert_close(mean_log_probabilities([logits, other]), torch.tensor([[0.0, expected]]))
    small = torch.tensor([[0.0, -3.0]])
    assert torch.equal(mean_log_probabilities([small.bfloat16()]), mean_log_probabilities([small]))
    impossible = torch.tensor([[0.0, -math.inf]])
    assert mean_log_probabilities([impossible, impossible]).tolist() == [[0.0, -math.inf]]
    assert mean_log_probabilities([impossible, logits])[0, 1] == pytest.approx(-300 - math.log(2))
