"""Running out of memory ends a run with the shape of the batch and the settings to lower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from nmt.errors import Failure
from nmt.models import Seq2Seq

if TYPE_CHECKING:
    from tests.training.conftest import Bench


def model_that_raises(bench: Bench, error: Exception) -> Seq2Seq:
    """A model whose forward pass raises `error`."""

    def fail(module: torch.nn.Module, inputs: Any) -> None:
        raise error

    model: Seq2Seq = bench.make_model("LuongRNN", dropout=0.0, seed=1)
    encoder: torch.nn.Module = model.get_submodule("encoder")
    encoder.register_forward_pre_hook(fail)
    return model


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA error: out of memory"),
    ],
    ids=["gpu", "python", "cpu", "driver"],
)
def test_out_of_memory_names_the_batch_and_the_remedy(bench: Bench, error: Exception) -> None:
    batch = bench.make_batch(("four five six seven", "vier fünf sechs sieben"))
    message = (
        f"step 1: out of memory on a batch of 1 sentences, {batch.source.size(1)} source and "
        f"{batch.target_input.size(1)} target positions: lower loader.batch_tokens"
    )
    with pytest.raises(Failure, match=message) as caught:
        bench.fit(model=model_that_raises(bench, error), loader=bench.fixed_loader(batch), max_steps=9)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [IndexError("a"), NotImplementedError("a kind of RuntimeError")], ids=str)
def test_other_errors_pass_unchanged(bench: Bench, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        bench.fit(model=model_that_raises(bench, error), max_steps=9)
