"""Parallel text in named splits, on the `datasets` library: memory-mapped, and cached by content.

Text is what the corpus says, untouched, one line a sentence. The cache is the library's own (HF_DATASETS_CACHE).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import datasets
import huggingface_hub
import pyarrow.compute  # type: ignore[import-untyped]

from nmt.data.readers import content_key, find_pairs, find_splits, list_files, read_split, repairs_of, single_line
from nmt.errors import UserError

FEATURES = datasets.Features({"source": datasets.Value("string"), "target": datasets.Value("string")})

READER = 1
"""The version of what reading files gives; part of the cache's key, so that a changed reader reads anew."""


class Corpus(ABC):
    """Parallel text in named splits.

    Args:
        source: the language that is translated, as a code such as "en".
        target: the language that it is translated into.

    Raises:
        ValueError: a code is not plain letters and digits, or both are the same.
    """

    def __init__(self, *, source: str, target: str) -> None:
        for key, language in (("source", source), ("target", target)):
            if not re.fullmatch(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)*", language):
                raise UserError(f"data.{key}={language} is not a language code such as en or pt-BR")
        if source == target:
            raise UserError(f"data.source and data.target are both {source}: name two languages")
        self.source = source
        self.target = target

    @abstractmethod
    def splits(self) -> list[str]:
        """The names of the splits: train, val and test first, where present, then the others by name."""

    @abstractmethod
    def split(self, name: str) -> datasets.Dataset:
        """The pairs of one split: columns "source" and "target", raw text without line ends.

        Raises:
            ValueError: there is no such split, or its text cannot be used; the message says which and why.
        """

    def repairs(self, name: str) -> list[str]:
        """What reading a split puts right in its files, a line each; none where there are no plain files."""
        return []


class FilesCorpus(Corpus):
    """A folder of plain, .tsv or .jsonl files, compressed or not; `nmt.data.readers` says how they look.

    Args:
        path: the folder.
        source, target: language codes; the files are named, or name their columns, by them.
    """

    def __init__(self, *, path: str | Path, source: str, target: str) -> None:
        super().__init__(source=source, target=target)
        self.path = Path(path).expanduser()

    def splits(self) -> list[str]:
        return ordered(find_splits(self.path, source=self.source, target=self.target))

    def split(self, name: str) -> datasets.Dataset:
        splits = find_splits(self.path, source=self.source, target=self.target)
        if name not in splits:
            raise UserError(self._missing(name, ordered(splits)))
        paths = splits[name]
        key = content_key(paths)  # read even where the cache has the rest: a cache that can be stale is no help
        try:
            with quiet():
                return datasets.Dataset.from_generator(
                    _generate,
                    features=FEATURES,
                    # Tuples: the library would take a list for shards to be read one by one.
                    gen_kwargs={
                        "paths": tuple(map(str, paths)),
                        "source": self.source,
                        "target": self.target,
                        "key": (READER, key),
                    },
                )
        except datasets.exceptions.DatasetGenerationError as error:
            if isinstance(error.__cause__, UserError):
                raise UserError(str(error.__cause__)) from None
            raise

    def repairs(self, name: str) -> list[str]:
        paths = find_splits(self.path, source=self.source, target=self.target)[name]
        return [line for path in paths if (line := repairs_of(path)) is not None]

    def _missing(self, name: str, splits: list[str]) -> str:
        """Why there is no split `name`, as far as the folder's files can tell."""
        files = [path.name for path in list_files(self.path)]
        if not files:
            return f"{self.path} is empty: it should hold {name}.{self.source} and {name}.{self.target}"
        stems = [f"{name}.{language}" for language in (self.source, self.target)]
        found = [stem for stem in stems if stem in files or f"{stem}.gz" in files]
        if len(found) == 1:
            alone, lacking = found[0], next(stem for stem in stems if stem not in found)
            return f"{self.path} holds {alone} but not {lacking}; the files there are {_some(files)}"
        if splits:
            return f"{self.path} has no split {name}; the splits there are {', '.join(splits)}"
        return (
            f"{self.path} holds no text from {self.source} to {self.target}, such as {stems[0]} with {stems[1]}; "
            f"the files there are {_some(files)}"
        )


class HubCorpus(Corpus):
    """A dataset of the Hugging Face hub, or a local copy of one.

    Its columns are language codes, or one column "translation" holds them. Line ends inside a text become spaces.

    Args:
        id: the dataset's name on the hub.
        path: a local copy, which is then read in the hub's place: the dataset's repository as a folder (.parquet,
            .jsonl or .csv), or the same text in plain files, as `FilesCorpus` reads them; None to ask the hub.
        subset: the part of the dataset to load where it has several, such as "de-en"; None for the only one.
        source, target: language codes.
        split_names: our names for the hub's splits, such as {"val": "validation"}; the others keep their own. Plain
            files already have our names.
    """

    def __init__(
        self,
        *,
        id: str,
        path: str | Path | None,
        subset: str | None,
        source: str,
        target: str,
        split_names: Mapping[str, str],
    ) -> None:
        super().__init__(source=source, target=target)
        self.id = id
        self.path = None if path is None else Path(path).expanduser()
        self.subset = subset
        self.split_names = dict(split_names)

    def splits(self) -> list[str]:
        return ordered(self._names) if self._plain is None else self._plain.splits()

    def split(self, name: str) -> datasets.Dataset:
        if self._plain is not None:
            return self._plain.split(name)
        if name not in self._names:
            raise UserError(
                f"{self._where} has no split {name}; the splits there are {', '.join(ordered(self._names))}"
            )
        table = self._tables[self._names[name]]
        with quiet():
            return self._pairs(table, name)

    def repairs(self, name: str) -> list[str]:
        return [] if self._plain is None else self._plain.repairs(name)

    @cached_property
    def _plain(self) -> FilesCorpus | None:
        """The local copy as plain files, if that is what it is."""
        if self.path is None or not find_pairs(self.path, source=self.source, target=self.target):
            return None
        return FilesCorpus(path=self.path, source=self.source, target=self.target)

    @cached_property
    def _tables(self) -> datasets.DatasetDict:
        """The dataset as the hub has it, by the hub's names."""
        try:
            with quiet():
                return datasets.load_dataset(self.id if self.path is None else str(self.path.resolve()), self.subset)
        # The library fails in many ways, by classes of several packages: no connection, no such dataset, a broken file.
        except Exception as error:
            reason = _reason(error)
            if self.path is None:
                raise UserError(
                    f"{self.id} cannot be loaded from the hub ({reason}): check data.id and the connection, or name a "
                    f"local copy with data.path=DIR"
                ) from None
            raise UserError(
                f"{self.path} cannot be read as a dataset ({reason}): data.path=DIR takes a copy of the hub's folder, "
                f"or files such as train.{self.source} and train.{self.target}"
            ) from None

    @cached_property
    def _names(self) -> dict[str, str]:
        """The hub's name of each split, by our name."""
        renamed = {ours: theirs for ours, theirs in self.split_names.items() if theirs in self._tables}
        return renamed | {theirs: theirs for theirs in self._tables if theirs not in self.split_names.values()}

    @property
    def _where(self) -> str:
        return self.id if self.path is None else str(self.path)

    def _pairs(self, table: datasets.Dataset, name: str) -> datasets.Dataset:
        """The two columns of text. Nothing is copied, unless a text has line ends."""
        prefix = ""
        if "translation" in table.column_names:
            table, prefix = table.flatten(), "translation."
        columns = {column.removeprefix(prefix): column for column in table.column_names if column.startswith(prefix)}
        for language in (self.source, self.target):
            if language not in columns:
                raise UserError(f"{self._where} has no language {language}; the columns there are {', '.join(columns)}")
        sides = {columns[self.source]: "source", columns[self.target]: "target"}
        table = table.select_columns(list(sides)).rename_columns(sides)
        for side, language in (("source", self.source), ("target", self.target)):
            if table.features[side].dtype not in ("string", "large_string"):
                raise UserError(f"{self._where}: the column {language} holds {table.features[side].dtype}, not text")
            if empty := table.data.column(side).null_count:
                raise UserError(f"{self._where}: {empty} rows of the split {name} have no {language}")
        if table.features != FEATURES:
            table = table.cast(FEATURES)
        if any(_has_line_ends(table, side) for side in FEATURES):
            table = table.map(_single_lines, batched=True)
        return table


def ordered(splits: Mapping[str, object]) -> list[str]:
    """Split names in the order in which they are used: train, val, test, then the others by name."""
    first = [name for name in ("train", "val", "test") if name in splits]
    return first + sorted(set(splits) - set(first))


@contextmanager
def quiet() -> Iterator[None]:
    """The libraries' progress bars and warnings are off inside: what a person should know, this program says."""
    logs = (datasets.utils.logging, huggingface_hub.logging)
    before = [log.get_verbosity() for log in logs]
    bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    for log in logs:
        log.set_verbosity_error()
    try:
        yield
    finally:
        for log, verbosity in zip(logs, before, strict=True):
            log.set_verbosity(verbosity)
        if bars:
            datasets.enable_progress_bars()


def _generate(paths: tuple[str, ...], source: str, target: str, key: object) -> Iterator[dict[str, str]]:
    """`read_split` for the library, which pickles the arguments and makes its cache's name of them, `key` included."""
    return read_split(tuple(map(Path, paths)), source=source, target=target)


def _has_line_ends(table: datasets.Dataset, side: str) -> bool:
    found = pyarrow.compute.match_substring(table.data.column(side), "\n")
    return bool(pyarrow.compute.any(found).as_py())


def _single_lines(batch: dict[str, list[str]]) -> dict[str, list[str]]:
    return {side: [single_line(text) for text in texts] for side, texts in batch.items()}


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _reason(error: BaseException) -> str:
    """The innermost cause, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:200] or type(error).__name__
