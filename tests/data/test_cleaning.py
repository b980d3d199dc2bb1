"""Cleaning: every pair is kept or dropped for one reason, as a direct implementation of the rules finds."""

import math
import os
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nmt.data.cleaning
import nmt.data.pair_measurements
from nmt.data.cleaning import Cleaning, CleaningReport
from nmt.data.corpus import FilesCorpus
from nmt.data.encoding import encode_corpus
from nmt.data.pair_measurements import DIGEST_BYTES, digest_pairs
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError

ALL: dict[str, Any] = {"drop_empty": True, "max_ratio": 3.0, "drop_duplicates": True}
NONE: dict[str, Any] = {"drop_empty": False, "max_ratio": None, "drop_duplicates": False}
REASONS = ["both sides empty", "source empty", "target empty", "too long", "length ratio", "duplicate"]
LETTERS = Tokenizer.train(
    ["a b c d e f g"] * 9,
    [],
    vocab_size=19,
    model_type="bpe",
    shared=True,
    character_coverage=1.0,
    byte_fallback=False,
    normalization="compose",
)
"""Encodes each of the letters a to g, after a space, as one or two pieces; other letters are `unk`."""


def dataset_of(pairs: list[tuple[str, str]]) -> datasets.Dataset:
    """The encoded pairs, in memory."""
    sources, targets = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    columns: dict[str, Any] = {"source": sources, "target": targets}
    columns |= {"source_ids": LETTERS.encode_source(sources), "target_ids": LETTERS.encode_target(targets)}
    ids = datasets.Sequence(datasets.Value("int32"))
    text = datasets.Value("string")
    features = {"source": text, "target": text, "source_ids": ids, "target_ids": ids}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def clean(pairs: list[tuple[str, str]], *, max_length: int = 100, **changes: Any) -> CleaningReport:
    return Cleaning(**(ALL | changes)).apply(dataset_of(pairs), max_length=max_length)


def letters(number: int) -> str:
    return " ".join("abcdefg"[index % 7] for index in range(number))


def pieces(text: str) -> int:
    return len(LETTERS.encode_source([text])[0])


def test_each_pair_is_dropped_for_one_reason() -> None:
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
    report = clean(rows, max_length=59)
    assert report.kept.tolist() == [0, 11]  # a space more is another text; a dropped pair has no duplicates
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
            assert clean([pair], max_length=59).kept.tolist() == [0]
        else:
            assert row not in report.kept
            assert clean([(one, one), pair], max_length=59).dropped[reason] == 1


def test_the_first_of_equal_pairs_is_kept() -> None:
    one, two, three = (letters(number) for number in (1, 2, 3))
    pairs = [(two, one), (one, two), (two, one), (one, one), (three, one), (two, one), (one, two)]
    assert clean(pairs).kept.tolist() == [0, 1, 3, 4]


def test_pairs_at_the_limits_are_kept() -> None:
    eight = letters(8)
    size = pieces(eight)
    assert clean([(eight, eight)], max_length=size).dropped["too long"] == 0
    assert clean([(eight, eight), ("a", "a")], max_length=size - 1).dropped["too long"] == 1
    ratio = size / pieces("a")
    assert clean([(eight, "a")], max_ratio=ratio).dropped["length ratio"] == 0
    assert clean([(eight, "a"), ("a", "a")], max_ratio=ratio - 0.01).dropped["length ratio"] == 1


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
def test_a_rule_that_is_off_drops_nothing(rules: dict[str, Any], reasons: list[str]) -> None:
    pairs = [("", ""), ("", "a"), ("a", ""), ("a", letters(30)), ("a", "b"), ("a", "b"), ("a", letters(300))]
    report = clean(pairs, **rules)
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
def test_the_report_equals_the_rules_applied_one_by_one(
    pairs: list[tuple[str, str]],
    drop_empty: bool,
    max_ratio: float | None,
    drop_duplicates: bool,
    max_length: int,
    rows: int,
) -> None:
    """The rules of the module's docstring, for one pair at a time."""
    pairs.append(("a", "a"))  # usually, at least this pair is kept
    kept, dropped, seen = [], dict.fromkeys(REASONS, 0), set()
    for row, pair in enumerate(pairs):
        source, target = map(pieces, pair)
        if drop_empty and (source == 0 or target == 0):
            dropped[REASONS[0 if source == target else 1 if source == 0 else 2]] += 1
        elif max(source, target) > max_length:
            dropped["too long"] += 1
        elif max_ratio is not None and min(source, target) and max(source, target) / min(source, target) > max_ratio:
            dropped["length ratio"] += 1
        elif drop_duplicates and pair in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(pair)
            kept.append(row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nmt.data.pair_measurements, "CHUNK_PAIRS", rows)
        rules = {"drop_empty": drop_empty, "max_ratio": max_ratio, "drop_duplicates": drop_duplicates}
        if not kept:
            with pytest.raises(UserError, match="no pair of"):
                clean(pairs, max_length=max_length, **rules)
            return
        report = clean(pairs, max_length=max_length, **rules)
    assert report.kept.tolist() == kept
    assert report.dropped == {reason: count for reason, count in dropped.items() if reason in report.dropped}
    assert len(report.kept) + sum(report.dropped.values()) == report.num_pairs == len(pairs)


def test_different_pairs_have_different_digests() -> None:
    """Also if their texts are equal after joining them, or differ in characters that the tokenizer drops."""
    texts = ["", " ", "a", "aa", "a a", "a  a", "aaa", "1", "1 a", "a\x00", "ж", "щ", "\u2028"]
    pairs = [(source, target) for source in texts for target in texts]
    digests = digest_pairs(dataset_of(pairs).with_format("arrow")[:]).tolist()
    assert {len(digest) for digest in digests} == {DIGEST_BYTES}
    assert len(set(digests)) == len(pairs)
    assert digest_pairs(dataset_of(pairs[::-1]).with_format("arrow")[:]).tolist() == digests[::-1]
    assert clean([("aa", "a"), ("a", "aa"), ("aa", "a")]).kept.tolist() == [0, 1]


def test_pairs_with_different_tags_have_different_digests() -> None:
    """Also if the end of a tag could be read as the beginning of a length: x, 12 letters and x1, 2 letters."""
    pairs, tags = [("abcdefghijkl", "mn"), ("ab", "cdefghijklmn"), ("a", "b"), ("a", "b")], ["x", "x1", "", "x"]
    table = dataset_of(pairs).add_column("tag", tags).with_format("arrow")[:]
    assert len(set(digest_pairs(table).tolist())) == len(pairs)


def test_indices_of_a_selection_count_its_own_rows() -> None:
    dataset = dataset_of([("", "a"), ("a", "b"), ("b", "a"), ("a", "b")]).select([3, 0, 2, 1])
    assert Cleaning(**ALL).apply(dataset, max_length=9).kept.tolist() == [0, 2]


def test_control_characters_are_counted_in_kept_pairs() -> None:
    odd = ["a\x00", "a\x7f", "a\r", "a\x85", "a\ufeff", "\x1ba"]
    plain = ["a\tb", "a\u2028b", "a\u00a0b", "ä", "aб"]
    report = clean([(text, "a") for text in odd + plain] + [("a", "b\x01"), ("", "\x00"), ("a\x00", "a")])
    assert report.num_control == len(odd) + 1
    assert len(report.kept) == len(odd + plain) + 1


def test_the_lines_for_the_terminal_are_aligned() -> None:
    report = clean([("", "a")] + [("a", letters(number)) for number in range(1, 1202)], max_ratio=None)
    lines = report.lines()
    assert len({len(line) for line in lines}) == 1
    dropped = [f"dropped: {reason}" for reason in REASONS if reason != "length ratio"]
    assert [line.split("  ")[0] for line in lines] == ["training pairs", "kept", *dropped]
    assert lines[0].split()[-2:] == ["1,202", "100.00%"]
    assert lines[3].split()[-2:] == ["1", "0.08%"]
    assert not any("control" in line for line in lines)
    assert clean([("a\x00", "a")]).lines()[-1].split() == ["kept", "with", "control", "characters", "1", "100.00%"]


def test_the_record_contains_all_counts() -> None:
    record = clean([("a", "a"), ("a", "a"), ("", "a"), ("b\x00", "a")]).record()
    assert record == {
        "pairs": 4,
        "kept": 2,
        "dropped": dict.fromkeys(REASONS, 0) | {"source empty": 1, "duplicate": 1},
        "control_characters": 1,
    }


def test_a_split_without_usable_pairs_is_refused() -> None:
    with pytest.raises(
        UserError,
        match=r"^no pair of 4 can be used \(source empty 2, too long 1, length ratio 1\): check that the files contain "
        r"text in both languages$",
    ):
        clean([("", "a"), (letters(60), "a"), ("", "b"), (letters(4), "a")], max_length=9, max_ratio=1.0)
    shortest = pieces(letters(30))
    with pytest.raises(UserError, match=f"raise loader.max_length .* since the shortest pair has {shortest} pieces"):
        clean([(letters(60), "a"), ("a", letters(30)), ("a", letters(50))], max_length=9)
    assert len(clean([(letters(60), "a"), ("a", letters(30))], max_length=shortest, max_ratio=None).kept) == 1
    with pytest.raises(UserError, match=r"raise cleaning.max_ratio, or set it to null$"):
        clean([(letters(4), "a")], max_ratio=1.0)
    with pytest.raises(UserError, match="there are no pairs"):
        Cleaning(**ALL).apply(dataset_of([("a", "a")]).select([]), max_length=9)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in which the reports of all splits are kept."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(nmt.data.cleaning, "MIN_CACHED_PAIRS", 1)
    return tmp_path / "nmt"


PAIRS = [("a", "a"), ("a", "a"), ("", "a"), ("b\x00", "a"), ("a", "c")]


def same(first: CleaningReport, second: CleaningReport) -> bool:
    return first.kept.tolist() == second.kept.tolist() and first.record() == second.record()


def test_a_large_split_is_cleaned_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = clean(PAIRS)
    monkeypatch.setattr(nmt.data.cleaning, "measure_pairs", None)  # cleaning again would fail
    again = clean(PAIRS)
    assert same(first, again)
    assert again.kept.dtype == first.kept.dtype
    for changes in ({"max_length": 99}, {"drop_duplicates": False}, {"max_ratio": 2.0}):
        with pytest.raises(TypeError):
            clean(PAIRS, **changes)
    with pytest.raises(TypeError):
        clean(PAIRS[::-1])


@pytest.mark.parametrize("keep", [0, 10, -10])
def test_a_damaged_cached_report_is_replaced(cache: Path, keep: int) -> None:
    first = clean(PAIRS)
    (path,) = cache.iterdir()
    complete = path.read_bytes()
    path.write_bytes(complete[:keep])
    assert same(clean(PAIRS), first)
    assert path.read_bytes() == complete


def test_the_report_of_a_small_split_is_not_cached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmt.data.cleaning, "MIN_CACHED_PAIRS", len(PAIRS) + 1)
    clean(PAIRS)
    assert not cache.exists()


def test_a_cached_report_whose_counts_disagree_is_refused(cache: Path) -> None:
    clean(PAIRS)
    (path,) = cache.iterdir()
    path.write_text(path.read_text().replace('"pairs": 5', '"pairs": 6'))
    with pytest.raises(UserError, match="its counts do not add up"):
        CleaningReport.load(path)


@pytest.mark.parametrize("num_pairs", [-5, 10**13, 10**30])
def test_a_cached_report_without_one_bit_per_pair_is_refused(cache: Path, num_pairs: int) -> None:
    """Before memory for that many pairs is allocated."""
    clean(PAIRS)
    (path,) = cache.iterdir()
    path.write_text(path.read_text().replace('"pairs": 5', f'"pairs": {num_pairs}'))
    with pytest.raises(UserError, match="is damaged"):
        CleaningReport.load(path)


@pytest.mark.parametrize("max_ratio", [0.5, -1.0, math.nan, "nine"])
def test_a_ratio_below_one_is_refused(max_ratio: object) -> None:
    with pytest.raises(UserError, match=rf"cleaning.max_ratio={max_ratio} must be a number of at least 1"):
        Cleaning(**(ALL | {"max_ratio": max_ratio}))


@pytest.mark.multi30k
@pytest.mark.skipif("NMT_MULTI30K" not in os.environ, reason="NMT_MULTI30K names no folder with Multi30k")
def test_multi30k_has_three_duplicates() -> None:
    split = FilesCorpus(path=Path(os.environ["NMT_MULTI30K"]), source="en", target="de").split("train")
    encoded = encode_corpus(split, LETTERS, num_workers=1)
    report = Cleaning(drop_empty=True, max_ratio=None, drop_duplicates=True).apply(encoded, max_length=999)
    assert report.kept.size == 28_997
    assert report.dropped["duplicate"] == 3
