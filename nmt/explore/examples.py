"""Sentences to begin with: of a run's test or validation split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from nmt.data.scenes.world import PICTURE
from nmt.errors import Failure, UserError
from nmt.evaluation.record import list_files
from nmt.explore.pictures import find_picture
from nmt.explore.systems import System
from nmt.files import read_text
from nmt.report.heads import EXAMPLES
from nmt.run import RunFolder
from nmt.run.registry import main_corpus

MAX_EXAMPLES = 12
"""Maximum number of sentences to pick from."""

MAX_CHARACTERS = 100
"""Maximum length of such a sentence, its picture left out: long ones fill the page with their attention."""

SPLITS = ("test", "val")
"""Where sentences are looked for: training has seen neither."""


@dataclass(frozen=True)
class Example:
    """A sentence to pick.

    Attributes:
        source: the source line.
        label: how a list shows it: the words of the line, or the number of a picture without words.
        picture: the picture of the line as a data URL; None without one.
    """

    source: str
    label: str
    picture: str | None


def find_examples(system: System) -> list[Example]:
    """Sentences from the test or validation split of a system's run; none if no split can be read.

    A system that has learned the built-in grammar begins with the sentences whose pronoun `nmt heads` draws.
    """
    famous = EXAMPLES.get(system.info.source, []) if system.grammar is not None else []
    lines = dict.fromkeys([*famous, *_read_sources(system.folder)])
    short = (line for line in lines if len(PICTURE.sub("", line)) <= MAX_CHARACTERS)
    return [_describe(line, number) for number, line in enumerate(islice(short, MAX_EXAMPLES), start=1)]


def _describe(line: str, number: int) -> Example:
    picture = find_picture(PICTURE.findall(line))
    label = PICTURE.sub("", line).strip() or f"Picture {number}"
    return Example(source=line, label=label, picture=None if picture is None else picture.image)


def _read_sources(folder: RunFolder) -> Sequence[str]:
    """The source lines of a split: of an evaluation that the folder holds, or else of the corpus."""
    try:
        for split in SPLITS:
            path, *_ = list_files(folder.path / "evaluation", split)
            if path.is_file():
                return [line for line in read_text(path).split("\n") if line.strip()]
        return list(_read_corpus(folder))
    except (UserError, Failure):  # the corpus was moved or the file is damaged: the systems translate all the same
        return []


def _read_corpus(folder: RunFolder) -> Iterator[str]:
    described = main_corpus(folder.description("corpus"))
    if described["class"] == "HubCorpus" and described["arguments"].get("path") is None:
        return  # it would be downloaded
    corpus = folder.corpus()
    for split in SPLITS:
        if split in corpus.splits():
            yield from islice(corpus.split(split)["source"], 10 * MAX_EXAMPLES)
            return
