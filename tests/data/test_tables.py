"""The same text through every reader: each format and each content, read by data=files and by data=hub."""

import csv
import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from nmt.data.corpus import Corpus, FilesCorpus
from nmt.data.hub import HubCorpus
from nmt.errors import UserError

TEXTS = [
    *("null", "NA", "N/A", "#N/A", "None", "nan", "NaN", "", "true", "1.0", "007", "1e5", "-inf", "2020-01-01"),
    *('say "hi"', '"', '""', '"start', "end'", "'", "`", "a, comma", "a;b", "back\\slash \\n \\t", "#comment", "=1+1"),
    *("  spaces  ", "no\u00a0break", "\u2028ls\u2028", "\x85", "form\x0cfeed", "\x0b", "\x1c\x1d\x1e", "nul\0byte"),
    *("carriage\rreturn", "\ufeffmark", "zero\u200bwidth", "😀", "العربية", "ﬁ…²", "[1, 2]", '{"en": "a"}'),
]
LINE_BREAKS = {"line\nbreak": "line break", "crlf\r\nbreak": "crlf break", "end\n": "end ", "tab\there": "tab\there"}
Rows = list[dict[str, Any]]


def write_tsv(rows: Rows) -> bytes:
    lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
    return "".join(line + "\n" for line in lines).encode()


def write_csv(rows: Rows) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def write_jsonl(rows: Rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def write_json(rows: Rows) -> bytes:
    return json.dumps(rows, indent=1).encode()


def write_parquet(rows: Rows) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), file, row_group_size=10)
    return file.getvalue()


WRITERS: dict[str, Callable[[Rows], bytes]] = {
    "tsv": write_tsv,
    "csv": write_csv,
    "jsonl": write_jsonl,
    "json": write_json,
    "parquet": write_parquet,
}


def corpora(folder: Path) -> tuple[Corpus, Corpus]:
    """The same folder by data=files and by data=hub."""
    names = {"train": "train", "val": "validation", "test": "test"}
    hub = HubCorpus(id="a/b", path=folder, subset=None, source="en", target="de", split_names=names)
    return FilesCorpus(path=folder, source="en", target="de"), hub


def read_both(folder: Path, split: str = "train") -> list[tuple[str, str]]:
    """The pairs of a split, which both must read alike."""
    files, hub = ([(row["source"], row["target"]) for row in corpus.split(split)] for corpus in corpora(folder))
    assert files == hub
    return files


@pytest.mark.parametrize("layout", ["plain", "extra", "nested", "compressed"])
@pytest.mark.parametrize("ending", WRITERS)
def test_every_cell_is_text_in_every_format(ending: str, layout: str, tmp_path: Path) -> None:
    if (layout == "nested" and ending in ("tsv", "csv")) or (layout == "compressed" and ending == "parquet"):
        pytest.skip("there is no such file")
    texts = dict(zip(TEXTS, TEXTS, strict=True)) | ({} if ending == "tsv" else LINE_BREAKS)
    rows: Rows = [{"en": text, "de": f"{text}!"} for text in texts]
    if layout == "extra":
        rows = [row | {"translation": "by hand", "id": number} for number, row in enumerate(rows)]
    if layout == "nested":
        rows = [{"id": number, "translation": row} for number, row in enumerate(rows)]
    content = WRITERS[ending](rows)
    name = f"train.{ending}"
    if layout == "compressed":
        name, content = f"{name}.gz", gzip.compress(content, mtime=0)
    (tmp_path / name).write_bytes(content)
    assert read_both(tmp_path) == [(text, f"{text}!") for text in texts.values()]


@pytest.mark.parametrize("ending", ["tsv", "csv", "jsonl"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_are_no_rows(ending: str, end: str, tmp_path: Path) -> None:
    content = WRITERS[ending]([{"en": "a", "de": "b"}, {"en": "c", "de": "d"}]).decode().replace("\r\n", "\n")
    lines = [*content.splitlines(), "", "  ", ""]
    (tmp_path / f"train.{ending}").write_bytes(end.join(lines).encode())
    assert read_both(tmp_path) == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(("english_end", "german_end"), [("\n \n", "\n\n"), ("\n", "\n\n \n\n"), ("\n\n", "")])
def test_blank_lines_at_the_end_of_plain_files_are_no_pairs(english_end: str, german_end: str, tmp_path: Path) -> None:
    (tmp_path / "train.en").write_text(f"a\n\n \nb\n{english_end}")
    (tmp_path / "train.de").write_text(f"c\n\n\nd\n{german_end}")
    assert read_both(tmp_path) == [("a", "c"), ("", ""), (" ", ""), ("b", "d")]


@pytest.mark.parametrize("ending", WRITERS)
def test_a_changed_file_is_read_again(ending: str, tmp_path: Path) -> None:
    """Also if its size and its time of modification are the same."""
    path = tmp_path / f"train.{ending}"
    path.write_bytes(WRITERS[ending]([{"en": "one", "de": "eins"}]))
    assert read_both(tmp_path) == [("one", "eins")]
    before = path.stat()
    path.write_bytes(WRITERS[ending]([{"en": "two", "de": "zwei"}]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert read_both(tmp_path) == [("two", "zwei")]


def test_splits_have_the_names_of_the_hub_and_those_of_the_files(tmp_path: Path) -> None:
    for name in ("train", "validation", "test_2016", "test_2017"):
        (tmp_path / f"{name}.csv").write_text(f"en,de\n{name},b\n")
    _, hub = corpora(tmp_path)
    assert {"train", "val", "test", "test_2016", "test_2017"} == set(hub.splits())
    assert hub.split("val")["source"][:] == ["validation"]
    assert hub.split("test")["source"][:] == ["test_2016", "test_2017"]  # the hub's name for both files
    assert hub.split("test_2017")["source"][:] == ["test_2017"]


def test_splits_may_have_different_formats(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("en,de\na,b\n")
    (tmp_path / "val.jsonl").write_text('{"en": "c", "de": "d"}\n')
    assert read_both(tmp_path, "train") == [("a", "b")]
    assert read_both(tmp_path, "val") == [("c", "d")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.csv", b'en,de\n"a,b\n', "the row that starts in line 2 is not CSV"),
        ("train.csv", b'en,de\n"a" b,c\n', "the row that starts in line 2 is not CSV"),
        (
            "train.csv",
            b"en,de\na\rx,b\n",
            "(a cell has a carriage return but no quotes): put that cell into quotes",
        ),
        (
            "train.csv",
            b"en,de\n" + b"a" * 131_073 + b",b\n",
            "131,072 characters): close its quotes, or use .tsv or",
        ),
        ("train.csv", b"en;de\na;b\n", "line 1 must name the columns by language code"),
        ("train.csv", b"en,de\na,b,c\n", "line 2 has 3 columns, but line 1 names 2"),
        ("train.json", b'[{"en": "a", "de": "b"}', "train.json is not JSON"),
        ("train.json", b'[{"en": "a", "de": "b"}, {"en": "a"}]', "train.json object 2 has no 'de'"),
        ("train.json", b'["a"]', "train.json object 1 is not an object"),
        ("train.jsonl", b'{"en": "a", "de": 1}\n', "line 1: the value of 'de' is not text"),
        ("train.tsv", "en\tde\na\tb\n".encode("utf-16"), "train.tsv is text in UTF-16, not UTF-8"),
        ("train.tsv", gzip.compress(b"en\tde\na\tb\n", mtime=0), "train.tsv is compressed with gzip"),
        ("train.tsv", b"en\tde\ra\tb\rc\td\r", "train.tsv is text whose lines end in a bare carriage return"),
        ("train.csv", b"en,de\na,caf\xe9\n", "train.csv line 2 is not UTF-8: byte 0xe9"),
        ("train.json", b'[{"en": "a",\n"de": "caf\xe9"}]', "train.json line 2 is not UTF-8: byte 0xe9"),
    ],
)
def test_a_damaged_table_is_refused_alike(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for corpus in corpora(tmp_path):
        with pytest.raises(UserError) as error:
            corpus.split("train")
        assert message in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\rb\r", "train.de is text whose lines end in a bare carriage return"),
        ("a\n".encode("utf-16-le"), "train.de is text in UTF-16LE, not UTF-8"),
        (gzip.compress(b"a\nb\n", mtime=0), "train.de is compressed with gzip"),
        (b"PK\x03\x04\x14\x00", "train.de is a zip archive, or a document such as .docx"),
    ],
)
def test_plain_files_in_another_format_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "train.en").write_text("a\nb\n")
    (tmp_path / "train.de").write_bytes(content)
    for corpus in corpora(tmp_path):
        with pytest.raises(UserError, match=message):
            corpus.split("train")
