"""Parallel text from the Hugging Face hub, or from a local copy of a dataset there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import datasets
import pyarrow  # type: ignore[import-untyped]
import pyarrow.compute  # type: ignore[import-untyped]

from nmt.data.corpus import FEATURES, Corpus, describe_all_repairs, load_files, quiet, sort_splits
from nmt.data.gold_links import find_links
from nmt.data.readers import expand_path, find_pairs, find_splits
from nmt.data.tables import join_lines, table_ending
from nmt.errors import UserError

MAX_REASON_CHARACTERS = 200
"""Maximum number of characters of a library's error message that ours quotes."""


class HubCorpus(Corpus):
    """A dataset of the Hugging Face hub, or a local copy of one.

    Its columns are named by language codes, or are nested in one column "translation". Line ends inside a text become
    spaces. The files of a local copy are read as `FilesCorpus` reads them, so every cell is text, and a changed file is
    read again; only files of other formats (such as .arrow) are left to the library.

    Args:
        id: the name of the dataset on the hub.
        path: a local copy to read instead: the dataset's repository as a folder, or the same text in plain files, as
            `FilesCorpus` reads them. None = download from the hub.
        subset: the subset to load if the dataset has several, such as "de-en"; None for the only one.
        source, target: language codes.
        split_names: our names for the splits of the hub, such as {"val": "validation"}; other splits keep their names.
            Plain files have our names already.

    Attributes:
        path: the local copy, or None.
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
        self.path = None if path is None else expand_path(path)
        self.subset = subset
        self.split_names = dict(split_names)

    def splits(self) -> list[str]:
        return sort_splits(self._hub_names if self._files is None else self._files)

    def split(self, name: str) -> datasets.Dataset:
        if name not in self.splits():
            raise UserError(f"{self._location} has no split {name}; the splits there are {', '.join(self.splits())}")
        if self._files is not None:
            assert self.path is not None, "only a local copy has files"
            links = find_links(self.path, name, source=self.source, target=self.target)
            return load_files(self._files[name], source=self.source, target=self.target, links=links)
        with quiet():
            return self._select_pairs(self._tables[self._hub_names[name]], name)

    def repairs(self, name: str) -> list[str]:
        return [] if self._files is None else describe_all_repairs(self._files[name])

    @cached_property
    def _files(self) -> dict[str, tuple[Path, ...]] | None:
        """The files of each split of the local copy, by our name; None if the library must read them."""
        if self.path is None:
            return None
        named = find_splits(self.path, source=self.source, target=self.target)  # by the stems of the files
        if find_pairs(self.path, source=self.source, target=self.target):
            return named
        try:
            listed = self._list_library_files(self.path)
        except UserError:  # the library has no reader for such a folder, for example one with several formats
            if self.subset is not None or not named:
                raise
            listed = {}
        if listed is None:
            return None
        # Stems count too, unless the library gives the file a split of its own under another name.
        if self.subset is None:
            listed = {stem: paths for stem, paths in named.items() if paths not in listed.values()} | listed
        return {ours: listed[hub] for ours, hub in self._rename_splits(listed).items()}

    def _list_library_files(self, folder: Path) -> dict[str, tuple[Path, ...]] | None:
        """The files of each split, by the hub's name, as README.md or the file names tell the library.

        Returns:
            None if we have no reader for one of the files.

        Raises:
            UserError: the library finds no dataset in the folder, or would take its path for a pattern.
        """
        resolved = _resolve_for_library(folder)
        with self._explaining_library_errors(), quiet():
            config = datasets.load_dataset_builder(str(resolved), self.subset).config
        usual_options = (("sep", (",", "\t")), ("field", (None,)))
        if not config.data_files or any(getattr(config, name, usual[0]) not in usual for name, usual in usual_options):
            return None
        splits = {
            str(split): tuple(folder / path.relative_to(resolved) for path in map(Path, paths))
            for split, paths in config.data_files.items()
        }
        return splits if all(table_ending(path) for paths in splits.values() for path in paths) else None

    @cached_property
    def _tables(self) -> datasets.DatasetDict:
        """The dataset as the library loads it, with the hub's split names."""
        resolved = None if self.path is None else _resolve_for_library(self.path)
        with self._explaining_library_errors(), quiet():
            if resolved is None:
                return datasets.load_dataset(self.id, self.subset)
            # The library's cache recognises local files by their time, so it may be old.
            return datasets.load_dataset(
                str(resolved), self.subset, download_mode=datasets.DownloadMode.FORCE_REDOWNLOAD
            )

    @contextmanager
    def _explaining_library_errors(self) -> Iterator[None]:
        """Turns any error of the library inside the block into a UserError."""
        try:
            yield
        # Without a connection, without such a dataset or for a damaged file, several packages raise errors.
        except Exception as error:
            reason = _innermost_reason(error)
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
    def _hub_names(self) -> dict[str, str]:
        """The hub's name of each split, by our name."""
        return self._rename_splits(self._tables)

    def _rename_splits(self, hub_splits: Iterable[str]) -> dict[str, str]:
        """The hub's name of each split, by our name."""
        hub_names = list(hub_splits)
        renamed = {ours: hub for ours, hub in self.split_names.items() if hub in hub_names}
        return {hub: hub for hub in hub_names if hub not in self.split_names.values()} | renamed

    @property
    def _location(self) -> str:
        return self.id if self.path is None else str(self.path)

    def _select_pairs(self, table: datasets.Dataset, name: str) -> datasets.Dataset:
        """The two text columns of a split. Nothing is copied, unless a text contains line ends.

        Raises:
            UserError: a language is missing, is not text, has empty cells, or is not valid UTF-8.
        """
        # Find the columns of the two languages.
        is_nested = not {self.source, self.target} <= set(table.column_names)
        if is_nested and "translation" in table.column_names:
            table = table.flatten()  # its fields become the columns "translation.en", "translation.de"
        is_nested = is_nested and any(column.startswith("translation.") for column in table.column_names)
        prefix = "translation." if is_nested else ""
        columns = {column.removeprefix(prefix): column for column in table.column_names if column.startswith(prefix)}
        for language in (self.source, self.target):
            if language not in columns:
                languages = ", ".join(columns)
                raise UserError(f"{self._location} has no language {language}; the columns there are {languages}")
        # Keep these two, named by side, and check their text.
        sides = {columns[self.source]: "source", columns[self.target]: "target"}
        table = table.select_columns(list(sides)).rename_columns(sides)
        for side, language in (("source", self.source), ("target", self.target)):
            self._check_text(table, side, name=name, language=language)
        if table.features != FEATURES:
            table = table.cast(FEATURES)
        # A sentence is one line.
        if any(_has_line_ends(table, side) for side in FEATURES):
            table = table.map(_join_all_lines, batched=True)
        return table

    def _check_text(self, table: datasets.Dataset, side: str, *, name: str, language: str) -> None:
        """Raises UserError unless every cell of one side of the split `name` is text in valid UTF-8."""
        data = table.data.column(side)
        if not (pyarrow.types.is_string(data.type) or pyarrow.types.is_large_string(data.type)):
            raise UserError(f"{self._location}: the column {language} contains {data.type}, not text")
        if num_missing := data.null_count:
            raise UserError(f"{self._location}: {num_missing} rows of the split {name} have no {language}")
        try:
            data.validate(full=True)  # the library reads .parquet and .jsonl files without checking their encoding
        except pyarrow.ArrowInvalid:
            row = _find_invalid_row(data)
            raise UserError(
                f"{self._location}: row {row} of the split {name} is not valid UTF-8 in the column {language}"
            ) from None


def _resolve_for_library(folder: Path) -> Path:
    """The absolute path of a folder, without symbolic links, since the library replaces them too.

    Raises:
        UserError: it contains a character that the library would take for a part of a pattern.
    """
    resolved = folder.resolve()
    for character in "[*?":
        if character in str(resolved):
            raise UserError(
                f"{resolved} has {character} in its path, which the library `datasets` takes for a pattern: rename the "
                f"folder, or copy the dataset to another one (a link does not help)"
            )
    return resolved


def _find_invalid_row(column: pyarrow.ChunkedArray) -> int:
    """The number, from 1, of the first text that is not valid UTF-8; 0 if there is none."""
    for number, text in enumerate(column, start=1):
        try:
            text.as_py()
        except UnicodeDecodeError:
            return number
    return 0


def _has_line_ends(table: datasets.Dataset, side: str) -> bool:
    has_line_end = pyarrow.compute.match_substring(table.data.column(side), "\n")  # (rows,)
    return bool(pyarrow.compute.any(has_line_end).as_py())


def _join_all_lines(batch: dict[str, list[str]]) -> dict[str, list[str]]:
    return {side: [join_lines(text) for text in texts] for side, texts in batch.items()}


def _innermost_reason(error: BaseException) -> str:
    """The message of the innermost cause, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:MAX_REASON_CHARACTERS] or type(error).__name__
