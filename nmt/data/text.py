"""Text without translations, for pre-training: every line is a pair of the text and itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import datasets

from nmt.data.corpus import FEATURES, Corpus, cached_dataset, check_languages, describe_all_repairs, sort_splits
from nmt.data.readers import expand_path, find_texts
from nmt.data.text_file import read_lines
from nmt.errors import UserError

TAGGED_FEATURES = datasets.Features({**FEATURES, "tag": datasets.Value("string")})


class TextCorpus(Corpus):
    """A folder of plain files in one or several languages, train.en and train.de, which need not be translations.

    A split has the lines of all languages, one language after the other, and both columns "source" and "target" hold
    the same text. If lines have tags, the column "tag" names the language in which the target is written, as in a
    `MixedCorpus`: 2en for English.

    Args:
        path: the folder; files may be compressed (train.en.gz).
        languages: codes of the languages, the endings of the files. The first one counts as source and target.
        tags: give lines a tag, if there are several languages.

    Raises:
        UserError: there is no language, one is not a code, or one occurs twice.
    """

    def __init__(self, *, path: str | Path, languages: list[str], tags: bool) -> None:
        for language in languages:
            check_languages(languages=language)
        if not languages or len(set(languages)) < len(languages):
            raise UserError(f"data.languages={languages} must name one or several different languages, such as [en,de]")
        self.source = self.target = languages[0]
        self.path = expand_path(path)
        self._languages = languages
        self._has_tags = tags and len(languages) > 1

    @property
    def languages(self) -> list[str]:
        return self._languages

    @property
    def is_translated(self) -> bool:
        return False

    @property
    def own_tags(self) -> tuple[str, ...]:
        return tuple(f"2{language}" for language in self.languages) if self._has_tags else ()

    def splits(self) -> list[str]:
        return sort_splits(find_texts(self.path, languages=self.languages))

    def split(self, name: str) -> datasets.Dataset:
        files = self._find_files(name)
        return cached_dataset(
            _generate,
            TAGGED_FEATURES if self.own_tags else FEATURES,
            files=files,
            paths=tuple(map(str, files)),
            tags=self.own_tags,
        )

    def repairs(self, name: str) -> list[str]:
        return describe_all_repairs(self._find_files(name))

    def _find_files(self, name: str) -> tuple[Path, ...]:
        splits = find_texts(self.path, languages=self.languages)
        if name not in splits:
            expected = " and ".join(f"{name}.{language}" for language in self.languages)
            others = f"the splits there are {', '.join(sort_splits(splits))}" if splits else "it has no split at all"
            raise UserError(f"{self.path} has no split {name}, which takes {expected}; {others}")
        return splits[name]


def _generate(paths: tuple[str, ...], tags: tuple[str, ...], key: object) -> Iterator[dict[str, str]]:
    """The rows of a split; all arguments, `key` included, form the cache key of the library.

    Args:
        tags: of each path; empty if lines have no tags.

    Raises:
        UserError: a file is not text, or all of them are empty.
    """
    is_empty = True
    for index, path in enumerate(paths):
        row = {"tag": tags[index]} if tags else {}
        for line in read_lines(Path(path)):
            is_empty = False
            yield {"source": line, "target": line, **row}
    if is_empty:
        raise UserError(f"there is no text in {' and '.join(paths)}")
