"""Weights come back as they were saved, and a file that is damaged or of another model is refused."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt import models
from nmt.errors import UserError
from nmt.models import LuongRNN
from nmt.run import RunFolder
from nmt.run.registry import build
from nmt.run.weights import load_weights, read_shapes, read_step, read_weights, save_weights


def luong(arguments: dict[str, Any], **changes: Any) -> LuongRNN:
    return build({"class": "LuongRNN", "arguments": arguments | changes}, models)


def test_weights_come_back_and_tied_ones_are_written_once(tmp_path: Path, luong_arguments: dict[str, Any]) -> None:
    first, second = luong(luong_arguments), luong(luong_arguments)
    save_weights(first.state_dict(), tmp_path / "w", step=1)
    load_weights(second, tmp_path / "w")
    for name, tensor in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor)
    unique = {tensor.data_ptr() for tensor in first.state_dict().values()}
    assert len(unique) < len(first.state_dict())  # some are tied
    assert len(read_weights(tmp_path / "w")) == len(unique)


def test_a_part_is_loaded_from_a_file_with_the_same_layers_of_this_part(
    tmp_path: Path, luong_arguments: dict[str, Any]
) -> None:
    model, deeper = luong(luong_arguments, num_layers=1), luong(luong_arguments, num_layers=2)
    save_weights(deeper.state_dict(), tmp_path / "w", step=1)
    encoder = {name for name, _ in model.named_parameters() if name.startswith("encoder.")}
    with pytest.raises(UserError, match=r"the model has no encoder\."):
        load_weights(model, tmp_path / "w", only=encoder)
    load_weights(model, tmp_path / "w", only={"vocabulary.output.bias"})
    assert torch.equal(model.vocabulary.output.bias, deeper.vocabulary.output.bias)


@pytest.mark.parametrize(
    ("saved", "read"), [({"num_layers": 2}, {}), ({}, {"num_layers": 2}), ({"tie_output": False}, {})]
)
def test_weights_of_another_model_are_refused(
    tmp_path: Path, luong_arguments: dict[str, Any], saved: dict[str, Any], read: dict[str, Any]
) -> None:
    save_weights(luong(luong_arguments, **saved).state_dict(), tmp_path / "w", step=1)
    with pytest.raises(UserError, match=r"does not fit model\.json"):
        load_weights(luong(luong_arguments, **read), tmp_path / "w")


def test_weights_of_another_shape_are_refused(run_copy: RunFolder) -> None:
    description = run_copy.description("model")
    description["arguments"]["embedding_size"] = 18
    run_copy.write_description("model", description)
    with pytest.raises(UserError, match=r"best\.safetensors does not fit model\.json: .* another shape"):
        run_copy.model()


@pytest.mark.parametrize("num_bytes", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(run_copy: RunFolder, num_bytes: int) -> None:
    run_copy.best.write_bytes(run_copy.best.read_bytes()[:num_bytes])
    with pytest.raises(UserError, match=r"best\.safetensors is damaged"):
        run_copy.model()
    with pytest.raises(UserError, match=r"best\.safetensors is damaged"):
        run_copy.best_step()


def test_a_file_that_does_not_state_its_step_is_damaged(run_copy: RunFolder) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, run_copy.best)
    with pytest.raises(UserError, match="is damaged"):
        run_copy.best_step()


def test_the_step_is_the_one_that_was_saved(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, resume=False)
    save_weights({"a": torch.zeros(1)}, run.best, step=123)
    assert run.best_step() == read_step(run.best) == 123
    assert read_shapes(run.best) == {"a": ("F32", (1,))}


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w")
    for read in (read_weights, read_shapes):
        with pytest.raises(UserError, match="w is damaged: it is not a file"):
            read(tmp_path / "w")
    assert read_step(tmp_path / "w") is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="w is missing"):
        read_weights(tmp_path / "w")
    with pytest.raises(UserError, match="cannot be read: file name too long"):
        read_weights(tmp_path / ("w" * 300))
