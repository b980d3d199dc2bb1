"""SkipInit: modules are constructed without random draws."""

from typing import Any

import torch
from torch import nn

from nmt.models.initialization import SkipInit


def test_nothing_is_drawn_for_a_model_that_a_file_fills(variant: Any) -> None:
    with SkipInit():
        model = variant.build(seed=3)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    assert torch.equal(after, torch.get_rng_state())
    drawn = variant.build(seed=3)
    assert {name: value.shape for name, value in model.state_dict().items()} == {
        name: value.shape for name, value in drawn.state_dict().items()
    }
    for name, value in drawn.named_buffers():  # what no file holds is there
        assert torch.equal(model.get_buffer(name), value)


def test_what_would_be_drawn_is_handed_back_as_it_is() -> None:
    table = torch.arange(6.0).view(2, 3)
    for name in ("uniform_", "normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_"):
        with SkipInit():
            assert getattr(nn.init, name)(table) is table
        assert table.tolist() == [[0, 1, 2], [3, 4, 5]]
    with SkipInit():
        assert table.clone().uniform_().tolist() == table.clone().normal_().tolist() == table.tolist()
        assert nn.init.ones_(table.clone()).tolist() == [[1, 1, 1], [1, 1, 1]]  # what is not drawn is done
    assert nn.init.uniform_(table.clone()).tolist() != table.tolist()
