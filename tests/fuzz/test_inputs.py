"""Input of the user, read as the commands read it: corpora by way of the `datasets` library, and names of devices.

`test_readers.py` tests the line readers of a corpus alone. Here a corpus is opened with its cache, because the
library may refuse damaged files with errors of its own.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pyarrow  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from nmt.data.cleaning import CleaningReport
from nmt.data.corpus import FilesCorpus
from nmt.data.hub import HubCorpus
from nmt.device import pick_device
from nmt.errors import UserError

Outcome = Callable[[Callable[[], object], str], None]
Splice = tuple[int, int, bytes]

fuzz = hypothesis.settings.get_profile("fuzz")
slow_fuzz = hypothesis.settings(fuzz, max_examples=max(1, fuzz.max_examples // 10))
"""For readers that take a tenth of a second."""

splices = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 20), st.binary(max_size=6)), max_size=3)


def spliced(data: bytes, changes: list[Splice]) -> bytes:
    """`data` with some parts replaced by other bytes."""
    for position, length, new in changes:
        start = position % (len(data) + 1)
        data = data[:start] + new + data[start + length :]
    return data


def read_all(corpus: FilesCorpus | HubCorpus) -> None:
    """Reads every split, and checks that it holds one line of text per row and side."""
    for name in corpus.splits():
        pairs = corpus.split(name)
        for side in ("source", "target"):
            assert all("\n" not in text and text.encode() is not None for text in pairs[side])
        corpus.repairs(name)


PARQUET = pyarrow.table({"en": ["one", "two three"], "de": ["eins", "zwei drei"]})
CONTENTS = {
    "train.csv": b'en,de\none,eins\n"two, three","zwei, drei"\n',
    "train.jsonl": b'{"en": "one", "de": "eins"}\n{"en": "two\\nthree", "de": "zwei"}\n',
    "train.json": b'[{"translation": {"en": "one", "de": "eins"}}]',
    "train.txt": b"one\ntwo\n",
}


@pytest.mark.parametrize("name", [*CONTENTS, "train.parquet"])
def test_hub_copy(name: str, tmp_path: Path, outcome: Outcome) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    if name == "train.parquet":
        parquet.write_table(PARQUET, folder / name)
    else:
        (folder / name).write_bytes(CONTENTS[name])
    valid = (folder / name).read_bytes()

    @slow_fuzz
    @given(splices)
    def check(changes: list[Splice]) -> None:
        (folder / name).write_bytes(spliced(valid, changes))
        corpus = HubCorpus(id="a/b", path=folder, subset=None, source="en", target="de", split_names={})
        outcome(lambda: read_all(corpus), str(folder))

    check()


def test_a_parquet_file_with_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """The format does not check its text, so an unchecked row would fail only when it is used."""
    folder = tmp_path / "copy"
    folder.mkdir()
    broken = pyarrow.Array.from_buffers(pyarrow.string(), 2, pyarrow.array([b"one", b"\xff\xfe"]).buffers())
    parquet.write_table(pyarrow.table({"en": broken, "de": ["eins", "zwei"]}), folder / "train.parquet")
    corpus = HubCorpus(id="a/b", path=folder, subset=None, source="en", target="de", split_names={})
    with pytest.raises(UserError, match=r"train\.parquet row 2 is not UTF-8"):
        read_all(corpus)


@pytest.mark.parametrize("kind", ["plain", "tsv"])
def test_files_corpus(kind: str, tmp_path: Path, outcome: Outcome) -> None:
    folder = tmp_path / "corpus"

    @slow_fuzz
    @given(splices, splices)
    def check(first: list[Splice], second: list[Splice]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if kind == "plain":
            (folder / "train.en").write_bytes(spliced(b"one\ntwo three\n", first))
            (folder / "train.de").write_bytes(spliced(b"eins\nzwei drei\n", second))
        else:
            (folder / "train.tsv").write_bytes(spliced(spliced(b"en\tde\none\teins\ntwo\tzwei\n", first), second))
        outcome(lambda: read_all(FilesCorpus(path=folder, source="en", target="de")), str(folder))

    check()


def test_cached_cleaning_report(tmp_path: Path, outcome: Outcome) -> None:
    path = tmp_path / "cleaning.json"
    report = CleaningReport(num_pairs=20, kept=np.arange(0, 20, 2), dropped={"too long": 10}, num_control=1)
    report.save(path)
    valid = path.read_bytes()

    @fuzz
    @given(splices)
    def check(changes: list[Splice]) -> None:
        path.write_bytes(spliced(valid, changes))
        outcome(lambda: CleaningReport.load(path).lines(), str(path))

    check()


def test_device_name(outcome: Outcome) -> None:
    names = st.sampled_from(["auto", "cpu", "cuda", "cuda:0", "cuda:99", "cpu:1", "meta", "mps", "cuda:-1"])
    endings = st.text(alphabet=":0123456789-. \0é\ud800", max_size=25)

    @fuzz
    @given(st.one_of(st.text(max_size=10), st.tuples(names, endings).map("".join)))
    def check(name: str) -> None:
        outcome(lambda: pick_device(name), name)

    check()
