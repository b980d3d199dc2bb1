"""Finds which splits a folder contains, and reads their parallel text as a stream.

A split is named by the stem of its files. It is stored in two plain files, one per language, or in one file for both:

    train.en  train.de      line i of one is the translation of line i of the other
    train.tsv               or .csv, .jsonl, .json, .parquet: see `nmt.data.tables`

Each of them may be compressed (train.en.gz). See `nmt.data.text_file` for encoding and line ends. Blank lines at the
end of a file are no pairs, even if the other file does not have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path

from nmt.data.tables import TABLE_ENDINGS, read_table, table_ending
from nmt.data.text_file import read_lines
from nmt.errors import UserError
from nmt.files import reading

DESCRIPTION_FILES = {"config.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json", "state.json"}
"""Files that the Hugging Face libraries write beside a dataset; they hold no text."""


def find_splits(folder: Path, *, source: str, target: str) -> dict[str, tuple[Path, ...]]:
    """Finds the splits that contain both languages: split name → its one file, or its two files (source, target).

    Raises:
        UserError: the folder does not exist, or contains a split twice.
    """
    splits: dict[str, tuple[Path, ...]] = {}
    candidates = chain(find_pairs(folder, source=source, target=target).items(), _find_tables(folder))
    for split, paths in candidates:
        if split in splits:
            names = ", ".join(path.name for path in (*splits[split], *paths))
            raise UserError(f"{folder} contains the split {split} more than once ({names}): keep one of them there")
        splits[split] = paths
    return splits


def find_pairs(folder: Path, *, source: str, target: str) -> dict[str, tuple[Path, Path]]:
    """Finds the splits that are stored in two plain files: split name → (source file, target file).

    Raises:
        UserError: the folder does not exist, or contains a file both plain and compressed.
    """
    source_paths, target_paths = (_find_by_ending(folder, language) for language in (source, target))
    return {split: (path, target_paths[split]) for split, path in source_paths.items() if split in target_paths}


def find_texts(folder: Path, *, languages: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Finds the splits that have a plain file in every language: split name → its files, in the order of `languages`.

    Raises:
        UserError: the folder does not exist, or contains a file both plain and compressed.
    """
    paths = [_find_by_ending(folder, language) for language in languages]
    return {split: tuple(each[split] for each in paths) for split in paths[0] if all(split in each for each in paths)}


def _find_tables(folder: Path) -> Iterator[tuple[str, tuple[Path, ...]]]:
    for ending in TABLE_ENDINGS:
        for split, path in _find_by_ending(folder, ending).items():
            if path.name not in DESCRIPTION_FILES:
                yield split, (path,)


def _find_by_ending(folder: Path, ending: str) -> dict[str, Path]:
    """The files named STEM.ending or STEM.ending.gz, by stem."""
    paths: dict[str, Path] = {}
    for path in list_files(folder):
        stem = path.name.removesuffix(".gz").removesuffix(f".{ending}")
        if stem and path.name in (f"{stem}.{ending}", f"{stem}.{ending}.gz"):
            if stem in paths:
                raise UserError(f"{folder} contains {stem}.{ending} both plain and compressed: keep one of them there")
            paths[stem] = path
    return paths


def expand_path(path: str | Path) -> Path:
    """Replaces "~" or "~user" at the start of a path by the home folder.

    Raises:
        UserError: there is no such user.
    """
    try:
        return Path(str(path)).expanduser()  # str: the configuration may hold a number
    except RuntimeError:
        raise UserError(f"{path} names the home folder of an unknown user: give data.path=DIR in full") from None


def list_files(folder: Path) -> list[Path]:
    """The files of a folder, without hidden ones, sorted by name.

    Raises:
        UserError: there is no such folder, or it cannot be read.
    """
    with reading(folder):
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder: data.path=DIR names the folder with the corpus")
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def read_split(paths: tuple[Path, ...], *, source: str, target: str) -> Iterator[dict[str, str]]:
    """Yields the pairs of a split, one at a time, as {"source": …, "target": …}.

    Args:
        paths: the files of the split, as `find_splits` returns them; or several files for both languages, one after
            the other.
        source, target: language codes, which name columns and keys.

    Raises:
        UserError: a file does not have the format that its ending promises; the message names the file and the line.
    """
    pairs: Iterator[tuple[str, str]]
    if all(map(table_ending, paths)):
        pairs = chain.from_iterable(read_table(path, source=source, target=target) for path in paths)
    else:
        pairs = _read_two_files(*paths)
    is_empty = True
    for source_text, target_text in pairs:
        is_empty = False
        yield {"source": source_text, "target": target_text}
    if is_empty:
        raise UserError(f"the corpus is empty: no text in {' and '.join(map(str, paths))}")


def _read_two_files(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    """Yields line i of both files together, without blank lines at the end.

    Raises:
        UserError: one file has more lines, which are not all blank.
    """
    blank: list[tuple[str, str]] = []  # blank pairs since the last other one: if more text follows, they count
    lines = zip_longest(read_lines(source), read_lines(target))
    for number, (source_line, target_line) in enumerate(lines, start=1):
        if source_line is None or target_line is None:
            surplus = chain([(source_line, target_line)], lines)
            are_blank = [not "".join(filter(None, pair)).strip() for pair in surplus]
            if all(are_blank):
                return
            num_lines = number - 1 + len(are_blank)
            longer, shorter = (source, target) if target_line is None else (target, source)
            raise UserError(
                f"{longer} has {num_lines} lines but {shorter.name} has {number - 1}: from line {number} on, "
                f"{longer.name} has no translation"
            )
        if source_line.strip() or target_line.strip():
            yield from blank
            blank.clear()
            yield source_line, target_line
        else:
            blank.append((source_line, target_line))
