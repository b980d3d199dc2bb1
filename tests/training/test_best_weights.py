"""The best weights of a run are those of its best validation, or the mean of the last checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from nmt.run.weights import read_weights, save_weights
from nmt.training.averaging import average_weights

if TYPE_CHECKING:
    from tests.training.conftest import Bench, Scripted


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("scores", "best"), [([1, 2, 3], 2), ([3, 2, 1], 0), ([1, 3, 2], 1), ([5, 4, 9], 2)])
def test_the_weights_of_the_best_validation_are_kept(
    bench: Bench, scripted: type[Scripted], scores: list[float], best: int
) -> None:
    validate = scripted(scores)
    progress = bench.fit(max_steps=9, validate=validate)
    assert progress.best is not None
    assert progress.best.bleu == scores[best]
    assert bench.run.best_step() == 3 * (best + 1)
    saved = read_weights(bench.run.best)
    assert all(torch.equal(validate.weights[best][name], tensor) for name, tensor in saved.items())
    num_marked = sum("(best so far)" in line for line in bench.log.read_text().splitlines())
    assert num_marked == sum(score > max(scores[:index], default=-99) for index, score in enumerate(scores))


def test_weights_are_averaged_in_float32(tmp_path: Path) -> None:
    tensors = [torch.tensor([1.0, -2.0]), torch.tensor([2.0, 2.0]), torch.tensor([6.0, 3.0])]
    paths = [tmp_path / str(number) for number in range(3)]
    for path, tensor in zip(paths, tensors, strict=True):
        save_weights({"a": tensor, "b": tensor.to(torch.bfloat16)}, path, step=1)
    mean = average_weights(paths)
    assert mean.keys() == {"a", "b"}
    for tensor in mean.values():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(average_weights(paths[:1])["a"], tensors[0])


@pytest.mark.parametrize(("averaged", "kept"), [(9, True), (3.5, False), (3, False)])
def test_the_average_is_kept_only_if_it_scores_better(
    bench: Bench, scripted: type[Scripted], averaged: float, kept: bool
) -> None:
    validate = scripted([1, 2, 4, 3, averaged])
    progress = bench.fit(max_steps=12, validate=validate, average_checkpoints=3)
    paths = bench.run.step_paths()
    assert paths == [bench.run.step_path(step) for step in (6, 9, 12)]  # older ones are deleted
    mean = average_weights(paths)
    assert all(torch.allclose(validate.weights[-1][name], tensor) for name, tensor in mean.items())
    best = read_weights(bench.run.best)
    expected = mean if kept else {name: validate.weights[2][name] for name in best}
    assert all(torch.equal(best[name], tensor) for name, tensor in expected.items())
    assert bench.run.best_step() == (12 if kept else 9)
    assert progress.best is not None
    assert progress.best.bleu == max(4, averaged)
    assert not bench.run.averaged.exists()
    record = bench.records("validation")[-1]
    assert (record["step"], record["bleu"], record["averaged"]) == (12, averaged, 3)


def test_a_resumed_run_must_beat_its_average(bench: Bench, scripted: type[Scripted]) -> None:
    settings: dict[str, Any] = {"average_checkpoints": 2, "validate_every": 3}
    bench.fit(max_steps=6, validate=scripted([1, 2, 9]), **settings)
    averaged = read_weights(bench.run.best)
    progress = bench.fit(max_steps=9, validate=scripted([5, 4]), **settings)
    assert progress.best is not None
    assert progress.best.bleu == 9
    assert same(read_weights(bench.run.best), averaged)


def test_a_run_resumes_from_its_own_weights_not_the_average(bench: Bench, new_bench: Callable[[str], Bench]) -> None:
    other = new_bench("other")
    settings: dict[str, Any] = {"average_checkpoints": 2, "schedule": None}
    bench.fit(max_steps=9, validate=lambda model: 1.0, **settings)
    scores = iter([1.0, 1.0, 5.0, 1.0, 1.0])
    other.fit(max_steps=6, validate=lambda model: next(scores), **settings)
    other.fit(max_steps=9, validate=lambda model: next(scores), **settings)
    assert same(read_weights(bench.run.step_path(9)), read_weights(other.run.step_path(9)))


@pytest.mark.parametrize("average_checkpoints", [1, 5])
def test_without_two_checkpoints_there_is_no_average(
    bench: Bench, scripted: type[Scripted], average_checkpoints: int
) -> None:
    bench.fit(max_steps=3, validate=scripted([1]), average_checkpoints=average_checkpoints)
    assert len(bench.records("validation")) == 1
    assert len(bench.run.step_paths()) == (0 if average_checkpoints == 1 else 1)
