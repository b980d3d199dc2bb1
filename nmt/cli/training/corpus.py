"""The corpus of a run: its main part, further parts, and the validation pairs that are held out."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from nmt import data
from nmt.cli.shell.settings import Component, yaml_text
from nmt.cli.training.descriptions import describe
from nmt.cli.training.settings import TrainSettings
from nmt.data import HoldOutCorpus, MixedCorpus
from nmt.data.corpus import Corpus, FilesCorpus
from nmt.data.readers import expand_path
from nmt.errors import UserError
from nmt.run.registry import Description


def list_parts(settings: TrainSettings) -> list[tuple[Component, str | None]]:
    """The parts of the corpus with their tags, `data` first.

    An item of `extra_data` is the path of a folder; or a group of keys: a folder as `path` with the arguments of
    `FilesCorpus`, or a class as `_target_` with its arguments, or arguments that replace those of `data`. Each may have
    a `tag`. Languages that are not named are those of `data`; so is the tag, for a part in the same direction.
    """
    parts = [(settings.data, settings.tag)]
    extra_data = [] if settings.extra_data is None else settings.extra_data
    for index, item in enumerate([extra_data] if isinstance(extra_data, str) else extra_data):
        arguments: dict[str, Any] = dict(item) if isinstance(item, dict) else {"path": item}
        tag = arguments.pop("tag", UNSET)
        target = arguments.pop("_target_", None)
        if target is None and "path" in arguments:
            languages = {side: settings.data.arguments.get(side) for side in ("source", "target")}
            target, arguments = f"{FilesCorpus.__module__}.{FilesCorpus.__name__}", languages | arguments
        elif target is None:
            target, arguments = settings.data.target, settings.data.arguments | arguments
        if tag is UNSET:
            same = all(arguments.get(side) == settings.data.arguments.get(side) for side in ("source", "target"))
            tag = settings.tag if same else None
        parts.append((Component(f"extra_data[{index}]", target, arguments), None if tag is None else yaml_text(tag)))
    return parts


def list_tags(settings: TrainSettings, corpus: Corpus) -> list[str]:
    """The tags that the settings and the corpus declare, each once."""
    part_tags = [tag for _, tag in list_parts(settings) if tag is not None]
    return list(dict.fromkeys([*part_tags, *corpus.main.own_tags]))


def build_corpus(settings: TrainSettings) -> Corpus:
    """The corpus of a run.

    Raises:
        UserError: a part does not exist, or refuses an argument; or the objective is for another kind of corpus.
    """
    parts = list_parts(settings)
    corpus = settings.data.build_as(Corpus)  # type: ignore[type-abstract]
    if settings.objective is None and not corpus.is_translated:
        raise UserError("data=text has no translations, so add objective=masked or objective=denoising to pre-train")
    if settings.objective is not None and corpus.is_translated:
        raise UserError("objective=… is learned from text alone: add data=text data.path=DIR")
    if len(parts) > 1 or settings.tag is not None:
        others = [_build_part(part) for part, _ in parts[1:]]
        tags = [tag for _, tag in parts]
        corpus = MixedCorpus(parts=[corpus, *others], tags=tags, train_split=settings.train_split)
    if settings.hold_out is None or settings.validation_split is None:
        return corpus
    return HoldOutCorpus(
        corpus=corpus,
        train_split=settings.train_split,
        split=settings.validation_split,
        num_pairs=settings.hold_out,
    )


def _build_part(part: Component) -> Corpus:
    """Builds one item of `extra_data`.

    Raises:
        UserError: its folder is missing, or it refuses an argument.
    """
    corpus = part.build_as(Corpus)  # type: ignore[type-abstract]
    path = getattr(corpus, "path", None)
    if path is not None and not path.is_dir():
        if str(path).startswith("{"):
            raise UserError(f"extra_data={path} is a group of keys without a list around it: extra_data=[{path}]")
        raise UserError(
            f"{part.key}: {path} is not a folder: name one with text in {corpus.source} and {corpus.target}"
        )
    return corpus


def describe_corpus(settings: TrainSettings) -> Description:
    """The description of `build_corpus`, for the run folder."""
    parts = list_parts(settings)
    descriptions = [_with_absolute_path(describe(part, data)) for part, _ in parts]
    description = descriptions[0]
    if len(parts) > 1 or settings.tag is not None:
        description = _description(
            MixedCorpus, parts=descriptions, tags=[tag for _, tag in parts], train_split=settings.train_split
        )
    if settings.hold_out is None:
        return description
    return _description(
        HoldOutCorpus,
        corpus=description,
        train_split=settings.train_split,
        split=settings.validation_split,
        num_pairs=settings.hold_out,
    )


def describe_parts(corpus: Corpus) -> list[str]:
    """A line with the number of training pairs of each part; none if there is one part."""
    mixed = corpus.corpus if isinstance(corpus, HoldOutCorpus) else corpus
    if not isinstance(mixed, MixedCorpus) or len(mixed.parts) == 1:
        return []
    names = ["data", *(f"extra_data[{index}]" for index in range(len(mixed.parts) - 1))]
    sizes = (
        f"{len(split):,} of {name}" + (f" (tag {tag})" if tag else "")
        for name, split, tag in zip(names, mixed.train_splits, mixed.tags, strict=True)
    )
    return [f"pairs of each part: {', '.join(sizes)}"]


def _description(cls: type[Corpus], **arguments: Any) -> Description:
    return {"class": cls.__name__, "arguments": arguments}


def _with_absolute_path(corpus: Description) -> Description:
    """The description of a corpus with an absolute path, so that other commands find it from any folder."""
    arguments: dict[str, Any] = dict(corpus["arguments"])
    if arguments.get("path") is not None:
        arguments["path"] = str(expand_path(arguments["path"]).absolute())
    return {**corpus, "arguments": arguments}
