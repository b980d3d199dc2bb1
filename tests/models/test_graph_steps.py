"""The decoding step that `nmt export format=onnx` writes computes what the model computes, for every architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from nmt.export.onnx_graphs import make_steps

if TYPE_CHECKING:
    from tests.models.conftest import Variant


@torch.no_grad()
def test_steps_equal_teacher_forcing(largest: Variant) -> None:
    model = largest.build()
    source, target = torch.randint(4, 11, (3, 6)), torch.randint(4, 13, (3, 5))  # (N, S), (N, T)
    mask = torch.arange(6) < torch.tensor([[6], [2], [4]])  # (N, S)
    logits = model(source, mask, target)  # (N, T, V)
    weights = model.attention(source, mask, target, kinds=["cross"]).get("cross")  # (N, L, H, T, S)
    steps = make_steps(model)
    memory, state = steps.encode(source, mask)
    for position in range(5):
        step = steps.step(target[:, position], state, memory)
        state = step.state
        torch.testing.assert_close(step.logits, logits[:, position], rtol=0, atol=1e-5)
        assert (step.weights is None) == (weights is None)
        if step.weights is not None and weights is not None:
            torch.testing.assert_close(step.weights, weights[..., position, :], rtol=0, atol=1e-5)
