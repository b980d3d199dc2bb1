"""Reading history.jsonl keeps one copy of what a resumed run repeated, and drops an incomplete last line."""

import json
from pathlib import Path
from typing import Any

import pytest

from nmt.errors import UserError
from nmt.run.history import RunHistory, read_history, read_lines


def train(step: int, **changes: Any) -> dict[str, Any]:
    return {"kind": "train", "step": step, "seconds": step / 2, "loss": 1.0, "tokens_per_second": 100.0, **changes}


def validation(step: int, **changes: Any) -> dict[str, Any]:
    return {"kind": "validation", "step": step, "seconds": step / 2, "loss": 2.0, "bleu": 10.0, **changes}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


def write_and_read(path: Path, records: list[dict[str, Any]], *, end: str = "\n") -> RunHistory:
    path.write_text("\n".join(json.dumps(record) for record in records) + end, encoding="utf-8")
    return read_history(path)


def test_the_summary_has_the_last_step_the_median_speed_and_the_best_validation(path: Path) -> None:
    speeds = [5.0, 100.0, 110.0, 120.0, 130.0]
    records = [train(10 * i, tokens_per_second=speed) for i, speed in enumerate(speeds, start=1)]
    records += [
        validation(step, bleu=bleu, best=best)
        for step, bleu, best in ((20, 3.0, True), (30, 9.0, True), (40, 9.0, False), (50, None, False))
    ]
    history = write_and_read(path, records)
    assert (history.steps, history.seconds, history.tokens_per_second) == (50, 25.0, 110.0)
    assert history.best_validation is not None and history.best_validation.step == 30


def test_the_epochs_are_those_that_were_completed(path: Path) -> None:
    """The training record of a run's last steps may be older than its last complete epoch, which the end counts."""
    records = [train(10, epoch=0), train(20, epoch=1), validation(20)]
    assert write_and_read(path, records).epochs == 1
    end = {"kind": "end", "step": 24, "seconds": 12.0, "epoch": 2, "reason": "max_epochs=2"}
    assert write_and_read(path, [*records, end]).epochs == 2
    assert write_and_read(path, [train(10)]).epochs is None


def test_an_empty_history_has_no_summary(path: Path) -> None:
    path.touch()
    history = read_history(path)
    summary = (history.steps, history.seconds, history.tokens_per_second, history.best_validation)
    assert summary == (None, None, None, None)


def test_records_that_a_resumed_run_repeats_replace_the_first_ones(path: Path) -> None:
    records = [train(10), train(20, loss=7.0), train(30, loss=7.0), validation(30, bleu=99.0), train(20), train(30)]
    records += [validation(30), train(40)]
    history = write_and_read(path, records)
    assert [(r.step, r.loss) for r in history.train] == [(10, 1.0), (20, 1.0), (30, 1.0), (40, 1.0)]
    assert [r.bleu for r in history.validation] == [10.0]


def test_averaged_weights_may_be_the_best_but_are_not_on_the_curve(tmp_path: Path) -> None:
    """They are validated at the step of the last checkpoint, whose own validation they do not replace."""
    records = [train(10), validation(10, bleu=5.0, best=True), train(20), validation(20, bleu=9.0, best=True)]
    better = write_and_read(tmp_path / "a.jsonl", [*records, validation(20, bleu=9.5, averaged=2, best=True)])
    worse = write_and_read(tmp_path / "b.jsonl", [*records, validation(20, bleu=8.0, averaged=2)])
    assert [r.bleu for r in better.validation] == [r.bleu for r in worse.validation] == [5.0, 9.0]
    assert better.best_validation is not None and better.best_validation.bleu == 9.5
    assert worse.best_validation is not None and worse.best_validation.bleu == 9.0


def test_quantities_that_are_not_finite_count_as_missing(path: Path) -> None:
    history = write_and_read(
        path, [train(10, loss=float("nan")), train(20, loss=1e300, tokens_per_second=float("inf"))]
    )
    assert [r.loss for r in history.train] == [None, None]
    assert history.tokens_per_second == 100.0


def test_an_incomplete_last_line_is_dropped(path: Path) -> None:
    history = write_and_read(path, [train(10)], end='\n{"kind": "tra')
    assert history.steps == 10
    assert len(read_lines(path)) == 1


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "train"}',
        "3",
        "",
        "[" * 100_000,
        '{"kind": "train", "step": 1.5, "seconds": 1, "loss": 1}',
        '"\\ud800"',  # half a surrogate pair
        '{"kind": "train", "step": 1, "seconds": 1, "loss": 1, "\\ud800": 1}',
    ],
)
def test_damage_is_named_by_its_line(path: Path, line: str) -> None:
    path.write_text(json.dumps(train(10)) + f"\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"history\.jsonl, line 2, is damaged"):
        read_history(path)


def test_a_missing_history_is_named(path: Path) -> None:
    with pytest.raises(UserError, match=r"history\.jsonl is missing"):
        read_history(path)


def test_bytes_that_are_not_utf8_damage_their_line_only(path: Path) -> None:
    path.write_bytes(json.dumps(train(10)).encode() + b"\n\xff\x00\n")
    assert read_lines(path)[0] == json.dumps(train(10))
    with pytest.raises(UserError, match=r"history\.jsonl, line 2, is damaged"):
        read_history(path)


def test_the_history_of_a_trained_run_holds_every_record(trained_run: Path) -> None:
    history = read_history(trained_run / "history.jsonl")
    assert [record.step for record in history.train] == [40, 80, 120, 160]
    assert [record.step for record in history.validation] == [40, 80, 120, 160]


@pytest.mark.parametrize("is_averaged", [False, True])
@pytest.mark.parametrize(
    ("rates", "is_last_best", "expected"),
    [([1.0, 1.0], True, True), ([1.0, 1.0], False, False), ([1.0, 0.5], True, True), ([1.0, 0.05], True, False)],
)
def test_a_run_was_improving_if_its_last_validation_was_the_best_at_a_high_rate(
    path: Path, rates: list[float], is_last_best: bool, expected: bool, is_averaged: bool
) -> None:
    """The mean of the last checkpoints does not count, even if it is the best."""
    records = [{**train(10 * number), "learning_rate": rate} for number, rate in enumerate(rates, start=1)]
    for step, best in ((10, True), (20, is_last_best)):
        records.append({"kind": "validation", "step": step, "seconds": 1.0, "loss": 2.0, "bleu": 1.0, "best": best})
    if is_averaged:
        records.append(validation(20, bleu=2.0, averaged=2, best=True))
    assert write_and_read(path, records).was_improving == expected
