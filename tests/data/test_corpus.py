"""Corpora in local files: every layout and every damage, caching, and error messages."""

import errno
import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.cache import dataset_fingerprint
from nmt.data.corpus import FilesCorpus
from nmt.data.readers import read_split
from nmt.data.text_file import describe_repairs
from nmt.errors import Failure, UserError

Files = dict[str, bytes | str]
"""Contents of files by name, with "__" instead of the dot."""

CONF = Path(__file__).parents[2] / "conf"
ENGLISH = ["A dog runs.", "", "  Two  cats sleep. ", "A\u2028b\x85c\x0bd\x0ce\rf\u00a0g"]
GERMAN = ["Ein Hund rennt.", "Nichts.", "Zwei Katzen schlafen.", "\ufeffÄ 😀"]
PAIRS = [{"source": source, "target": target} for source, target in zip(ENGLISH, GERMAN, strict=True)]
NESTED = [{"translation": {"en": source, "de": target}} for source, target in zip(ENGLISH, GERMAN, strict=True)]


def lines(texts: list[str], end: str = "\n") -> bytes:
    return "".join(text + end for text in texts).encode()


def write(folder: Path, **files: bytes | str) -> Path:
    """Writes files into a folder: `train__en` becomes train.en."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        content = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def files_corpus(folder: Path, source: str = "en", target: str = "de") -> FilesCorpus:
    return FilesCorpus(path=folder, source=source, target=target)


def rows(dataset: datasets.Dataset) -> list[dict[str, str]]:
    return list(dataset)


def jsonl(objects: Sequence[object]) -> str:
    return "".join(json.dumps(thing, ensure_ascii=False) + "\n" for thing in objects)


TABLE = ["en\tnote\tde", *(f"{source}\tx\t{target}" for source, target in zip(ENGLISH, GERMAN, strict=True))]
LAYOUTS: dict[str, Files] = {
    "plain": {"train__en": lines(ENGLISH), "train__de": lines(GERMAN)},
    "crlf": {"train__en": lines(ENGLISH, "\r\n"), "train__de": lines(GERMAN)},
    "byte order mark": {"train__en": b"\xef\xbb\xbf" + lines(ENGLISH), "train__de": lines(GERMAN)},
    "no final newline": {"train__en": lines(ENGLISH)[:-1], "train__de": lines(GERMAN)},
    "one compressed": {"train__en": lines(ENGLISH), "train__de__gz": gzip.compress(lines(GERMAN))},
    "tsv": {"train__tsv": lines(TABLE)},
    "tsv.gz": {"train__tsv__gz": gzip.compress(b"\xef\xbb\xbf" + lines(TABLE, "\r\n"))},
    "jsonl": {"train__jsonl": jsonl([pair["translation"] for pair in NESTED])},
    "nested jsonl.gz": {"train__jsonl__gz": gzip.compress(("\n" + jsonl(NESTED) + "\n").encode())},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_layout_gives_the_same_text(layout: Files, tmp_path: Path) -> None:
    folder = write(tmp_path / "corpus", **layout)
    corpus = files_corpus(folder)
    assert corpus.splits() == ["train"]
    dataset = corpus.split("train")
    assert dataset.column_names == ["source", "target"]
    assert rows(dataset) == PAIRS
    back = files_corpus(folder, source="de", target="en").split("train")
    assert rows(back) == [{"source": pair["target"], "target": pair["source"]} for pair in PAIRS]


MARK = b"\xef\xbb\xbf"
REPAIRS: list[tuple[Files, list[str]]] = [
    ({"train__en": lines(ENGLISH), "train__de": lines(GERMAN)}, []),
    ({"train__en": lines(ENGLISH, "\r\n"), "train__de": lines(GERMAN)}, ["train.en: 4 lines end in CRLF"]),
    (
        {"train__en": lines(ENGLISH), "train__de": MARK + lines(GERMAN[:3], "\r\n") + lines(GERMAN[3:])},
        ["train.de: a byte order mark was dropped; 3 lines end in CRLF, 1 in LF"],
    ),
    (
        {"train__en__gz": gzip.compress(MARK + lines(ENGLISH)), "train__de": MARK + lines(GERMAN)},
        ["train.en.gz: a byte order mark was dropped", "train.de: a byte order mark was dropped"],
    ),
    ({"train__tsv": lines(TABLE, "\r\n")}, ["train.tsv: 5 lines end in CRLF"]),
    (
        {"train__en": "a\r\r\nb\r", "train__de": "\ra\n\r\n"},
        ["train.en: 1 lines end in CRLF", "train.de: 1 lines end in CRLF, 1 in LF"],
    ),
]


@pytest.mark.parametrize(("layout", "expected"), REPAIRS)
def test_corrections_of_files_are_described(layout: Files, expected: list[str], tmp_path: Path) -> None:
    folder = write(tmp_path / "corpus", **layout)
    assert files_corpus(folder).repairs("train") == expected
    assert files_corpus(folder).split("train").num_rows in (2, 4)


@given(ends=st.lists(st.sampled_from(["\n", "\r\n"]), min_size=1, max_size=30), block=st.integers(1, 9))
def test_line_ends_are_counted_across_blocks(
    ends: list[str], block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("text") / "train.en"
    path.write_bytes("".join(f"a{end}" for end in ends).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmt.data.text_file.BLOCK_BYTES", block)
        description = describe_repairs(path)
    crlf = ends.count("\r\n")
    mixed = f", {len(ends) - crlf} in LF" if crlf < len(ends) else ""
    assert description == (f"train.en: {crlf} lines end in CRLF{mixed}" if crlf else None)


@given(texts=st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\n"))))
def test_nothing_but_line_ends_is_changed(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    texts = [text.rstrip("\r") for text in ["first", *texts, "last"]]
    folder = tmp_path_factory.mktemp("text")
    write(folder, a__en=lines(texts), a__de=lines(texts, "\r\n"), b__jsonl=jsonl([{"en": t, "de": t} for t in texts]))
    for paths in ((folder / "a.en", folder / "a.de"), (folder / "b.jsonl",)):
        pairs = list(read_split(paths, source="en", target="de"))
        assert pairs == [{"source": text, "target": text} for text in texts]


def test_splits_are_stems_with_both_languages(tmp_path: Path) -> None:
    both = {
        f"{split}__{language}": "a\n" for split in ("b", "test", "val", "a.tok", "train") for language in ("en", "de")
    }
    folder = write(tmp_path, **both, odd__en="a\n", odd__fr="a\n", zz__tsv="en\tde\na\tb\n", README__md="a\n")
    write(folder / "sub.en")
    assert files_corpus(folder).splits() == ["train", "val", "test", "a.tok", "b", "zz"]
    assert files_corpus(folder, "fr", "en").splits() == ["odd", "zz"]


def test_the_text_is_on_disk_and_cached_by_content(tmp_path: Path) -> None:
    folder = write(tmp_path, train__en="a\nb\n", train__de="c\nd\n")
    first, again = files_corpus(folder).split("train"), files_corpus(folder).split("train")
    assert first.cache_files == again.cache_files
    assert dataset_fingerprint(first) == dataset_fingerprint(again)
    assert Path(first.cache_files[0]["filename"]).is_relative_to(datasets.config.HF_DATASETS_CACHE)
    before = (folder / "train.de").stat()
    write(folder, train__de="c\nD\n")
    os.utime(folder / "train.de", ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = files_corpus(folder).split("train")
    assert changed["target"][:] == ["c", "D"]
    assert first["target"][:] == ["c", "d"]
    assert dataset_fingerprint(changed) != dataset_fingerprint(first)


def test_text_is_read_as_a_stream(tmp_path: Path) -> None:
    write(tmp_path, train__en=b"a\n\xff\n", train__de=b"b\nc\n")
    pairs = read_split((tmp_path / "train.en", tmp_path / "train.de"), source="en", target="de")
    assert next(pairs) == {"source": "a", "target": "b"}
    with pytest.raises(UserError, match="line 2 is not UTF-8"):
        next(pairs)


BAD: dict[str, tuple[Files, str]] = {
    "longer source": (
        {"train__en": "a\nb\nc\nd\n", "train__de": "a\nb\n"},
        "{0}/train.en has 4 lines but train.de has 2: from line 3 on, train.en has no translation",
    ),
    "longer target": (
        {"train__en": "a\n", "train__de": "a\n\nb\n"},
        "{0}/train.de has 3 lines but train.en has 1: from line 2",
    ),
    "latin-1": ({"train__en": b"a\nb\n", "train__de": b"a\nM\xfcll\n"}, "{0}/train.de line 2 is not UTF-8: byte 0xfc"),
    "utf-16": ({"train__en": "a\n".encode("utf-16"), "train__de": "a\n"}, "{0}/train.en is text in UTF-16, not UTF-8"),
    "empty": (
        {"train__en": "", "train__de": b"\xef\xbb\xbf"},
        "the corpus is empty: no text in {0}/train.en and {0}/train.de",
    ),
    "empty tsv": ({"train__tsv": ""}, "the corpus is empty: no text in {0}/train.tsv"),
    "only a header": ({"train__tsv": "en\tde\n"}, "the corpus is empty: no text in {0}/train.tsv"),
    "no header": (
        {"train__tsv": "A dog\tEin Hund\n"},
        "{0}/train.tsv line 1 must name the columns by language code, en",
    ),
    "tsv without de": (
        {"train__tsv": "en\tfr\na\tb\n"},
        "{0}/train.tsv line 1 must name the columns by language code, de",
    ),
    "columns": ({"train__tsv": "en\tde\na\tb\nc\n"}, "{0}/train.tsv line 3 has 1 columns, but line 1 names 2"),
    "broken json": ({"train__jsonl": '{"en": "a", "de": "b"}\n{"en": '}, "{0}/train.jsonl line 2 is not JSON"),
    "deep json": ({"train__jsonl": "[" * 100_000}, "{0}/train.jsonl line 1 is not JSON"),
    "json list": ({"train__jsonl": '["a", "b"]\n'}, "{0}/train.jsonl line 1 is not an object"),
    "json without de": (
        {"train__jsonl": '{"en": "a", "fr": "b"}\n'},
        "{0}/train.jsonl line 1 has no 'de': it has 'en, fr'",
    ),
    "json number": (
        {"train__jsonl": '{"en": 1, "de": "b"}\n'},
        "{0}/train.jsonl line 1: the value of 'en' is not text",
    ),
    "json surrogate": (
        {"train__jsonl": '{"en": "\\ud800", "de": "b"}\n'},
        "{0}/train.jsonl line 1: the value of 'en' is not valid Unicode",
    ),
    "cut gzip": (
        {"train__en": "a\n", "train__de__gz": gzip.compress(bytes(range(65, 90)))[:-12]},
        "{0}/train.de.gz is not a complete gzip file",
    ),
    "no gzip": ({"train__en": "a\n", "train__de__gz": "b\n"}, "{0}/train.de.gz is not a complete gzip file"),
    "twice": (
        {"train__en": "a\n", "train__de": "a\n", "train__tsv": "en\tde\na\tb\n"},
        "{0} contains the split train more than once (train.en, train.de, train.tsv)",
    ),
    "also compressed": (
        {"train__en": "a\n", "train__de": "a\n", "train__de__gz": gzip.compress(b"b\n")},
        "{0} contains train.de both plain and compressed",
    ),
    "no such split": ({"val__en": "a\n", "val__de": "b\n"}, "{0} has no split train; the splits there are val"),
    "no partner": (
        {"train__en": "a\n", "train__fr": "b\n"},
        "{0} contains train.en but not train.de; the files there are",
    ),
    "other languages": (
        {"train__cs": "a\n", "train__fr": "b\n"},
        "{0} contains no text from en to de, such as train.en with",
    ),
    "no files": ({}, "{0} is empty: it should contain train.en and train.de"),
}


@pytest.mark.parametrize(("files", "message"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_named_in_one_line_each_time(files: Files, message: str, tmp_path: Path) -> None:
    write(tmp_path, **files)
    for _ in range(2):  # what was half written at the first try must not serve at the second
        with pytest.raises(UserError) as error:
            files_corpus(tmp_path).split("train")
        assert str(error.value).startswith(message.format(tmp_path))
        assert "\n" not in str(error.value)
        assert error.type is UserError


@pytest.mark.parametrize("kind", ["folder", "pipe", "broken link"])
def test_a_name_that_is_no_file_is_told_from_a_missing_one(kind: str, tmp_path: Path) -> None:
    write(tmp_path, train__de="a\n")
    path = tmp_path / "train.en"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"contains train\.de but train\.en there is not a file"):
        files_corpus(tmp_path).split("train")


def test_a_corrected_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, train__en="a\nb\n", train__de="c\n")
    with pytest.raises(UserError, match="has 2 lines"):
        files_corpus(tmp_path).split("train")
    write(tmp_path, train__de="c\nd\n")
    assert rows(files_corpus(tmp_path).split("train"))[1] == {"source": "b", "target": "d"}


def test_a_failing_disk_is_not_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the `datasets` library wraps the error of a reader in one of its own."""
    corpus = files_corpus(write(tmp_path, train__en="a failing disk\n", train__de="eine defekte Platte\n"))

    def fail(path: Path, mode: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("nmt.data.corpus.content_key", str)  # it reads the files first, and would fail earlier
    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(Failure, match=r"train\.en cannot be read: the disk reports an error"):
        corpus.split("train")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none is not a folder: data\.path=DIR names the folder"):
        files_corpus(tmp_path / "none").splits()


@pytest.mark.parametrize(("source", "target"), [("en", "en"), ("../en", "de"), ("en", ""), ("en", "d e")])
def test_languages_must_be_codes(source: str, target: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^data\."):
        files_corpus(tmp_path, source, target)


def test_reading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows(files_corpus(write(tmp_path, train__en="quiet\n", train__de="still\n")).split("train"))
    assert capfd.readouterr() == ("", "")
    assert not datasets.are_progress_bars_disabled()


def test_the_home_folder_of_an_unknown_user_is_refused() -> None:
    with pytest.raises(UserError, match="names the home folder of an unknown user"):
        files_corpus(Path("~nobody-of-that-name/corpus"))
