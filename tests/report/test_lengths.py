"""BLEU by source length: its ranges, its confidence intervals, and the splits that it takes together."""

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sacrebleu

from nmt.evaluation import Metrics
from nmt.evaluation.bleu import corpus_bleu
from nmt.report.comparison import compare
from nmt.report.lengths import choose_ranges

METRICS = Metrics(language="de", bleu_tokenizer="13a")


def read_lines(run: Path, split: str, name: str) -> list[str]:
    return (run / "evaluation" / f"{split}.{name}.txt").read_text("utf-8").split("\n")[:-1]


@pytest.mark.parametrize(
    ("lengths", "ranges"),
    [
        ([3] * 20 + [6] * 20 + [12] * 25, [(1, 5), (6, 10), (11, 15)]),
        ([3] * 19 + [6] * 20 + [12] * 25, [(1, 10), (11, 15)]),  # too few short ones
        ([0] * 20 + [33] * 20 + [41, 48], [(1, 5), (6, 48)]),  # an empty line is short; the longest are too few
        ([2, 7], [(1, 7)]),
        ([0], [(1, 1)]),
    ],
)
def test_ranges_with_few_sentences_are_joined(lengths: list[int], ranges: list[tuple[int, int]]) -> None:
    assert choose_ranges(lengths, 5) == ranges


@pytest.fixture(scope="module")
def two_splits(make_run_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two systems that were evaluated on test and on test_long, whose sentences are others."""
    folder = tmp_path_factory.mktemp("splits")
    for name in ("lstm", "transformer"):
        for seed, split in ((1, "test"), (2, "test_long"), (3, "val")):
            make_run_once(folder / name, system=name, split=split, seed=seed)
    return [folder / "lstm", folder / "transformer"]


def test_the_sentences_of_all_test_splits_are_taken_together(two_splits: list[Path], tmp_path: Path) -> None:
    """BLEU is sacreBLEU's; the interval agrees with a bootstrap of its own."""
    report = compare(two_splits, split="test", out=tmp_path / "report")
    assert report.bleu_by_length.splits == {"test": 60, "test_long": 60}
    ranges = report.bleu_by_length.ranges
    assert sum(each.sentences for each in ranges) == 120
    lines = [
        [line for split in ("test", "test_long") for line in read_lines(two_splits[0], split, name)]
        for name in ("source", "hyp", "ref")
    ]
    longest = ranges[-1]
    chosen = [each for each in zip(*lines, strict=True) if longest.first <= len(each[0].split()) <= longest.last]
    assert len(chosen) == longest.sentences
    hypotheses, references = ([each[i] for each in chosen] for i in (1, 2))
    assert longest.groups[0].bleu == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [references]).score)
    counts = METRICS.count_sentences(hypotheses, references)
    draw = random.Random(3)
    scores = sorted(corpus_bleu(counts[draw.choices(range(len(chosen)), k=len(chosen))]) for _ in range(400))
    low, high = scores[10], scores[-11]
    assert (longest.groups[0].low, longest.groups[0].high) == pytest.approx((low, high), abs=(high - low) / 8)
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "test (60), test_long (60)" in page
    assert page.count('<polygon class="band"') == 2
    markdown = (tmp_path / "report" / "report.md").read_text("utf-8")
    half = (longest.groups[1].high - longest.groups[1].low) / 2
    row = f"| {longest.first}–{longest.last} | {longest.sentences} | "
    assert row in markdown
    assert f"**{longest.groups[1].bleu:.1f} ± {half:.1f}** |" in markdown.split(row)[1].splitlines()[0]


def test_a_validation_split_is_not_mixed_with_test_splits(two_splits: list[Path], tmp_path: Path) -> None:
    report = compare(two_splits, split="val", out=tmp_path / "report")
    assert report.bleu_by_length.splits == {"val": 60}


def test_an_outdated_split_is_left_out_with_a_remark(two_splits: list[Path], tmp_path: Path) -> None:
    runs = [Path(shutil.copytree(run, tmp_path / run.name)) for run in two_splits]
    record = runs[1] / "evaluation" / "test_long.json"
    record.write_text(record.read_text("utf-8").replace('"step": 3500', '"step": 3000'), encoding="utf-8")
    report = compare(runs, split="test", out=tmp_path / "report")
    assert report.bleu_by_length.splits == {"test": 60}
    assert report.notes == [
        f"BLEU by source length leaves test_long out: {runs[1]} has changed since: "
        f"call `nmt evaluate run={runs[1]} split=test_long`."
    ]
    text = record.read_text("utf-8").replace('"step": 3000', '"other_corpus": "news", "step": 3500')
    record.write_text(text, encoding="utf-8")
    assert compare(runs, split="test", out=tmp_path / "report").notes == [
        f"BLEU by source length leaves test_long out: {runs[1]} was evaluated there on another corpus."
    ]
    for run in runs:
        record = run / "evaluation" / "test_long.json"
        content = record.read_text("utf-8").replace('"other_corpus": "news", ', "")
        record.write_text(content.replace('"step": 3500', '"step": 3500, "other_corpus": "news"'), encoding="utf-8")
    compare(runs, split="test_long", out=tmp_path / "report")
    for suffix in ("md", "html"):
        page = (tmp_path / "report" / f"report.{suffix}").read_text("utf-8")
        assert re.search(r"on test(\\_|_)long of (<bdi>)?news(</bdi>)?, en → de", page)
    record.unlink()  # a split that a run lacks is none of the common ones
    assert compare(runs, split="test", out=tmp_path / "report").notes == []
