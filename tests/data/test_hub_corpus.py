"""Datasets of the Hugging Face hub, read from local copies: layouts, damages, and error messages."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import datasets
import huggingface_hub
import hydra
import hydra.utils
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from nmt.data.corpus import Corpus, FilesCorpus
from nmt.data.hub import HubCorpus
from nmt.errors import UserError

Files = dict[str, bytes | str]
"""Contents of files by name, with "__" instead of the dot."""

CONF = Path(__file__).parents[2] / "conf"
PAIRS = [{"source": "A dog runs.", "target": "Ein Hund rennt."}, {"source": "", "target": "\ufeffÄ 😀"}]
NESTED = [{"translation": {"en": pair["source"], "de": pair["target"]}} for pair in PAIRS]


def write(folder: Path, **files: bytes | str) -> Path:
    """Writes files into a folder: `train__en` becomes train.en."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        content = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def hub_corpus(folder: Path | None, source: str = "en", target: str = "de") -> HubCorpus:
    names = {"train": "train", "val": "validation", "test_2016_flickr": "test"}
    return HubCorpus(id="nobody/nothing", path=folder, subset=None, source=source, target=target, split_names=names)


def rows(dataset: datasets.Dataset) -> list[dict[str, str]]:
    return list(dataset)


def jsonl(objects: Sequence[object]) -> str:
    return "".join(json.dumps(thing, ensure_ascii=False) + "\n" for thing in objects)


def test_a_hub_folder_may_have_language_columns(tmp_path: Path) -> None:
    names = {"train": PAIRS, "val": PAIRS[:2], "test": PAIRS[:1]}
    for name, pairs in names.items():
        write(tmp_path, **{f"{name}__jsonl": jsonl([{"en": pair["source"], "de": pair["target"]} for pair in pairs])})
    corpus = hub_corpus(tmp_path)
    assert corpus.splits() == ["train", "val", "test_2016_flickr"]
    for ours, theirs in (("train", "train"), ("val", "val"), ("test_2016_flickr", "test")):
        dataset = corpus.split(ours)
        assert dataset.column_names == ["source", "target"]
        assert rows(dataset) == names[theirs]
        assert Path(dataset.cache_files[0]["filename"]).is_relative_to(datasets.config.HF_DATASETS_CACHE)
    back = hub_corpus(tmp_path, source="de", target="en").split("train")
    assert back[0] == {"source": "Ein Hund rennt.", "target": "A dog runs."}


def test_a_hub_folder_may_have_a_translation_column(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    language = pa.struct([("de", pa.large_string()), ("en", pa.large_string())])
    table = pa.table(
        {"id": range(len(NESTED)), "translation": pa.array([row["translation"] for row in NESTED], language)}
    )
    pyarrow.parquet.write_table(table, tmp_path / "data" / "train-00000-of-00001.parquet")
    corpus = hub_corpus(tmp_path)
    assert corpus.splits() == ["train"]
    dataset = corpus.split("train")
    assert rows(dataset) == PAIRS
    assert dataset.features == {"source": datasets.Value("string"), "target": datasets.Value("string")}


def test_a_hub_folder_may_have_csv_files(tmp_path: Path) -> None:
    write(tmp_path, train__csv='en,de\n"A dog, running.",Ein Hund\n', extra__csv="en,de\na,b\n")
    assert rows(hub_corpus(tmp_path).split("train")) == [{"source": "A dog, running.", "target": "Ein Hund"}]


def test_line_ends_inside_a_text_become_spaces(tmp_path: Path) -> None:
    write(tmp_path / "hub", train__jsonl=jsonl([{"en": "a\r\nb\nc", "de": "d\u2028e\n"}, {"en": "f", "de": "g"}]))
    expected = [{"source": "a b c", "target": "d\u2028e "}, {"source": "f", "target": "g"}]
    assert rows(hub_corpus(tmp_path / "hub").split("train")) == expected
    files = FilesCorpus(path=tmp_path / "hub", source="en", target="de")
    assert rows(files.split("train")) == expected


def test_a_hub_corpus_reads_plain_files(tmp_path: Path) -> None:
    write(tmp_path, train__en="a\n", train__de="b\n", test_2016_flickr__en="c\n", test_2016_flickr__de="d\n")
    corpus = hub_corpus(tmp_path)
    assert corpus.splits() == ["train", "test_2016_flickr"]
    assert rows(corpus.split("test_2016_flickr")) == [{"source": "c", "target": "d"}]
    with pytest.raises(UserError, match=r"the splits there are train, test_2016_flickr$"):
        corpus.split("val")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none is not a folder: data\.path=DIR names the folder"):
        hub_corpus(tmp_path / "none").splits()


def test_corrections_of_plain_files_are_described(tmp_path: Path) -> None:
    write(tmp_path, train__en=b"\xef\xbb\xbfa\n", train__de="b\r\n")
    expected = ["train.en: a byte order mark was dropped", "train.de: 1 lines end in CRLF"]
    assert hub_corpus(tmp_path).repairs("train") == expected
    write(tmp_path / "hub", train__jsonl=jsonl([{"en": "a", "de": "b"}]))
    assert hub_corpus(tmp_path / "hub").repairs("train") == []


BAD_COPIES: dict[str, tuple[Files, str]] = {
    "language": ({"train__jsonl": '{"en": "a", "fr": "b"}\n'}, "{0}/train.jsonl line 1 has no 'de': it has 'en, fr'"),
    "nested language": (
        {"train__jsonl": '{"translation": {"en": "a", "fr": "b"}}\n'},
        "{0}/train.jsonl line 1 has no 'de': it has 'en, fr'",
    ),
    "split": (
        {"test__jsonl": '{"en": "a", "de": "b"}\n'},
        "{0} has no split train; the splits there are test_2016_flickr",
    ),
    "number": ({"train__jsonl": '{"en": 1, "de": "b"}\n'}, "{0}/train.jsonl line 1: the value of 'en' is not text"),
    "object": (
        {"train__jsonl": '{"en": {"a": "b"}, "de": "b"}\n'},
        "{0}/train.jsonl line 1: the value of 'en' is not text",
    ),
    "list": ({"train__jsonl": '{"en": ["a"], "de": "b"}\n'}, "{0}/train.jsonl line 1: the value of 'en' is not text"),
    "translation as text": (
        {"train__jsonl": '{"translation": "a"}\n'},
        "{0}/train.jsonl line 1 has no 'en': it has 'translation'",
    ),
    "null": ({"train__jsonl": '{"en": "c", "de": null}\n'}, "{0}/train.jsonl line 1: the value of 'de' is not text"),
    "empty": ({"train__csv": "en,de\n"}, "the corpus is empty: no text in {0}/train.csv"),
    "broken": ({"train__jsonl": '{"en": "a", "de": "b"}\n{"en": \n'}, "{0}/train.jsonl line 2 is not JSON"),
    "open quote": ({"train__csv": 'en,de\na,b\n"c,d\n'}, "{0}/train.csv: the row that starts in line 3 is not CSV"),
    "not parquet": ({"train__parquet": "PAR1"}, "{0}/train.parquet is not a Parquet file"),
    "text": ({"train__txt": "a\n"}, "{0} has no language en; the columns there are text"),
    "nothing": ({}, "{0} cannot be read as a dataset ("),
}


@pytest.mark.parametrize(("files", "message"), BAD_COPIES.values(), ids=BAD_COPIES.keys())
def test_bad_hub_folders_are_named_in_one_line(files: Files, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        hub_corpus(write(tmp_path, **files)).split("train")
    assert str(error.value).startswith(message.format(tmp_path))
    assert "\n" not in str(error.value)
    assert error.type is UserError


@pytest.mark.parametrize("character", "[*?")
def test_a_path_that_the_library_would_take_for_a_pattern_is_refused(character: str, tmp_path: Path) -> None:
    folder, link = tmp_path / f"a {character}x]", tmp_path / "link"
    rows_of_library = datasets.Dataset.from_list([{"en": "a", "de": "b"}])
    datasets.DatasetDict({"train": rows_of_library}).save_to_disk(str(folder))
    link.symlink_to(folder)
    for path in (folder, link):
        with pytest.raises(UserError, match=re.escape(f"{folder} has {character} in its path, ") + ".*: rename"):
            hub_corpus(path).splits()
    # Our own readers take any path.
    write(folder, train__jsonl=jsonl([{"en": "a", "de": "b"}]))
    assert rows(hub_corpus(folder).split("train")) == [{"source": "a", "target": "b"}]


def test_a_parquet_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """Arrow reads such a file without an error; Python would fail later, at the first use of the text."""
    broken = pa.array([b"tea", b"caf\xe9"], pa.binary()).view(pa.string())
    pyarrow.parquet.write_table(pa.table({"en": broken, "de": ["b", "c"]}), tmp_path / "train.parquet")
    with pytest.raises(UserError, match=r"train\.parquet row 2 is not UTF-8$") as error:
        hub_corpus(tmp_path).split("train")
    assert "\n" not in str(error.value)


def test_without_a_connection_the_message_suggests_a_local_copy(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"^nobody/nothing cannot be loaded from the hub .*data\.path=DIR$") as error:
        hub_corpus(None).splits()
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["+data=multi30k"], HubCorpus),
        (["+data=hub", "data.id=a/b"], HubCorpus),
        (["+data=files", "data.path=text"], FilesCorpus),
    ],
)
def test_the_configuration_builds_the_corpus(overrides: list[str], expected: type[Corpus]) -> None:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        corpus = hydra.utils.instantiate(hydra.compose(overrides=overrides).data)
    assert type(corpus) is expected
    assert (corpus.source, corpus.target) == ("en", "de")


@pytest.mark.multi30k
@pytest.mark.skipif("NMT_MULTI30K" not in os.environ, reason="NMT_MULTI30K names no folder with Multi30k")
def test_multi30k_has_its_published_sizes() -> None:
    path = f"data.path={os.environ.get('NMT_MULTI30K')}"
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        corpus = hydra.utils.instantiate(hydra.compose(overrides=["+data=multi30k", path]).data)
    assert corpus.splits()[:3] == ["train", "val", "test_2016_flickr"]
    assert [len(corpus.split(name)) for name in corpus.splits()[:3]] == [29000, 1014, 1000]
    assert corpus.split("train")[0] == {
        "source": "Two young, White males are outside near many bushes.",
        "target": "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche.",
    }
