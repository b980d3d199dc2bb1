import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import nmt.training.loop
from nmt.data.batch import Batch, make_batch
from nmt.errors import Failure
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.weights import read_weights
from nmt.training.checkpoint import average, read_progress
from nmt.training.schedule import InverseSquareRoot, Plateau
from nmt.training.trainer import Trainer
from nmt.training.update import Reading, Updater

Weights = dict[str, torch.Tensor]

SGD = torch.optim.SGD
FLAT = {"learning_rate": 0.1, "warmup_steps": 0, "factor": 0.5, "patience": 1000}


def weights_of(model: Seq2Seq) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


def same(first: Weights, second: Weights) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def assert_close(first: Weights, second: Weights) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-4, atol=1e-6)


class FixedPairs:
    """Stands in for `BatchLoader`: the same batches in every epoch."""

    def __init__(self, *batches: Batch) -> None:
        self.batches = batches
        self.sampler = SimpleNamespace(epoch=lambda epoch: batches, order="fixed")

    def epoch(self, epoch: int, *, start: int) -> Iterator[Batch]:
        return iter(self.batches[start:])


def batch_of(tokenizer: Any, *pairs: tuple[str, str]) -> Batch:
    sources, targets = zip(*pairs, strict=True)
    ids = {"pad_id": tokenizer.pad_id, "bos_id": tokenizer.bos_id, "eos_id": tokenizer.eos_id}
    rows = range(len(pairs))
    return make_batch(tokenizer.encode_source(sources), tokenizer.encode_target(targets), **ids, indices=rows)


# One update

LEFT = [("one", "eins"), ("two three", "zwei drei")]
RIGHT = [("four five six seven", "vier fünf sechs sieben")]


def test_two_halves_accumulated_are_one_whole(bench: Any, new_bench: Callable[[str], Any]) -> None:
    whole = FixedPairs(batch_of(bench.tokenizer, *LEFT, *RIGHT))
    halves = FixedPairs(batch_of(bench.tokenizer, *LEFT), batch_of(bench.tokenizer, *RIGHT))
    other = new_bench("other")
    for each, pairs, accumulate in ((bench, whole, 1), (other, halves, 2)):
        each.fit(pairs=pairs, accumulate=accumulate, max_steps=3, log_every=1, optimizer=SGD, schedule=Plateau(**FLAT))
    assert other.run.records()[0]["loss"] == pytest.approx(bench.run.records()[0]["loss"], rel=1e-5)
    assert [record["epoch"] for record in other.records("train")] == [0, 1, 2]
    assert_close(weights_of(bench.model), weights_of(other.model))


def test_the_last_group_of_an_epoch_may_be_smaller(bench: Any) -> None:
    batch = batch_of(bench.tokenizer, *LEFT)
    progress = bench.fit(pairs=FixedPairs(*[batch] * 5), accumulate=2, max_epochs=2, log_every=1)
    assert progress.step == 6
    assert [record["epoch"] for record in bench.records("train")] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("clip_norm", [None, 0.01, 1000.0])
def test_an_update_by_hand(bench: Any, clip_norm: float | None) -> None:
    batch = batch_of(bench.tokenizer, *LEFT)
    model = bench.make_model("LuongLSTM", dropout=0.0, seed=1)
    before = weights_of(model)
    logits = model(batch.source, batch.source_mask, batch.target_input)[batch.target_mask]
    target = batch.target_output[batch.target_mask]
    loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum", label_smoothing=0.1)
    nll = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
    (loss / batch.num_tokens).backward()
    norm = float(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm())
    share = 1.0 if clip_norm is None else min(1.0, clip_norm / norm)
    gradients = {name: parameter.grad * share for name, parameter in model.named_parameters()}
    assert 0.01 < norm < 1000

    bench.fit(
        pairs=FixedPairs(batch),
        max_steps=1,
        log_every=1,
        clip_norm=clip_norm,
        optimizer=SGD,
        schedule=Plateau(**FLAT | {"learning_rate": 0.5}),
    )
    assert_close({name: tensor - 0.5 * gradients[name] for name, tensor in before.items()}, weights_of(bench.model))
    (record,) = bench.records("train")
    assert record["loss"] == pytest.approx(nll.item() / batch.num_tokens)
    assert record["gradient_norm"] == pytest.approx(norm, rel=1e-4)
    assert record["learning_rate"] == 0.5


def test_the_rate_is_the_schedule_s(bench: Any) -> None:
    schedule = InverseSquareRoot(learning_rate=0.4, warmup_steps=4)
    bench.fit(max_steps=6, log_every=1, schedule=schedule)
    assert [record["learning_rate"] for record in bench.records("train")] == [schedule.rate(n) for n in range(1, 7)]


def test_the_schedule_hears_of_every_validation(bench: Any, scripted: Any) -> None:
    schedule = Plateau(learning_rate=0.4, warmup_steps=0, factor=0.5, patience=1)
    bench.fit(max_steps=8, validate_every=2, log_every=1, validate=scripted([5, 4, 6, 6]), schedule=schedule)
    rates = [record["learning_rate"] for record in bench.records("train")]
    assert rates == pytest.approx([0.4] * 4 + [0.2] * 4)
    assert schedule.rate(9) == pytest.approx(0.1)


def test_dropout_is_on_in_training_and_off_in_validation(bench: Any) -> None:
    modes = []
    bench.fit(max_steps=3, dropout=0.5, validate=lambda model: float(modes.append(model.training) or 1.0))
    assert modes == [False]
    assert bench.model.training is False
    model, mode = bench.make_model("LuongLSTM", dropout=0.5, seed=1), []
    model.encoder.register_forward_pre_hook(lambda module, _: mode.append(module.training))
    bench.run = RunFolder(bench.run.path / "again")
    bench.run.best.parent.mkdir(parents=True)
    bench.fit(model=model, max_steps=4, validate_every=3)
    assert mode == [True] * 3 + [False] * 2 + [True] + [False] * 2  # two validation batches


def test_the_validation_loss_is_per_token_and_not_smoothed(bench: Any) -> None:
    bench.fit(max_steps=1)
    total, tokens = 0.0, 0
    for batch in list(bench.make_pairs().epoch(0, start=0))[:2]:
        logits = bench.model(batch.source, batch.source_mask, batch.target_input).detach()
        nll = torch.nn.functional.cross_entropy(
            logits[batch.target_mask], batch.target_output[batch.target_mask], reduction="sum"
        )
        total, tokens = total + float(nll), tokens + batch.num_tokens
    assert bench.records("validation")[0]["loss"] == pytest.approx(total / tokens, rel=1e-5)


def test_bf16_is_autocast(bench: Any) -> None:
    dtypes = []
    model = bench.make_model("LuongLSTM", dropout=0.0, seed=1)
    model.combine.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    bench.fit(model=model, max_steps=1, precision="bf16")
    assert set(dtypes) == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_on_a_cpu_auto_is_fp32(bench: Any, precision: str) -> None:
    dtypes = []
    model = bench.make_model("LuongLSTM", dropout=0.0, seed=1)
    model.combine.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    bench.fit(model=model, max_steps=1, precision=precision)
    assert set(dtypes) == {torch.float32}


class Spoiled:
    """A model whose gradient is multiplied by `bad` in some of its updates, counted from 1."""

    def __init__(self, bench: Any, bad: float, updates: list[int]) -> None:
        self.model = bench.make_model("LuongLSTM", dropout=0.0, seed=1)
        self.bad, self.updates, self.calls = bad, updates, 0
        self.model.vocabulary.output.bias.register_hook(self.spoil)

    def spoil(self, gradient: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return gradient * self.bad if self.calls in self.updates else gradient


@pytest.fixture(params=["at once", "late"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an update came to is looked at before the next one is made, or, as on a GPU, behind it."""
    monkeypatch.setitem(nmt.training.loop.UNREAD, "cpu", int(request.param == "late"))


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_ends_the_run(bench: Any, bad: float) -> None:
    model = Spoiled(bench, bad, [5]).model
    with pytest.raises(Failure, match=r"step 5, learning rate 1\.00e-01: .* the gradient's norm (nan|inf); the batch"):
        bench.fit(model=model, max_steps=9, schedule=Plateau(**FLAT))
    assert read_progress(bench.run.last).step == 3
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())  # the step was not taken
    assert bench.fit(max_steps=4).step == 4  # and the last checkpoint is good


@pytest.mark.usefixtures("reading")
def test_the_batch_of_a_bad_update_is_kept(bench: Any) -> None:
    bad = batch_of(bench.tokenizer, *RIGHT)
    pairs = FixedPairs(batch_of(bench.tokenizer, *LEFT), bad)
    pairs.tokenizer = bench.tokenizer
    with pytest.raises(Failure, match=r"nonfinite-step-00000002\.json"):
        bench.fit(model=Spoiled(bench, float("nan"), [2]).model, pairs=pairs, max_steps=9, schedule=Plateau(**FLAT))
    kept = json.loads((bench.run.path / "nonfinite-step-00000002.json").read_text())
    assert (kept["step"], kept["learning_rate"], kept["gradient_norm"]) == (2, 0.1, "nan")
    assert kept["parameters"] == ["vocabulary.output.bias"]
    source, target = bad.source.size(1), bad.target_input.size(1)
    assert kept["batches"] == [{"sentences": 1, "source_positions": source, "target_positions": target}]
    (pair,) = kept["sentences"]
    assert pair.pop("line") == 1
    spelled = {side: text.replace(" ", "").replace("▁", " ") for side, text in pair.items()}
    assert spelled == {"source": " four five six seven</s>", "target": " vier fünf sechs sieben</s>"}


@pytest.mark.usefixtures("reading")
def test_bad_updates_are_left_out_up_to_so_many_in_a_row(bench: Any, new_bench: Callable[[str], Any]) -> None:
    other = new_bench("other")
    settings: dict[str, Any] = {"skip_nonfinite": 2, "log_every": 1, "validate_every": 100}
    model = Spoiled(bench, float("nan"), [1, 3, 4, 6, 7]).model
    assert bench.fit(model=model, max_steps=8, schedule=Plateau(**FLAT), **settings).step == 8
    assert [record["step"] for record in bench.records("train")] == [2, 5, 8]
    assert "the update is left out (2 in a row)" in bench.said.read_text()
    model = Spoiled(other, float("nan"), [3, 4, 5]).model
    with pytest.raises(Failure, match="step 5,"):
        other.fit(model=model, max_steps=8, schedule=Plateau(**FLAT), **settings)


def test_an_update_that_is_left_out_changes_nothing(bench: Any) -> None:
    model = Spoiled(bench, float("inf"), [1, 2]).model
    before = weights_of(model)
    bench.fit(model=model, max_steps=2, skip_nonfinite=2)
    assert same(weights_of(model), before)


@pytest.mark.parametrize("fused", [True, False])
def test_a_late_look_changes_nothing(
    bench: Any, new_bench: Callable[[str], Any], fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the weights nor the records, nor what is told of updates that were left out, nor where a run goes on."""
    late = new_bench("late")
    settings: dict[str, Any] = {"skip_nonfinite": 2, "log_every": 2, "validate_every": 5, "save_every": 3}
    for one, unread in ((bench, 0), (late, 1)):
        monkeypatch.setitem(nmt.training.loop.UNREAD, "cpu", unread)
        # It is stopped after step 7: what is made of updates by a kernel of its own counts those left out too.
        for stop_at, bad in ((7 if fused else 4, [1, 3, 4]), (None, [1, 4])):
            model, adam = Spoiled(one, float("nan"), bad).model, partial(torch.optim.Adam, fused=fused)
            one.fit(model=model, max_steps=12, stop_at=stop_at, optimizer=adam, **settings)
    assert same(weights_of(late.model), weights_of(bench.model))
    times = {"seconds", "tokens_per_second"}
    records = [
        [{key: record[key] for key in record.keys() - times} for record in one.records("train")]
        for one in (bench, late)
    ]
    assert records[0] == records[1]
    told = [re.findall(r"step (\d+), .*left out \((\d) in a row\)", one.said.read_text()) for one in (bench, late)]
    assert told[0] == told[1] == [("1", "1"), ("3", "1"), ("4", "2"), ("8", "1"), ("11", "1")]


def test_as_on_a_gpu_an_update_is_looked_at_behind_the_next(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(nmt.training.loop.UNREAD, "cpu", 1)
    done: list[str] = []
    update, values = Updater.update, Reading.values
    monkeypatch.setattr(
        Updater, "update", lambda self, *rest, **options: done.append("update") or update(self, *rest, **options)
    )
    monkeypatch.setattr(Reading, "values", lambda self: done.append("look") or values(self))
    bench.fit(max_steps=3, log_every=3, validate_every=100)
    assert done == ["update", "update", "look", "update", "look", "look"]


@pytest.mark.usefixtures("reading")
def test_nothing_is_kept_of_a_step_that_ends_the_run(bench: Any) -> None:
    model = Spoiled(bench, float("nan"), [3]).model
    with pytest.raises(Failure, match="step 3,"):
        bench.fit(model=model, max_steps=6, validate_every=3)
    assert not bench.run.best.exists()
    assert not bench.records("validation")


def test_a_validation_loss_that_is_not_finite_ends_the_run(bench: Any) -> None:
    model = bench.make_model("LuongLSTM", dropout=0.0, seed=1)
    spoil = float("nan")
    model.combine.register_forward_hook(lambda module, _, vectors: vectors if module.training else vectors * spoil)
    with pytest.raises(Failure, match="step 3: the validation loss is nan"):
        bench.fit(model=model, max_steps=9)
    assert not bench.run.best.exists()


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
def test_out_of_memory_names_the_shape_and_the_remedy(bench: Any, error: Exception) -> None:
    def exhaust(module: torch.nn.Module, _: Any) -> None:
        raise error

    model = bench.make_model("LuongLSTM", dropout=0.0, seed=1)
    model.encoder.register_forward_pre_hook(exhaust)
    batch = batch_of(bench.tokenizer, *RIGHT)
    pairs = FixedPairs(batch)
    source, target = batch.source.size(1), batch.target_input.size(1)
    message = (
        f"step 1: out of memory on a batch of 1 sentences, {source} source and {target} target positions: "
        f"lower loader.batch_tokens"
    )
    with pytest.raises(Failure, match=message) as caught:
        bench.fit(model=model, pairs=pairs, max_steps=9)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [IndexError("a"), NotImplementedError("a kind of RuntimeError")], ids=str)
def test_another_error_of_a_batch_is_not_taken_for_lack_of_memory(bench: Any, error: Exception) -> None:
    def fail(module: torch.nn.Module, _: Any) -> None:
        raise error

    model = bench.make_model("LuongLSTM", dropout=0.0, seed=1)
    model.encoder.register_forward_pre_hook(fail)
    with pytest.raises(type(error), match=str(error)):
        bench.fit(model=model, max_steps=9)


# Checkpoints between validations


def saved_steps(bench: Any, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> list[int]:
    """The steps after which `fit` writes the last checkpoint."""
    steps = []
    save = nmt.training.loop.save_checkpoint

    def note(path: Any, progress: Any, *others: Any) -> None:
        steps.append(progress.step)
        save(path, progress, *others)

    monkeypatch.setattr(nmt.training.loop, "save_checkpoint", note)
    bench.fit(validate_every=100, **settings)
    return steps


def test_a_checkpoint_every_so_many_steps(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = saved_steps(bench, monkeypatch, max_steps=8, save_every=3)
    assert sorted(set(steps)) == [3, 6, 8]


def test_a_checkpoint_every_so_many_minutes(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 10.0
        return now

    monkeypatch.setattr(nmt.training.loop.time, "monotonic", clock)
    steps = saved_steps(bench, monkeypatch, max_steps=8, save_minutes=1.0)  # three looks at the clock in a step
    assert sorted(set(steps)) == [2, 4, 6, 8]


def test_none_but_those_after_validations(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(saved_steps(bench, monkeypatch, max_steps=8)) == {8}


# The ways to end


def test_max_steps(bench: Any, scripted: Any) -> None:
    validate = scripted([1, 2, 3])
    progress = bench.fit(max_steps=7, validate=validate)
    assert progress.step == 7
    assert [record["step"] for record in bench.records("validation")] == [3, 6, 7]  # the last weights count as well
    assert bench.reason().endswith("max_steps=7")
    assert same(weights_of(bench.model), {name: validate.weights[-1][name] for name in weights_of(bench.model)})


def test_an_end_at_a_validation_is_not_validated_twice(bench: Any) -> None:
    bench.fit(max_steps=6)
    assert [record["step"] for record in bench.records("validation")] == [3, 6]


def test_max_epochs(bench: Any) -> None:
    num_batches = len(list(bench.make_pairs().epoch(0, start=0)))
    progress = bench.fit(max_epochs=2, validate_every=1000)
    assert progress.step == sum(len(bench.make_pairs().sampler.epoch(epoch)) for epoch in (0, 1)) >= 2 * num_batches - 2
    assert (progress.epoch, progress.position) == (2, 0)
    assert bench.reason().endswith("max_epochs=2")
    assert len(bench.records("validation")) == 1


def test_max_minutes_counts_validation(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0

    def validate(model: Seq2Seq) -> float:
        nonlocal now
        now += 50.0
        return 1.0

    monkeypatch.setattr(nmt.training.loop.time, "monotonic", lambda: now)
    bench.fit(max_minutes=2.0, validate_every=1, log_every=1000, validate=validate)
    assert [record["seconds"] for record in bench.records("validation")] == [50, 100, 150]
    assert bench.reason().endswith("2 min 30 s: max_minutes=2")


def test_minutes_add_up_over_the_sittings(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def validate(model: Seq2Seq) -> float:
        nonlocal now
        now += 60.0
        return 1.0

    monkeypatch.setattr(nmt.training.loop.time, "monotonic", lambda: now)
    bench.fit(max_minutes=3, validate_every=1, log_every=1000, validate=validate, stop_at=2)
    now = 1e6
    progress = bench.fit(max_minutes=3, validate_every=1, log_every=1000, validate=validate)
    assert (progress.step, progress.seconds) == (3, 180.0)


def test_patience(bench: Any, scripted: Any) -> None:
    progress = bench.fit(patience=2, validate_every=1, log_every=1000, validate=scripted([1, 3, 2, 4, 4, 3, 9]))
    assert (progress.step, progress.best_score, progress.waited) == (6, 4, 2)  # equal is not better
    assert bench.reason().endswith("no better score in patience=2 validations")


def test_stop(bench: Any) -> None:
    progress = bench.fit(max_steps=9, stop_at=4)
    assert progress.step == read_progress(bench.run.last).step == 4
    assert bench.reason().endswith("interrupted; go on with resume=true")
    assert bench.run.best_step() == 3


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_run_that_is_interrupted_at_once_leaves_a_folder_that_translates(bench: Any, steps: int) -> None:
    bench.fit(max_steps=9, stop_at=steps)
    assert bench.records("validation") == []
    assert bench.run.best_step() == steps
    weights = read_weights(bench.run.best)
    assert all(
        torch.equal(weights[name], tensor) for name, tensor in weights_of(bench.model).items() if name in weights
    )


# The best checkpoint


@pytest.mark.parametrize(
    ("scores", "best"), [([1, 2, 3], 2), ([3, 2, 1], 0), ([1, 3, 2], 1), ([2, 2, 2], 0), ([-5, -4, -9], 1)]
)
def test_the_best_checkpoint_is_that_of_the_best_validation(
    bench: Any, scripted: Any, scores: list[float], best: int
) -> None:
    validate = scripted(scores)
    progress = bench.fit(max_steps=9, validate=validate)
    assert progress.best_score == scores[best]
    assert bench.run.best_step() == 3 * (best + 1)
    saved = read_weights(bench.run.best)
    assert all(torch.equal(validate.weights[best][name], tensor) for name, tensor in saved.items())
    assert sum("(best so far)" in line for line in bench.said.read_text().splitlines()) == sum(
        score > max(scores[:place], default=-99) for place, score in enumerate(scores)
    )


@pytest.mark.parametrize(("averaged", "kept"), [(9, True), (4, False), (3, False)])
def test_the_average_is_kept_only_if_it_is_better(bench: Any, scripted: Any, averaged: float, kept: bool) -> None:
    validate = scripted([1, 2, 4, 3, averaged])
    progress = bench.fit(max_steps=12, validate=validate, average_checkpoints=3)
    paths = bench.run.step_paths()
    assert paths == [bench.run.step_path(step) for step in (6, 9, 12)]  # older ones are gone
    mean = average(paths)
    assert all(torch.allclose(validate.weights[-1][name], tensor) for name, tensor in mean.items())
    best = read_weights(bench.run.best)
    expected = mean if kept else {name: validate.weights[2][name] for name in best}
    assert all(torch.equal(best[name], tensor) for name, tensor in expected.items())
    assert bench.run.best_step() == (12 if kept else 9)
    assert progress.best_score == max(4, averaged)
    assert not bench.run.averaged.exists()
    record = bench.records("validation")[-1]
    assert (record["step"], record["bleu"], record["averaged"]) == (12, averaged, 3)


def test_a_run_that_goes_on_is_held_against_its_average(bench: Any, scripted: Any) -> None:
    settings: dict[str, Any] = {"average_checkpoints": 2, "validate_every": 3}
    bench.fit(max_steps=6, validate=scripted([1, 2, 9]), **settings)
    averaged = read_weights(bench.run.best)
    progress = bench.fit(max_steps=9, validate=scripted([5, 4]), **settings)
    assert progress.best_score == 9
    assert same(read_weights(bench.run.best), averaged)


def test_the_average_is_not_what_a_run_goes_on_from(bench: Any, new_bench: Callable[[str], Any]) -> None:
    other = new_bench("other")
    settings: dict[str, Any] = {"average_checkpoints": 2, "schedule": None}
    bench.fit(max_steps=9, validate=lambda model: 1.0, **settings)
    scores = iter([1.0, 1.0, 5.0, 1.0, 1.0])
    other.fit(max_steps=6, validate=lambda model: next(scores), **settings)
    other.fit(max_steps=9, validate=lambda model: next(scores), **settings)
    assert same(read_weights(bench.run.step_path(9)), read_weights(other.run.step_path(9)))


@pytest.mark.parametrize("average_checkpoints", [1, 5])
def test_without_two_checkpoints_there_is_no_average(bench: Any, scripted: Any, average_checkpoints: int) -> None:
    bench.fit(max_steps=3, validate=scripted([1]), average_checkpoints=average_checkpoints)
    assert len(bench.records("validation")) == 1
    assert len(bench.run.step_paths()) == (0 if average_checkpoints == 1 else 1)


# Going on


def facts(bench: Any) -> list[dict[str, Any]]:
    """What the history says, but for the clock."""
    clock = ("seconds", "tokens_per_second")
    return [{key: value for key, value in record.items() if key not in clock} for record in bench.run.records()]


EXACT: dict[str, Any] = {
    "max_steps": 11,
    "dropout": 0.3,
    "accumulate": 2,
    "average_checkpoints": 2,
    "log_every": 3,
    "validate_every": 4,
}


def fit_exact(bench: Any, **changes: Any) -> None:
    bench.fit(
        **EXACT | changes,
        pairs=bench.make_pairs(batch_tokens=64, subword_alpha=0.2),
        schedule=Plateau(learning_rate=0.01, warmup_steps=3, factor=0.5, patience=1),
    )


@pytest.mark.parametrize("name", ["LuongLSTM", "Transformer"])
@pytest.mark.parametrize("cuts", [[4], [5], [6], [3, 7, 8], [0]], ids=str)
def test_a_resumed_run_is_the_uninterrupted_one(new_bench: Callable[[str], Any], name: str, cuts: list[int]) -> None:
    """Cut at a validation (4, 8), at a record (3, 6), and between (5, 7)."""
    whole, parts = new_bench("whole"), new_bench("parts")
    fit_exact(whole, name=name)
    for number, cut in enumerate([*cuts, 99]):
        fit_exact(parts, name=name, seed=number + 1, stop_at=cut)  # other first weights are no matter
    assert facts(parts) == facts(whole)
    assert len({record["loss"] for record in facts(whole)}) == len(facts(whole))
    assert {record["epoch"] for record in facts(whole) if record["kind"] == "train"} >= {0, 1}
    for path in (RunFolder.step_path(whole.run, 11), whole.run.best, whole.run.last):
        theirs = read_weights(parts.run.path / path.relative_to(whole.run.path))
        assert same(read_weights(path), theirs), path.name
    one, other = read_progress(whole.run.last), read_progress(parts.run.last)
    one.seconds = other.seconds = 0.0
    one.window = other.window = {}
    assert one == other


def test_a_run_that_is_cut_at_its_last_batch_is_validated_when_it_goes_on(bench: Any) -> None:
    batches = FixedPairs(*[batch_of(bench.tokenizer, *LEFT)] * 4)
    settings: dict[str, Any] = {"pairs": batches, "max_epochs": 1, "validate_every": 3}
    bench.fit(**settings, stop_at=4)
    assert [record["step"] for record in bench.records("validation")] == [3]
    assert bench.fit(**settings).step == 4
    assert [record["step"] for record in bench.records("validation")] == [3, 4]


def test_a_run_that_ended_may_go_on_with_a_higher_limit(bench: Any, scripted: Any) -> None:
    bench.fit(max_steps=3, validate=scripted([5]))
    progress = bench.fit(max_steps=6, validate=scripted([4]))
    assert (progress.step, progress.best_score, bench.run.best_step()) == (6, 5, 3)
    assert [record["step"] for record in bench.records("validation")] == [3, 6]


def test_a_checkpoint_of_another_model_is_refused(bench: Any) -> None:
    bench.fit(max_steps=3)
    with pytest.raises(ValueError, match="is of another model"):
        bench.fit(max_steps=6, name="Transformer")


# Settings

GOOD: dict[str, Any] = {
    "max_steps": 10,
    "max_epochs": None,
    "max_minutes": None,
    "accumulate": 1,
    "clip_norm": None,
    "label_smoothing": 0.0,
    "precision": "auto",
    "log_every": 1,
    "validate_every": 1,
    "save_every": None,
    "save_minutes": None,
    "skip_nonfinite": 0,
    "patience": None,
    "average_checkpoints": 1,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": 0}, "max_steps=0 must be"),
        ({"max_steps": 1.5}, "max_steps=1.5 must be"),
        ({"max_epochs": -1}, "max_epochs=-1 must be"),
        ({"max_epochs": "two"}, "max_epochs=two must be"),
        ({"max_epochs": True}, "max_epochs=True must be"),
        ({"max_minutes": 0.0}, "max_minutes=0.0 must be above 0, or null"),
        ({"max_minutes": "ten"}, "max_minutes=ten must be above 0, or null"),
        ({"max_minutes": float("nan")}, "max_minutes=nan must be above 0, or null"),
        ({"clip_norm": 0}, "clip_norm=0 must be above 0, or null"),
        ({"clip_norm": [1]}, r"clip_norm=\[1\] must be above 0, or null"),
        ({"patience": 0}, "patience=0 must be"),
        ({"save_every": 0}, "save_every=0 must be"),
        ({"save_minutes": 0.0}, "save_minutes=0.0 must be above 0, or null"),
        ({"skip_nonfinite": -1}, "skip_nonfinite=-1 must be a whole number of at least 0"),
        ({"max_steps": None}, "the run would never end: set one of max_steps"),
        ({"accumulate": 0}, "accumulate=0"),
        ({"log_every": 0}, "log_every=0"),
        ({"validate_every": 2.5}, "validate_every=2.5"),
        ({"average_checkpoints": 0}, "average_checkpoints=0"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0 must be"),
        ({"label_smoothing": -0.1}, "label_smoothing=-0.1 must be"),
        ({"precision": "fp16"}, "precision=fp16 is unknown: use auto, fp32 or bf16"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Trainer(**GOOD | changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limit", [{"patience": 1}, {"max_epochs": 1}, {"max_minutes": 0.5}, {"max_minutes": 1}])
def test_one_limit_is_enough(limit: dict[str, Any]) -> None:
    Trainer(**GOOD | {"max_steps": None} | limit)
