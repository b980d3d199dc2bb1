"""What a split is like, counted again by hand."""

import datasets
import pytest

from nmt.data import statistics
from nmt.data.statistics import SideStatistics, leaked

UNK = 1


def encoded(texts: list[str], ids: list[list[int]]) -> datasets.Dataset:
    features = datasets.Features(
        {"source": datasets.Value("string"), "source_ids": datasets.Sequence(datasets.Value("int32"))}
    )
    return datasets.Dataset.from_dict({"source": texts, "source_ids": ids}, features=features)


@pytest.mark.parametrize("rows", [2, 10_000])
def test_a_side(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(statistics, "ROWS", rows)
    dataset = encoded(["a dog", "", "ein Hündchen 😀", "x"], [[5, 6], [], [7, UNK, 8, UNK, 9], [UNK]])
    found = SideStatistics.of(dataset, "source", unk_id=UNK)
    assert found == SideStatistics(
        lines=4,
        words=6,
        characters=20,
        pieces=8,
        unknown=3,
        mean=2.0,
        median=1,
        percentile_95=5,
        percentile_99=5,
        longest=5,
    )


def test_percentiles_are_lengths_that_occur() -> None:
    dataset = encoded(["x"] * 100, [[5] * length for length in range(100)])
    found = SideStatistics.of(dataset, "source", unk_id=UNK)
    assert (found.median, found.percentile_95, found.percentile_99, found.longest) == (49, 94, 98, 99)


@pytest.mark.parametrize("rows", [1, 10_000])
def test_what_two_splits_share(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(statistics, "ROWS", rows)
    train = datasets.Dataset.from_dict({"source": ["a", "b", "c", "a"], "target": ["A", "B", "C", "X"]})
    other = datasets.Dataset.from_dict({"source": ["a", "a", "b", "d", "c"], "target": ["A", "A", "Y", "D", "C"]})
    assert leaked(train, other) == (3, 4)  # a line that is there twice is found twice
    assert leaked(other, train) == (2, 4)
    assert leaked(train, other.select([3])) == (0, 0)


def test_a_part_of_a_split_is_counted_as_the_part() -> None:
    """`select` leaves the table as it is, and looks up rows."""
    dataset = encoded(["a", "b b", "c"], [[5], [6, 7], [UNK]]).select([1, 2])
    found = SideStatistics.of(dataset, "source", unk_id=UNK)
    assert (found.lines, found.words, found.pieces, found.unknown) == (2, 3, 3, 1)
