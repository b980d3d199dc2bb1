"""Parallel text in named splits, and its most common source, a folder of text files.

Corpora use the `datasets` library: their text is memory-mapped, and cached by content in the library's own cache
(HF_DATASETS_CACHE). Text is never changed, except that each sentence becomes one line.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub

from nmt.data.captions import CaptionExample
from nmt.data.gold_links import LinksFile, add_links, find_links
from nmt.data.pronouns import PronounExample
from nmt.data.readers import expand_path, find_splits, list_files, read_split
from nmt.data.text_file import content_key, describe_repairs
from nmt.data.words import Span, spaced_words
from nmt.errors import Failure, UserError

FEATURES = datasets.Features({"source": datasets.Value("string"), "target": datasets.Value("string")})
LINK_FEATURES = datasets.Features({**FEATURES, "alignment": datasets.Value("string")})

READER_VERSION = 2
"""The version of the file readers; it is part of the cache key, so increase it when they return something else."""

MAX_SHOWN_FILES = 12
"""Maximum number of file names that an error message lists."""


class Corpus(ABC):
    """Parallel text in named splits.

    Args:
        source: code of the source language, such as "en".
        target: code of the target language.

    Raises:
        UserError: a code has other characters than letters and digits, or both codes are the same.
    """

    def __init__(self, *, source: str, target: str) -> None:
        check_languages(source=source, target=target)
        if source == target:
            raise UserError(f"data.source and data.target are both {source}: name two languages")
        self.source = source
        self.target = target

    @abstractmethod
    def splits(self) -> list[str]:
        """The names of the splits: train, val and test first, if present, then the others by name."""

    @abstractmethod
    def split(self, name: str) -> datasets.Dataset:
        """The pairs of one split: columns "source" and "target", raw text without line ends.

        If gold word links are known, the column "alignment" holds those of each pair in Pharaoh format; `words` counts
        the words.

        Raises:
            UserError: there is no such split, or its text cannot be used; the message says which and why.
        """

    @property
    def main(self) -> Corpus:
        """The corpus itself; for a mixed corpus, its first part, which has all splits but the training split."""
        return self

    def words(self, line: str) -> list[Span]:
        """The words of a line, as the alignments of this corpus count them."""
        return spaced_words(line)

    def repairs(self, name: str) -> list[str]:
        """Describes what reading a split corrects in its files, one line per file; empty without plain files."""
        return []

    def pronoun_examples(self, name: str) -> list[PronounExample] | None:
        """The ambiguous pronoun of each pair of a split; None if the corpus does not know one in every pair."""
        return None

    @property
    def languages(self) -> list[str]:
        """The codes of the languages that the two columns are written in."""
        return [self.source, self.target]

    @property
    def is_translated(self) -> bool:
        """Whether the target is a translation of the source; else both are the same text, for pre-training."""
        return True

    @property
    def own_tags(self) -> tuple[str, ...]:
        """The tags in the column "tag" that the corpus itself adds to its lines; empty without such a column."""
        return ()

    @property
    def main_tag(self) -> str | None:
        """The tag of source lines in the direction `source` to `target`; None for no tag."""
        return None

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of which pictures in source lines consist, each a piece of its own; empty without pictures."""
        return ()

    def caption_examples(self, name: str) -> list[CaptionExample] | None:
        """What each caption of a split must name; None if the targets are no captions."""
        return None


class FilesCorpus(Corpus):
    """A folder of plain files, or of tables such as .tsv, possibly compressed, in the formats of `nmt.data.readers`.

    Args:
        path: the folder.
        source, target: language codes, which name the files or their columns.
    """

    def __init__(self, *, path: str | Path, source: str, target: str) -> None:
        super().__init__(source=source, target=target)
        self.path = expand_path(path)

    def splits(self) -> list[str]:
        return sort_splits(find_splits(self.path, source=self.source, target=self.target))

    def split(self, name: str) -> datasets.Dataset:
        files = self._find_files(name)  # first, since it checks the names
        links = find_links(self.path, name, source=self.source, target=self.target)
        return load_files(files, source=self.source, target=self.target, links=links)

    def repairs(self, name: str) -> list[str]:
        files = self._find_files(name)
        links = find_links(self.path, name, source=self.source, target=self.target)
        return describe_all_repairs(files if links is None else (*files, links.path))

    def _find_files(self, name: str) -> tuple[Path, ...]:
        splits = find_splits(self.path, source=self.source, target=self.target)
        if name not in splits:
            raise UserError(self._explain_missing(name, sort_splits(splits)))
        return splits[name]

    def _explain_missing(self, name: str, splits: list[str]) -> str:
        """Why there is no split `name`, as far as the file names tell."""
        files = [path.name for path in list_files(self.path)]
        if not files:
            return f"{self.path} is empty: it should contain {name}.{self.source} and {name}.{self.target}"
        expected = [f"{name}.{language}" for language in (self.source, self.target)]
        present = [file for file in expected if file in files or f"{file}.gz" in files]
        if len(present) == 1:
            missing = next(file for file in expected if file not in present)
            problem = f"{missing} there is not a file" if os.path.lexists(self.path / missing) else f"not {missing}"
            return f"{self.path} contains {present[0]} but {problem}; the files there are {_list_names(files)}"
        if splits:
            return f"{self.path} has no split {name}; the splits there are {', '.join(splits)}"
        return (
            f"{self.path} contains no text from {self.source} to {self.target}, such as {' with '.join(expected)}; "
            f"the files there are {_list_names(files)}"
        )


def load_files(
    paths: tuple[Path, ...], *, source: str, target: str, links: LinksFile | None = None
) -> datasets.Dataset:
    """The pairs of a split, memory-mapped, and cached by the content of its files.

    Args:
        paths: as for `read_split`.
        links: the file with the gold links of the split; None if there is none.

    Raises:
        UserError: as for `read_split` and `add_links`.
    """
    return cached_dataset(
        _generate,
        FEATURES if links is None else LINK_FEATURES,
        files=paths if links is None else (*paths, links.path),
        # A tuple, because the library would treat a list as shards and pass its items one by one.
        paths=tuple(map(str, paths)),
        source=source,
        target=target,
        links=links,
    )


def cached_dataset(
    generate: Callable[..., Iterator[dict[str, str]]],
    features: datasets.Features,
    *,
    files: tuple[Path, ...],
    **arguments: Any,
) -> datasets.Dataset:
    """The rows that `generate(**arguments, key=…)` yields, memory-mapped, and cached by the content of `files`.

    Raises:
        UserError, Failure: whatever `generate` raises, or a file cannot be read.
    """
    # Always read and hash the files: a cache keyed by name and time could silently return old text.
    key = (READER_VERSION, content_key(files))
    try:
        with quiet():
            return datasets.Dataset.from_generator(generate, features=features, gen_kwargs={**arguments, "key": key})
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, UserError | Failure):
            raise error.__cause__ from None
        raise


def check_languages(**languages: object) -> None:
    """Raises UserError unless every argument of a corpus is the code of a language."""
    for key, language in languages.items():
        if not isinstance(language, str) or not re.fullmatch(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)*", language):
            raise UserError(f"data.{key}={language} is not a language code such as en or pt-BR")


def describe_all_repairs(paths: tuple[Path, ...]) -> list[str]:
    """What reading these files corrects, one line per file that needs it."""
    return [repairs for path in paths if (repairs := describe_repairs(path)) is not None]


def sort_splits(splits: Mapping[str, object]) -> list[str]:
    """Sorts split names in the order of use: train, val, test, then the others by name."""
    first = [name for name in ("train", "val", "test") if name in splits]
    return first + sorted(set(splits) - set(first))


@contextmanager
def quiet() -> Iterator[None]:
    """Turns off the libraries' progress bars and warnings; this program prints its own messages."""
    logs = (datasets.utils.logging, huggingface_hub.logging)
    verbosities = [log.get_verbosity() for log in logs]
    had_progress_bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    for log in logs:
        log.set_verbosity_error()
    try:
        yield
    finally:
        for log, verbosity in zip(logs, verbosities, strict=True):
            log.set_verbosity(verbosity)
        if had_progress_bars:
            datasets.enable_progress_bars()


def _generate(
    paths: tuple[str, ...], source: str, target: str, links: LinksFile | None, key: object
) -> Iterator[dict[str, str]]:
    """`read_split` with arguments that the library can pickle; all of them, `key` included, form its cache key."""
    pairs = read_split(tuple(map(Path, paths)), source=source, target=target)
    return pairs if links is None else add_links(pairs, links)


def _list_names(names: list[str]) -> str:
    num_more = len(names) - MAX_SHOWN_FILES
    return ", ".join(names[:MAX_SHOWN_FILES]) + (f" and {num_more} more" if num_more > 0 else "")
