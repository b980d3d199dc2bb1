"""SkipInit: modules are constructed without random draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from nmt.models.initialization import SkipInit

if TYPE_CHECKING:
    from tests.models.conftest import Variant


def test_building_a_model_draws_no_random_number(variant: Variant) -> None:
    with SkipInit():
        model = variant.build(seed=3)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    assert torch.equal(after, torch.get_rng_state())
    drawn = variant.build(seed=3)
    assert {name: value.shape for name, value in model.state_dict().items()} == {
        name: value.shape for name, value in drawn.state_dict().items()
    }
    for name, value in drawn.named_buffers():  # buffers are not in the weight file, so they must be computed
        assert torch.equal(model.get_buffer(name), value)


def test_functions_that_draw_return_their_tensor_unchanged() -> None:
    table = torch.arange(6.0).view(2, 3)
    for name in ("uniform_", "normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_"):
        with SkipInit():
            assert getattr(nn.init, name)(table) is table
        assert table.tolist() == [[0, 1, 2], [3, 4, 5]]
    with SkipInit():
        assert table.clone().uniform_().tolist() == table.clone().normal_().tolist() == table.tolist()
        assert nn.init.ones_(table.clone()).tolist() == [[1, 1, 1], [1, 1, 1]]  # no random draw
    assert nn.init.uniform_(table.clone()).tolist() != table.tolist()
