"""A description from an untrusted run folder is refused before it can allocate memory."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import nmt.run.folder
from nmt import models
from nmt.errors import UserError
from nmt.run import RunFolder
from nmt.run.limits import check_model_size, check_search_size, first_number_above
from nmt.run.registry import build
from nmt.run.weights import Shapes, save_weights

SHAPES: Shapes = {"a": ("F32", (300, 300)), "b": ("F32", (300,))}


@pytest.mark.parametrize(
    "arguments", [{"num_layers": 10**9}, {"hidden_size": 10**12}, {"hidden_size": 30_000}, {"embedding_size": 1e12}]
)
def test_a_model_that_is_larger_than_its_weights_is_never_built(
    run_copy: RunFolder, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    description = run_copy.description("model")
    description["arguments"] |= arguments
    run_copy.write_description("model", description)

    def build_with_memory(description: Any, package: ModuleType) -> Any:
        raise AssertionError("built with memory")

    monkeypatch.setattr(nmt.run.folder, "build", build_with_memory)
    with pytest.raises(UserError, match=r"model\.json: "):
        run_copy.model()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"num_layers": 100_000},
            "of size 100000, but the weights are 90,300 numbers",
        ),  # a list of 100,000 sizes
        ({"num_layers": 50}, "more than the 2 tensors of the weights"),  # counted one by one
        ({"hidden_size": 60_000, "score": None}, "cannot be built"),
        ({"embedding_size": 40_000, "source_vocab_size": 2_000, "target_vocab_size": 2_000}, "numbers, more than the"),
    ],
)
def test_each_size_of_a_model_is_compared_with_the_weights(
    luong_arguments: dict[str, Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        check_model_size({"class": "LuongRNN", "arguments": luong_arguments | arguments}, models, SHAPES)
    assert torch.zeros(()).device.type == "cpu"  # and torch is back on the CPU
    check_model_size({"class": "LuongRNN", "arguments": luong_arguments}, models, SHAPES)


def test_a_class_that_is_not_a_model_is_refused() -> None:
    score = {"class": "DotScore", "arguments": {"query_size": 8, "value_size": 8}}
    with pytest.raises(UserError, match="DotScore is not a model"):
        check_model_size(score, models, SHAPES)


def sinusoidal(max_length: int) -> dict[str, Any]:
    return {"class": "SinusoidalPositions", "arguments": {"model_size": 64, "max_length": max_length}}


@pytest.mark.parametrize("max_length", [10**6, 60_000_000])
def test_a_table_of_positions_may_be_small_or_as_large_as_the_weights(tmp_path: Path, max_length: int) -> None:
    arguments = {
        "source_vocab_size": 9, "target_vocab_size": 9, "shared_vocab": True, "tie_output": True, "model_size": 64,
        "feedforward_size": 64, "num_heads": 2, "num_key_value_heads": 2, "num_encoder_layers": 1,
        "num_decoder_layers": 1, "dropout": 0.0,
        "activation_dropout": 0.0, "pre_norm": True, "positions": sinusoidal(20), "encoder_attention": None,
        "embedding_dropout": 0.0, "word_dropout": 0.0, "attention_dropout": 0.0, "layer_dropout": 0.0,
    }  # fmt: skip
    run = RunFolder.create(tmp_path, resume=False)
    save_weights(build({"class": "Transformer", "arguments": arguments}, models).state_dict(), run.best, step=1)
    run.write_description("model", {"class": "Transformer", "arguments": arguments | {"positions": sinusoidal(2**16)}})
    assert run.model().max_length == 2**16
    run.write_description(
        "model", {"class": "Transformer", "arguments": arguments | {"positions": sinusoidal(max_length)}}
    )
    with pytest.raises(UserError, match=r"model\.json: it describes"):
        run.model()


@pytest.mark.parametrize("arguments", [{"beam_size": 1025}, {"max_length_factor": 1e300}, {"x": [{"y": 10**30}]}])
def test_a_search_in_a_run_folder_has_a_limit(tmp_path: Path, arguments: dict[str, Any]) -> None:
    check_search_size({"class": "BeamSearch", "arguments": {"beam_size": 1024}})
    with pytest.raises(UserError, match="at most 1024 is accepted from a run folder"):
        check_search_size({"class": "BeamSearch", "arguments": arguments})
    run = RunFolder(tmp_path)
    run.write_description("search", {"class": "BeamSearch", "arguments": arguments})
    with pytest.raises(UserError, match=r"search\.json: it asks for a search of"):
        run.description("search")


def test_the_first_number_above_a_limit_is_found_at_any_depth() -> None:
    assert first_number_above({"a": [1, {"b": [2, 9]}], "c": "text", "d": None}, 8) == 9
    assert first_number_above({"a": [1, {"b": [2, 9]}]}, 9) is None
    assert first_number_above([-(10**30), True], 1) is None
    assert first_number_above([float("nan")], 10) is not None
