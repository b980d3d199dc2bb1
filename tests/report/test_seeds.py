"""Several seeds of a system: which runs belong together, and the means and deviations of their scores."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.report.comparison import compare, summarize
from nmt.report.runs import read_runs
from nmt.report.seeds import find_seed, group_seeds, mean_score, name_group
from nmt.report.tables import seed_table

CONFIG = "model:\n  _target_: nmt.models.PlainRNN\n  dropout: {dropout}\nrun: {run}\nseed: {seed}\ndevice: cpu\n"


@pytest.fixture
def seeds(make_run: Callable[..., Path], tmp_path: Path) -> list[Path]:
    """Three seeds of an LSTM, one of which has another dropout, and two of a Transformer."""
    runs = []
    for name, seed, dropout in (
        ("lstm", 1, 0.1),
        ("lstm", 2, 0.1),
        ("lstm", 3, 0.3),
        ("transformer", 1, 0),
        ("transformer", 2, 0),
    ):
        run = make_run(tmp_path / f"{name}-seed{seed}", system=name, draw_seed=str(seed))
        (run / "config.yaml").write_text(CONFIG.format(run=run, seed=seed, dropout=dropout))
        runs.append(run)
    return runs


def test_runs_that_differ_in_the_seed_alone_are_one_system(seeds: list[Path], tmp_path: Path) -> None:
    report = compare(seeds, split="test", out=tmp_path / "report")
    assert [(group.name, group.systems, group.seeds) for group in report.groups] == [
        ("lstm", ["lstm-seed1", "lstm-seed2"], [1, 2]),
        ("lstm-seed3", ["lstm-seed3"], [3]),
        ("transformer", ["transformer-seed1", "transformer-seed2"], [1, 2]),
    ]
    assert report.styles == [0, 0, 1, 2, 2]
    table = seed_table(report)
    assert table is not None
    names = [[row[0].text, row[1].text] for row in table.rows]
    assert names == [["lstm", "2"], ["lstm-seed3", "1"], ["transformer", "2"]]
    a, b = (system.metrics.bleu.score for system in report.systems[3:])
    mean, deviation = (a + b) / 2, abs(a - b) / math.sqrt(2)  # of two values
    assert table.rows[2][2].text == f"{mean:.1f} ± {deviation:.1f}"
    assert [row[2].is_best for row in table.rows] == [False, False, True]
    assert table.rows[1][2].text == f"{report.systems[2].metrics.bleu.score:.1f}"
    alone = compare(seeds[3:], split="test", out=tmp_path / "alone")
    assert summarize(alone) == f"transformer reaches a mean BLEU of {mean:.1f} ± {deviation:.1f} over 2 seeds."
    summary = summarize(report)
    assert summary.startswith(f"transformer has the highest mean BLEU, {mean:.1f} ± {deviation:.1f} over 2 seeds: +")
    assert summary.endswith(" against the mean of the baseline lstm.")
    for suffix in ("html", "md"):
        text = (tmp_path / "report" / f"report.{suffix}").read_text("utf-8")
        assert f"{mean:.1f} ± {deviation:.1f}" in text
        assert "Means over seeds" in text
        assert text.count("transformer-seed2") > 3  # each seed is still there
    # A line for each system: BLEU by length is a mean over the seeds.
    assert [group.group for group in report.bleu_by_length.ranges[0].groups] == ["lstm", "lstm-seed3", "transformer"]


def test_copies_of_a_run_are_no_further_seeds(seeds: list[Path]) -> None:
    copy = Path(shutil.copytree(seeds[0], seeds[0].with_name("copy")))
    groups = group_seeds(read_runs([seeds[0], copy, seeds[1]], split="test"))
    assert [group.systems for group in groups] == [["lstm-seed1", "lstm-seed2"], ["copy"]]


def test_seeds_may_start_with_seeds_of_the_same_system(seeds: list[Path]) -> None:
    for run, init in zip(seeds, ("both-seed1", "both-seed2", "both-seed3", "one-seed1", "other-seed2"), strict=True):
        config = run / "config.yaml"
        config.write_text(config.read_text() + f"init: runs/{init}\n")
    groups = group_seeds(read_runs(seeds, split="test"))
    assert [group.systems for group in groups] == [
        ["lstm-seed1", "lstm-seed2"],
        ["lstm-seed3"],  # another dropout
        ["transformer-seed1"],
        ["transformer-seed2"],
    ]


def test_runs_whose_settings_are_not_known_stay_apart(runs: list[Path], tmp_path: Path) -> None:
    report = compare(runs[:2], split="test", out=tmp_path / "report")
    assert [group.systems for group in report.groups] == [["lstm"], ["lstm_bahdanau"]]
    assert [group.seeds for group in report.groups] == [[], []]
    assert seed_table(report) is None
    assert "Means over seeds" not in (tmp_path / "report" / "report.html").read_text("utf-8")


def test_the_deviation_is_that_of_a_sample() -> None:
    score = mean_score([30.0, 32.0, 37.0])
    assert score.mean == 33
    assert score.deviation == pytest.approx(math.sqrt((9 + 1 + 16) / 2))
    assert mean_score([30.0]).deviation is None


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (["transformer-seed1", "transformer-seed2"], "transformer"),
        (["small_seed10", "small_seed11"], "small"),
        (["seed1/lstm", "seed2/lstm"], "lstm"),
        (["a/lstm", "b/lstm"], "lstm"),
        (["1", "2"], "1, 2"),
        (["lstm512", "lstm513"], "lstm"),
        (["lstm12-s1", "lstm12-s2"], "lstm12-s"),
        (["lstm-seed1"], "lstm-seed1"),
    ],
)
def test_a_group_is_named_by_what_the_names_have_in_common(names: list[str], name: str) -> None:
    assert name_group(names) == name


def test_only_the_seed_of_the_training_counts() -> None:
    assert find_seed("data:\n  seed: 3\nseed: 12\n") == 12
    assert find_seed("data:\n  seed: 3\n") is None
    assert find_seed("seed: null\n") is None
