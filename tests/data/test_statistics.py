"""Statistics of a split, compared with counts made by hand."""

import datasets
import pytest

from nmt.data import statistics
from nmt.data.statistics import SideStatistics, count_leaks

UNK = 1


def encoded(texts: list[str], ids: list[list[int]]) -> datasets.Dataset:
    features = datasets.Features(
        {"source": datasets.Value("string"), "source_ids": datasets.Sequence(datasets.Value("int32"))}
    )
    return datasets.Dataset.from_dict({"source": texts, "source_ids": ids}, features=features)


@pytest.mark.parametrize("rows", [2, 10_000])
def test_counts_equal_those_made_by_hand(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(statistics, "CHUNK_ROWS", rows)
    dataset = encoded(["a dog", "", "ein Hündchen 😀", "x"], [[5, 6], [], [7, UNK, 8, UNK, 9], [UNK]])
    assert SideStatistics.of(dataset, "source", unk_id=UNK) == SideStatistics(
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
    side = SideStatistics.of(dataset, "source", unk_id=UNK)
    assert (side.median, side.percentile_95, side.percentile_99, side.longest) == (49, 94, 98, 99)


@pytest.mark.parametrize("rows", [1, 10_000])
def test_pairs_and_sources_of_another_split_are_counted(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(statistics, "CHUNK_ROWS", rows)
    train = datasets.Dataset.from_dict({"source": ["a", "b", "c", "a"], "target": ["A", "B", "C", "X"]})
    other = datasets.Dataset.from_dict({"source": ["a", "a", "b", "d", "c"], "target": ["A", "A", "Y", "D", "C"]})
    assert count_leaks(train, other) == (3, 4)  # a line that occurs twice counts twice
    assert count_leaks(other, train) == (2, 4)
    assert count_leaks(train, other.select([3])) == (0, 0)


def test_only_selected_rows_are_counted() -> None:
    """`select` keeps the complete table, and adds the indices of the selected rows."""
    dataset = encoded(["a", "b b", "c"], [[5], [6, 7], [UNK]]).select([1, 2])
    side = SideStatistics.of(dataset, "source", unk_id=UNK)
    assert (side.lines, side.words, side.pieces, side.unknown) == (2, 3, 3, 1)
