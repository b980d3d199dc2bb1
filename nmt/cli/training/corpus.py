"""The corpus of a run, and the validation pairs that are held out."""

from __future__ import annotations

from typing import Any

from nmt import data
from nmt.cli.training.descriptions import describe
from nmt.cli.training.settings import TrainSettings
from nmt.data import HoldOutCorpus, MixedCorpus
from nmt.data.corpus import Corpus
from nmt.data.readers import expand_path
from nmt.errors import UserError
from nmt.run.registry import Description


def build_corpus(settings: TrainSettings) -> Corpus:
    """The corpus of a run.

    Raises:
        UserError: it does not exist, or refuses an argument; or the objective is for another kind of corpus.
    """
    corpus = settings.data.build_as(Corpus)  # type: ignore[type-abstract]
    if settings.objective is None and not corpus.is_translated:
        raise UserError("data=text has no translations, so add objective=masked or objective=denoising to pre-train")
    if settings.objective is not None and corpus.is_translated:
        raise UserError("objective=… is learned from text alone: add data=text data.path=DIR")
    if isinstance(corpus, MixedCorpus):
        _check_folders(corpus)
    if settings.hold_out is None or settings.validation_split is None:
        return corpus
    return HoldOutCorpus(
        corpus=corpus,
        train_split=settings.train_split,
        split=settings.validation_split,
        num_pairs=settings.hold_out,
    )


def _check_folders(corpus: MixedCorpus) -> None:
    """Raises UserError if the folder of a part is missing."""
    for part in corpus.parts:
        path = getattr(part, "path", None)
        if path is not None and not path.is_dir():
            if str(path).startswith("{"):
                raise UserError(f"data.parts={path} is a group of keys without a list around it: data.parts=[{path}]")
            raise UserError(
                f"data.parts: {path} is not a folder: name one with text in {part.source} and {part.target}"
            )


def describe_corpus(settings: TrainSettings) -> Description:
    """The description of `build_corpus`, for the run folder."""
    description = _with_absolute_paths(describe(settings.data, data))
    if settings.hold_out is None:
        return description
    arguments = {
        "corpus": description,
        "train_split": settings.train_split,
        "split": settings.validation_split,
        "num_pairs": settings.hold_out,
    }
    return {"class": HoldOutCorpus.__name__, "arguments": arguments}


def describe_parts(corpus: Corpus) -> list[str]:
    """A line with the number of training pairs of each part of a mix; none if there is one part."""
    mixed = corpus.corpus if isinstance(corpus, HoldOutCorpus) else corpus
    if not isinstance(mixed, MixedCorpus) or len(mixed.parts) == 1:
        return []
    parts = []
    for part, split, tag, weight in zip(mixed.parts, mixed.train_splits, mixed.tags, mixed.weights, strict=True):
        remarks = [*([f"tag {tag}"] if tag else []), *([f"weight {weight:.3g}"] if weight != 1 else [])]
        name = f"{len(split):,} {part.source}-{part.target}"
        parts.append(name + (f" ({', '.join(remarks)})" if remarks else ""))
    return [f"pairs of each part: {'; '.join(parts)}"]


def _with_absolute_paths(corpus: Description) -> Description:
    """The description of a corpus with absolute paths, so that other commands find it from any folder."""
    arguments: dict[str, Any] = dict(corpus["arguments"])
    if arguments.get("path") is not None:
        arguments["path"] = str(expand_path(arguments["path"]).absolute())
    if "parts" in arguments:
        arguments["parts"] = list(map(_with_absolute_paths, arguments["parts"]))
    return {**corpus, "arguments": arguments}
