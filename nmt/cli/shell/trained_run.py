"""Loads corpus, metrics and translator of a trained run, with the changes that the command line asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt import search as searches
from nmt.cli.shell.engine import ExportedEngine
from nmt.cli.shell.settings import Component, RunChanges, expand_home, naming_group
from nmt.errors import UserError
from nmt.run import RunFolder, open_run
from nmt.run.registry import Description, build, language_pair, main_corpus, name_corpus
from nmt.translator import Translator

if TYPE_CHECKING:  # imports the library `datasets`, which `nmt translate` does not need
    from nmt.data.corpus import Corpus
    from nmt.evaluation import Metrics


class CorpusChanges(RunChanges, frozen=True, kw_only=True):
    """conf/data/run.yaml: the corpus that the run was trained on, with these arguments changed."""

    path: str | None
    source: str | None
    target: str | None


class SearchChanges(RunChanges, frozen=True, kw_only=True):
    """conf/search/run.yaml: the search that the run was validated with, with these arguments changed."""

    beam_size: int | None = None
    length_penalty: float | None = None
    max_length_factor: float | None = None
    max_length_margin: int | None = None
    min_length: int | None = None
    no_repeat_ngram: int | None = None


def open_system(run: list[Path] | str, *, out: Path | None = None) -> RunFolder:
    """Opens the run that `run=` names, or several as an ensemble.

    Args:
        run: the setting: a folder, or a list of folders.
        out: the folder of the ensemble, see `nmt.run.ensemble`.

    Raises:
        UserError: a folder is missing, damaged, or no run folder; or the runs do not fit each other.
    """
    return open_run(expand_home(run) if isinstance(run, str) else run, out=out)


def check_run_or_runs(run: list[Path] | str | None, runs: list[Path] | str | None) -> None:
    """Checks the settings of a command that takes one system, `run=`, or several, `runs=`.

    Raises:
        UserError: there is not exactly one of the two, or `runs=` is no list.
    """
    if isinstance(runs, str) or runs == []:
        raise UserError(f"runs={runs} must be a list of run folders, such as runs=[runs/a,runs/b]")
    if (run is None) == (runs is None):
        raise UserError("name either a run folder, as in run=runs/a, or several, as in runs=[runs/a,runs/b]")


def open_run_or_runs(run: list[Path] | str | None, runs: list[Path] | str | None) -> list[RunFolder]:
    """Opens the system that `run=` names, or each run of `runs=` by itself. Raises as `open_system`."""
    return [open_run(path, key="runs") for path in runs or []] if run is None else [open_system(run)]


def load_corpus(run: RunFolder, data: Component | CorpusChanges) -> Corpus:
    """Loads the selected corpus, or the run's own with the changes.

    Raises:
        UserError: the corpus does not exist, or refuses an argument.
    """
    if isinstance(data, Component):
        corpus: Corpus = data.build()
        return corpus
    changes = data.changed()
    if "path" in changes and "path" not in main_corpus(run.description("corpus"))["arguments"]:
        raise UserError(
            f"data.path={data.path}: the corpus of run={run.path} has no files, because it is generated; select other "
            f"text by data=files data.path={data.path}"
        )
    return run.corpus(**changes)


def asked_pair(run: RunFolder, data: Component | CorpusChanges) -> tuple[str, str]:
    """The codes of the source and the target language of the selected corpus, or of the run's own with the changes."""
    own = language_pair(run.description("corpus"))
    asked = data.arguments if isinstance(data, Component) else data.changed()
    return str(asked.get("source", own[0])), str(asked.get("target", own[1]))


def name_other_corpus(data: Component | CorpusChanges) -> str | None:
    """The name of the selected corpus; None for the run's own, in any of its directions."""
    if isinstance(data, Component):
        return name_corpus(data.description())
    return None if data.path is None else Path(data.path).name


def load_metrics(run: RunFolder, bleu_tokenizer: str | None, *, language: str | None = None) -> Metrics:
    """Loads the metrics with which a run was validated.

    Args:
        bleu_tokenizer: another tokenizer for BLEU; None: the run's own.
        language: another target language, with the tokenizer that suits it; None: the run's own.

    Raises:
        UserError: metrics.json in the run folder is missing or damaged, or the tokenizer cannot be used here.
    """
    from nmt import evaluation

    if language is not None and bleu_tokenizer is None:
        return evaluation.Metrics.for_language(language)
    description = run.description("metrics")
    if language is not None:
        description["arguments"]["language"] = language
    if bleu_tokenizer is not None:
        description["arguments"]["bleu_tokenizer"] = bleu_tokenizer
    try:
        metrics: Metrics = build(description, evaluation)
    except UserError as error:
        if bleu_tokenizer is not None:
            raise
        raise UserError(f"{run.path / 'metrics.json'}: {error}") from None
    return metrics


def describe_search(run: RunFolder, search: Component | SearchChanges) -> Description:
    """Describes the selected search, or the run's own with the changes.

    Raises:
        UserError: search.json in the run folder is missing or damaged, or the search refuses a change.
    """
    if isinstance(search, Component):
        return search.description()
    description = run.description("search")
    changes = search.changed()
    if not changes:
        return description
    with naming_group("search"):
        changed = build(description, searches).changed(**changes)
    return _describe(changed)


def _describe(search: Any) -> Description:
    """The class and the arguments of a search, some of which may be searches themselves."""
    arguments = {field.name: getattr(search, field.name) for field in fields(search)}
    nested = {name: _describe(value) if is_dataclass(value) else value for name, value in arguments.items()}
    return {"class": type(search).__name__, "arguments": nested}


def load_translator(
    run: RunFolder,
    search: Description,
    *,
    device: str,
    batch_tokens: int | None,
    heads_off: Sequence[str] = (),
    to: str | None = None,
    engine: ExportedEngine | None = None,
    precision: str = "fp32",
) -> Translator:
    """Loads the best model of a run, with the described search.

    Args:
        run: the run folder.
        search: from `describe_search`.
        device: auto, cpu or cuda.
        batch_tokens: maximum padded source tokens per batch; None: a number that suits the device.
        heads_off: names of attention heads to silence, see `nmt.models.heads`.
        to: the target language, or the name of another tag; None: that of the run, if it has any.
        engine: searches instead of torch, which still computes attention, in fp32; None: torch.
        precision: number format of the search: fp32; bf16 with torch; int8 with the engine.

    Raises:
        UserError: the search refuses an argument, the folder is damaged, there is no such device, head or tag, or the
            engine has another model.
    """
    if engine is not None and heads_off:
        raise UserError("engine=ctranslate2 translates with all heads: leave heads_off out, or use engine=torch")
    with naming_group("search"):
        searcher = build(search, searches)
    translator = Translator.load(
        run,
        search=searcher,
        device=device,
        batch_tokens=batch_tokens,
        heads_off=heads_off,
        precision=precision if engine is None else "fp32",
    )
    if to is not None:
        translator.tokenizer = translator.tokenizer.with_source_tag(choose_tag(to, list(translator.tokenizer.tags)))
    if engine is not None:
        from nmt.export.engine import open_search

        translator.search = open_search(
            engine.folder,
            run=run,
            search=searcher,
            tokenizer=translator.tokenizer,
            precision=precision,
        )
    return translator


def choose_tag(to: str, tags: Sequence[str]) -> str:
    """The tag of a language, such as 2de for de, or the tag that is called so.

    Args:
        to: the language or the tag.
        tags: those of the run.

    Raises:
        UserError: there is no such tag.
    """
    for tag in (f"2{to}", to):
        if tag in tags:
            return tag
    if not tags:
        raise UserError(f"to={to}: the run was trained in one direction, without tags: leave to out")
    raise UserError(
        f"to={to}: the run has no such language; choose one of {', '.join(tag.removeprefix('2') for tag in tags)}"
    )
