import math
import os
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nmt.data.cleaning
from nmt.data.cleaning import Cleaning, Report
from nmt.data.corpus import FilesCorpus
from nmt.data.encoding import encode_corpus
from nmt.data.tokenizer import Tokenizer

ALL = {"drop_empty": True, "max_ratio": 3.0, "drop_duplicates": True}
NONE = {"drop_empty": False, "max_ratio": None, "drop_duplicates": False}
REASONS = ["both sides empty", "source empty", "target empty", "too long", "length ratio", "duplicate"]
LETTERS = Tokenizer.train(
    ["a b c d e f g"] * 9,
    [],
    vocab_size=19,
    model_type="bpe",
    shared=True,
    character_coverage=1.0,
    byte_fallback=False,
)
"""Of the letters a to g, with a space before each, every one is a piece or two; others are `unk`."""


def dataset_of(pairs: list[tuple[str, str]]) -> datasets.Dataset:
    """The encoded pairs, in memory."""
    sources, targets = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    columns = {"source": sources, "target": targets}
    columns |= {"source_ids": LETTERS.encode_source(sources), "target_ids": LETTERS.encode_target(targets)}
    ids = datasets.Sequence(datasets.Value("int32"))
    text = datasets.Value("string")
    features = {"source": text, "target": text, "source_ids": ids, "target_ids": ids}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def examine(pairs: list[tuple[str, str]], *, max_length: int = 100, **changes: object) -> Report:
    return Cleaning(**(ALL | changes)).examine(dataset_of(pairs), max_length=max_length)


def letters(number: int) -> str:
    return " ".join("abcdefg"[index % 7] for index in range(number))


def pieces(text: str) -> int:
    return len(LETTERS.encode_source([text])[0])


def test_one_reason_for_each_pair() -> None:
    one, six = letters(1), letters(6)
    pairs = {
        (one, one): None,
        ("", ""): "both sides empty",
        (" ", "\x01\u200b"): "both sides empty",
        ("", six): "source empty",
        (six, "\t"): "target empty",
        (letters(60), letters(60)): "too long",
        (letters(60), one): "too long",  # before the ratio
        (one, six): "length ratio",
        (six, one): "length ratio",
    }
    rows = [*pairs, (one, one), (one, one), (one + " ", one), (one, six), ("", "")]
    report = examine(rows, max_length=60)
    assert report.kept.tolist() == [0, 11]  # another space is another text; what has been dropped has no duplicates
    assert report.dropped == {
        "both sides empty": 3,
        "source empty": 1,
        "target empty": 1,
        "too long": 2,
        "length ratio": 3,
        "duplicate": 2,
    }
    for row, (pair, reason) in enumerate(pairs.items()):
        if reason is None:
            assert examine([pair], max_length=60).kept.tolist() == [0]
        else:
            assert row not in report.kept
            assert examine([(one, one), pair], max_length=60).dropped[reason] == 1


def test_the_first_of_equal_pairs_is_kept() -> None:
    one, two, three = (letters(number) for number in (1, 2, 3))
    pairs = [(two, one), (one, two), (two, one), (one, one), (three, one), (two, one), (one, two)]
    assert examine(pairs).kept.tolist() == [0, 1, 3, 4]


def test_limits_are_reached_but_not_passed() -> None:
    eight = letters(8)
    size = pieces(eight)
    assert examine([(eight, eight)], max_length=size + 1).dropped["too long"] == 0
    assert examine([(eight, eight), ("a", "a")], max_length=size).dropped["too long"] == 1
    ratio = size / pieces("a")
    assert examine([(eight, "a")], max_ratio=ratio).dropped["length ratio"] == 0
    assert examine([(eight, "a"), ("a", "a")], max_ratio=ratio - 0.01).dropped["length ratio"] == 1


@pytest.mark.parametrize(
    ("rules", "reasons"),
    [
        (NONE, ["too long"]),
        (NONE | {"drop_empty": True}, REASONS[:4]),
        (NONE | {"max_ratio": 2.0}, ["too long", "length ratio"]),
        (NONE | {"drop_duplicates": True}, ["too long", "duplicate"]),
        (ALL, REASONS),
    ],
)
def test_a_rule_that_is_off_drops_nothing(rules: dict[str, object], reasons: list[str]) -> None:
    pairs = [("", ""), ("", "a"), ("a", ""), ("a", letters(30)), ("a", "b"), ("a", "b"), ("a", letters(300))]
    report = examine(pairs, **rules)
    assert list(report.dropped) == reasons
    assert all(report.dropped.values())
    if rules == NONE:
        assert report.kept.tolist() == [0, 1, 2, 3, 4, 5]


TEXTS = st.one_of(
    st.sampled_from(["", " ", "a", "b", "a b", "a  b", "\x00", "a\x00", "\ufeffa", "a\r", "\u2028", "ж", "щ"]),
    st.integers(0, 40).map(letters),
    st.text(max_size=12),
)


@given(
    pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=40),
    drop_empty=st.booleans(),
    max_ratio=st.one_of(st.none(), st.floats(1, 12)),
    drop_duplicates=st.booleans(),
    max_length=st.integers(2, 60),
    rows=st.integers(1, 50),
)
@settings(max_examples=200)
def test_kept_and_dropped_are_the_corpus(
    pairs: list[tuple[str, str]],
    drop_empty: bool,
    max_ratio: float | None,
    drop_duplicates: bool,
    max_length: int,
    rows: int,
) -> None:
    """Against the rules of the docstring, one pair at a time."""
    pairs.append(("a", "a"))  # one is always left, by way of the first of its kind
    kept, dropped, seen = [], dict.fromkeys(REASONS, 0), set()
    for row, pair in enumerate(pairs):
        source, target = map(pieces, pair)
        if drop_empty and (source == 0 or target == 0):
            dropped[REASONS[0 if source == target else 1 if source == 0 else 2]] += 1
        elif max(source, target) + 1 > max_length:
            dropped["too long"] += 1
        elif max_ratio is not None and min(source, target) and max(source, target) / min(source, target) > max_ratio:
            dropped["length ratio"] += 1
        elif drop_duplicates and pair in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(pair)
            kept.append(row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nmt.data.cleaning, "ROWS", rows)
        patch.setattr(nmt.data.cleaning, "CANDIDATES", rows)
        rules = {"drop_empty": drop_empty, "max_ratio": max_ratio, "drop_duplicates": drop_duplicates}
        if not kept:
            with pytest.raises(ValueError, match="no pair of"):
                examine(pairs, max_length=max_length, **rules)
            return
        report = examine(pairs, max_length=max_length, **rules)
    assert report.kept.tolist() == kept
    assert report.dropped == {reason: count for reason, count in dropped.items() if reason in report.dropped}
    assert len(report.kept) + sum(report.dropped.values()) == report.num_pairs == len(pairs)


def test_equal_hashes_do_not_make_a_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmt.data.cleaning, "mix", np.zeros_like)
    pairs = [
        ("a", "b"),
        ("b", "a"),
        ("a", "b"),
        ("ж", "a"),
        ("щ", "a"),
        ("a b", "a"),
        ("a  b", "a"),
        ("a", "a"),
        ("b", "b"),
    ]
    assert examine(pairs).kept.tolist() == [0, 1, 3, 4, 5, 6, 7, 8]


def test_hashes_tell_pairs_apart() -> None:
    """Without that, all texts would be compared with all."""
    texts = [letters(number) for number in range(1, 20)] + ["a a", "b a", "g f e", "a a a"]
    dataset = dataset_of([(source, target) for source in texts for target in texts])
    _, _, hashes, _ = nmt.data.cleaning.facts_of(dataset.with_format("arrow")[:])
    assert len(set(hashes.tolist())) == len(texts) ** 2


def test_a_selection_has_its_own_rows() -> None:
    dataset = dataset_of([("", "a"), ("a", "b"), ("b", "a"), ("a", "b")]).select([3, 0, 2, 1])
    assert Cleaning(**ALL).examine(dataset, max_length=9).kept.tolist() == [0, 2]


def test_control_characters_are_counted_in_what_is_kept() -> None:
    odd = ["a\x00", "a\x7f", "a\r", "a\x85", "a\ufeff", "\x1ba"]
    plain = ["a\tb", "a\u2028b", "a\u00a0b", "ä", "aб"]
    report = examine([(text, "a") for text in odd + plain] + [("a", "b\x01"), ("", "\x00"), ("a\x00", "a")])
    assert report.num_control == len(odd) + 1
    assert len(report.kept) == len(odd + plain) + 1


def test_the_lines_for_a_person_are_aligned() -> None:
    report = examine([("", "a")] + [("a", letters(number)) for number in range(1, 1202)], max_ratio=None)
    lines = report.lines()
    assert len({len(line) for line in lines}) == 1
    dropped = [f"dropped: {reason}" for reason in REASONS if reason != "length ratio"]
    assert [line.split("  ")[0] for line in lines] == ["training pairs", "kept", *dropped]
    assert lines[0].split()[-2:] == ["1,202", "100.00%"]
    assert lines[3].split()[-2:] == ["1", "0.08%"]
    assert not any("control" in line for line in lines)
    assert examine([("a\x00", "a")]).lines()[-1].split() == ["kept", "with", "control", "characters", "1", "100.00%"]


def test_the_record_holds_all_numbers() -> None:
    record = examine([("a", "a"), ("a", "a"), ("", "a"), ("b\x00", "a")]).record()
    assert record == {
        "pairs": 4,
        "kept": 2,
        "dropped": dict.fromkeys(REASONS, 0) | {"source empty": 1, "duplicate": 1},
        "control_characters": 1,
    }


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"^no pair of 4 can be used with max_length=9: source empty 2, too long 1, length ratio 1$"
    ):
        examine([("", "a"), (letters(60), "a"), ("", "b"), (letters(4), "a")], max_length=9, max_ratio=1.0)
    with pytest.raises(ValueError, match="there are no pairs"):
        Cleaning(**ALL).examine(dataset_of([("a", "a")]).select([]), max_length=9)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, in which every corpus counts as large."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(nmt.data.cleaning, "LARGE", 1)
    return tmp_path / "nmt"


PAIRS = [("a", "a"), ("a", "a"), ("", "a"), ("b\x00", "a"), ("a", "c")]


def same(first: Report, second: Report) -> bool:
    return first.kept.tolist() == second.kept.tolist() and first.record() == second.record()


def test_a_large_split_is_looked_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = examine(PAIRS)
    monkeypatch.setattr(nmt.data.cleaning, "facts_of", None)  # looking again would fail
    again = examine(PAIRS)
    assert same(first, again)
    assert again.kept.dtype == first.kept.dtype
    for changes in ({"max_length": 99}, {"drop_duplicates": False}, {"max_ratio": 2.0}):
        with pytest.raises(TypeError):
            examine(PAIRS, **changes)
    with pytest.raises(TypeError):
        examine(PAIRS[::-1])


@pytest.mark.parametrize("keep", [0, 10, -10])
def test_a_damaged_report_is_made_anew(cache: Path, keep: int) -> None:
    first = examine(PAIRS)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert same(examine(PAIRS), first)
    assert path.read_bytes() == whole


def test_a_small_split_leaves_nothing_behind(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmt.data.cleaning, "LARGE", len(PAIRS) + 1)
    examine(PAIRS)
    assert not cache.exists()


@pytest.mark.parametrize("max_ratio", [0.5, -1.0, math.nan])
def test_a_ratio_is_at_least_one(max_ratio: float) -> None:
    with pytest.raises(ValueError, match=rf"cleaning.max_ratio={max_ratio} must be at least 1"):
        Cleaning(**(ALL | {"max_ratio": max_ratio}))


@pytest.mark.multi30k
@pytest.mark.skipif("NMT_MULTI30K" not in os.environ, reason="NMT_MULTI30K names no folder with Multi30k")
def test_multi30k_has_three_duplicates() -> None:
    split = FilesCorpus(path=Path(os.environ["NMT_MULTI30K"]), source="en", target="de").split("train")
    encoded = encode_corpus(split, LETTERS, num_workers=1)
    report = Cleaning(drop_empty=True, max_ratio=None, drop_duplicates=True).examine(encoded, max_length=999)
    assert report.kept.size == 28_997
    assert report.dropped["duplicate"] == 3
