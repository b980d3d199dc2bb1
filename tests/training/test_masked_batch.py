"""A batch without targets, which a process gets when a batch has fewer sentences than there are processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nmt.data.batch import Batch, mask_all_targets
from nmt.training.loss import Objective

if TYPE_CHECKING:
    from tests.training.conftest import Bench


@pytest.mark.parametrize("name", ["LuongRNN", "Transformer"])
def test_a_batch_without_targets_has_zero_loss_and_gradients(name: str, bench: Bench) -> None:
    batch: Batch = mask_all_targets(next(bench.make_loader().epoch(0, start=0)))
    model = bench.make_model(name, dropout=0.0, seed=1)
    loss, nll = Objective(model, label_smoothing=0.1)(*batch.tensors)
    assert loss.item() == nll.item() == 0
    loss.backward()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in model.parameters())
