"""Reads and checks what a comparison needs: evaluated run folders, and files of translations by other programs.

Of a run folder these are model.json, config.yaml, history.jsonl and evaluation/SPLIT.*. An ensemble has ensemble.json
in place of the first three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt.errors import UserError
from nmt.evaluation import Metrics
from nmt.evaluation.attention_file import SentenceAttention, read_attention
from nmt.evaluation.pronouns import PronounScores
from nmt.evaluation.record import (
    AlignmentQuality,
    Evaluation,
    MetricScores,
    find_pronouns,
    is_same_system,
    list_files,
    read_evaluation,
)
from nmt.evaluation.sentence_file import read_lines, read_sentences
from nmt.files import read_text, reading
from nmt.report.names import name_systems
from nmt.run.ensemble import StoredEnsemble
from nmt.run.folder import ENSEMBLE_FILE
from nmt.run.format import read_versioned
from nmt.run.history import NO_HISTORY, RunHistory, read_history
from nmt.run.registry import StoredModel

METRIC_KEYS = MetricScores.__struct_fields__

TEST_SPLITS = "test*.json"
"""The evaluations of splits that neither training nor the selection of weights has seen."""


@dataclass(frozen=True, kw_only=True)
class ComparedSystem:
    """A system of a comparison, with its translations of one split: an evaluated run, or another program.

    Attributes:
        name: in the report; unique.
        path: its run folder, or the file of its translations.
        sources: each sentence of the split.
        hypotheses: its translation.
        references: its reference.
        further_references: of every sentence, see `Evaluation`.
        metrics: BLEU, chrF and TER.
        attention: between the words of source and translation; None for a translation without attention.
    """

    name: str
    path: Path
    sources: list[str]
    hypotheses: list[str]
    references: list[str]
    further_references: list[list[str]]
    metrics: MetricScores
    attention: list[SentenceAttention | None]

    @property
    def all_references(self) -> list[list[str]]:
        """The reference of every sentence, then the further ones."""
        return [self.references, *self.further_references]

    @property
    def alignment(self) -> AlignmentQuality | None:
        """How well attention aligns words; None if that was not measured."""
        return None

    @property
    def pronouns(self) -> PronounScores | None:
        """How pronouns were translated; None if that was not measured."""
        return None


@dataclass(frozen=True, kw_only=True)
class EvaluatedRun(ComparedSystem):
    """A run folder with an evaluation of one split.

    Attributes:
        direction: such as "de-en", see `read_systems`.
        num_runs: number of runs whose models translated together: 1, or the members of an ensemble.
        config: the text of config.yaml; empty if the folder has none.
        pronoun_evaluation: the one with pronouns, see `find_pronouns`; None if there is none.
    """

    direction: str | None
    model: StoredModel
    num_runs: int
    config: str
    history: RunHistory
    evaluation: Evaluation
    pronoun_evaluation: Evaluation | None

    @property
    def alignment(self) -> AlignmentQuality | None:
        """How well attention aligns words; None if the split has no gold links."""
        return self.evaluation.alignment

    @property
    def pronouns(self) -> PronounScores | None:
        """How pronouns were translated; None if that is not known."""
        return None if self.pronoun_evaluation is None else self.pronoun_evaluation.pronouns


def read_systems(
    paths: Sequence[Path], *, names: Sequence[str], split: str, direction: str | None
) -> list[ComparedSystem]:
    """Reads the systems of a comparison, in the given order.

    Args:
        paths: run folders with an evaluation of `split`, and files with the translations of other programs: UTF-8 text
            with one line for each sentence of the split.
        names: of the systems.
        split: the split of all systems.
        direction: of all systems, such as "de-en", which may be a further one of some runs; None: that of each run's
            validations.

    Raises:
        UserError: there is no run, or a run cannot be used, see `read_runs`; or a file has another number of lines than
            the split has sentences.
    """
    folders = {name: path for name, path in zip(names, paths, strict=True) if not path.is_file()}
    read = _read_runs(list(folders.values()), names=list(folders), split=split, direction=direction)
    runs = {run.name: run for run in read}
    first = read[0]
    return [
        runs[name] if name in runs else _score_translations(path, name=name, like=first)
        for name, path in zip(names, paths, strict=True)
    ]


def read_runs(folders: Sequence[Path], *, split: str) -> list[EvaluatedRun]:
    """Reads the runs in the given order; see `name_systems` for their names.

    Raises:
        UserError: there are no runs; or a run is listed twice, missing, incomplete or not evaluated on `split`; or two
            runs were evaluated on different references.
    """
    return _read_runs(folders, names=name_systems(folders), split=split, direction=None)


def _read_runs(
    folders: Sequence[Path], *, names: Sequence[str], split: str, direction: str | None
) -> list[EvaluatedRun]:
    """Reads runs under the given names, and checks that they were evaluated on the same task."""
    if not folders:
        raise UserError("there is nothing to compare: name the run folders, as in runs=[runs/a,runs/b]")
    named = zip(folders, names, strict=True)
    runs = [_read_run(folder, name=name, split=split, direction=direction) for folder, name in named]
    for run in runs[1:]:
        _check_same_task(runs[0], run, split)
    return runs


def _score_translations(path: Path, *, name: str, like: EvaluatedRun) -> ComparedSystem:
    """Reads and scores the translations of another program.

    Args:
        like: a run, whose sentences the file translates and whose metrics score it.
    """
    task = like.evaluation
    hypotheses = read_sentences(path, num_sentences=len(like.references), split=task.split)
    metrics = Metrics(language=task.target, bleu_tokenizer=task.bleu_tokenizer)
    return ComparedSystem(
        name=name,
        path=path,
        sources=like.sources,
        hypotheses=hypotheses,
        references=like.references,
        further_references=like.further_references,
        metrics=MetricScores(**metrics.score(hypotheses, *like.all_references)),
        attention=[None] * len(hypotheses),
    )


def select_runs(systems: Sequence[ComparedSystem]) -> list[EvaluatedRun]:
    """The systems that are runs, in their order."""
    return [system for system in systems if isinstance(system, EvaluatedRun)]


def read_further_splits(
    systems: Sequence[ComparedSystem], split: str
) -> tuple[dict[str, list[EvaluatedRun]], list[str]]:
    """Reads the other test splits on which all runs were evaluated with the same weights and search as on `split`.

    Returns:
        The runs by the name of the further split, and a remark for each split that is left out. Both are empty if
        `split` is not a test split itself, and if a system is a file, which has the translations of one split only.
    """
    runs = select_runs(systems)
    if len(runs) < len(systems):
        return {}, []
    direction = runs[0].direction
    names = [{path.stem for path in _find_evaluations(run.path, direction).glob(TEST_SPLITS)} for run in runs]
    common = set.intersection(*names)
    further: dict[str, list[EvaluatedRun]] = {}
    remarks = []
    for name in sorted(common - {split}) if split in common else []:
        try:
            paths, own_names = [run.path for run in runs], [run.name for run in runs]
            others = _read_runs(paths, names=own_names, split=name, direction=direction)
            for run, other in zip(runs, others, strict=True):
                if not is_same_system(run.evaluation, other.evaluation):
                    raise UserError(f"{run.path} has changed since: call `nmt evaluate run={run.path} split={name}`")
                if run.evaluation.other_corpus != other.evaluation.other_corpus:
                    raise UserError(f"{run.path} was evaluated there on another corpus")
        except UserError as error:
            remarks.append(f"BLEU by source length leaves {name} out: {error}.")
        else:
            further[name] = others
    return further, remarks


def _find_evaluations(folder: Path, direction: str | None) -> Path:
    """The folder with the evaluations of a run in a direction: a further one has a folder of its own."""
    own = folder / "evaluation"
    return own / direction if direction is not None and (own / direction).is_dir() else own


def _read_run(folder: Path, *, name: str, split: str, direction: str | None) -> EvaluatedRun:
    """Reads one run, see `read_runs`, and checks that its files have the same number of sentences."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name run folders that `nmt train` wrote")
    evaluation = _find_evaluations(folder, direction)
    files = [evaluation / f"{split}.json", *list_files(evaluation, split)]
    with reading(f"split={split}"):
        missing = [file for file in files if not file.is_file()]
    if missing:
        raise UserError(f"{missing[0]} is missing: call `nmt evaluate run={folder} split={split}` first")
    is_ensemble = (folder / ENSEMBLE_FILE).is_file()
    ensemble = read_versioned(folder / ENSEMBLE_FILE, StoredEnsemble) if is_ensemble else None
    config = folder / "config.yaml"
    stored = read_evaluation(files[0])
    run = EvaluatedRun(
        name=name,
        path=folder,
        direction=direction,
        model=read_versioned(folder / "model.json", StoredModel) if ensemble is None else describe_ensemble(ensemble),
        num_runs=1 if ensemble is None else len(ensemble.runs),
        config=read_text(config) if config.is_file() else "",
        history=read_history(folder / "history.jsonl") if ensemble is None else NO_HISTORY,
        evaluation=stored,
        pronoun_evaluation=find_pronouns(evaluation, stored),
        further_references=stored.further_references,
        metrics=stored.metrics,
        sources=read_lines(files[1]),
        hypotheses=read_lines(files[2]),
        references=read_lines(files[3]),
        attention=read_attention(files[4]),
    )
    if any(sample.index >= run.evaluation.sentences for sample in run.evaluation.samples):
        raise UserError(f"{files[0]} is damaged: a sample is no sentence of {split}")
    counts = [len(run.sources), len(run.hypotheses), len(run.references), len(run.attention)]
    for file, count in zip(files[1:], counts, strict=True):
        if count != run.evaluation.sentences:
            raise UserError(
                f"{files[0]} is about {run.evaluation.sentences:,} sentences, but {file.name} has {count:,}: "
                f"call `nmt evaluate run={folder} split={split}` again"
            )
    return run


def describe_ensemble(ensemble: StoredEnsemble) -> StoredModel:
    """An ensemble as if it were a model of one run."""
    return StoredModel(class_name="Ensemble", arguments={"runs": ensemble.runs}, parameters=ensemble.parameters)


def _check_same_task(first: EvaluatedRun, other: EvaluatedRun, split: str) -> None:
    """Raises UserError unless two runs were evaluated on the same references and languages, with the same tokenizer."""
    if first.all_references != other.all_references:
        raise UserError(
            f"{first.path} and {other.path} were evaluated on different references for {split}: "
            "compare runs on the same corpus, or evaluate both again"
        )
    tokenizers = [run.evaluation.bleu_tokenizer for run in (first, other)]
    if tokenizers[0] != tokenizers[1]:
        raise UserError(
            f"{first.path} and {other.path} were scored with different tokenizers, {' and '.join(tokenizers)}: "
            f"call `nmt evaluate run={other.path} split={split} bleu_tokenizer={tokenizers[0]}` first"
        )
    for side in ("source", "target"):
        languages = [getattr(run.evaluation, side) for run in (first, other)]
        if languages[0] != languages[1]:
            raise UserError(
                f"{first.path} and {other.path} have different {side} languages, {' and '.join(languages)}: "
                "compare runs of one direction"
            )
    if first.evaluation.text_hash != other.evaluation.text_hash:
        raise UserError(
            f"{first.path} and {other.path} were evaluated on different source sentences for {split}: "
            "compare runs on the same corpus, or evaluate both again"
        )
