"""Reads and checks the files of a run folder that a comparison needs.

They are model.json, config.yaml, history.jsonl and evaluation/SPLIT.*. An ensemble has ensemble.json in place of the
first three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nmt.errors import UserError
from nmt.evaluation.attention_file import SentenceAttention, read_attention
from nmt.evaluation.pronouns import PronounScores
from nmt.evaluation.record import AlignmentQuality, Evaluation, MetricScores, list_files, read_evaluation
from nmt.files import read_text, reading
from nmt.report.formatting import show_control_characters
from nmt.run.ensemble import StoredEnsemble
from nmt.run.folder import ENSEMBLE_FILE
from nmt.run.format import read_versioned
from nmt.run.history import NO_HISTORY, RunHistory, read_history
from nmt.run.registry import StoredModel

METRIC_KEYS = MetricScores.__struct_fields__

TEST_SPLITS = "test*.json"
"""The evaluations of splits that neither training nor the selection of weights has seen."""

PRONOUN_SPLIT = "pronouns"
"""The split of the built-in corpus whose pairs all have an ambiguous pronoun."""


@dataclass(frozen=True)
class EvaluatedRun:
    """A run folder with an evaluation of one split.

    Attributes:
        name: of the run in the report; unique.
        num_runs: number of runs whose models translated together: 1, or the members of an ensemble.
        config: the text of config.yaml; empty if the folder has none.
        sources: each sentence of the split.
        hypotheses: its translation.
        references: its reference.
        attention: between the words of source and translation; None for a translation without attention.
    """

    name: str
    folder: Path
    model: StoredModel
    num_runs: int
    config: str
    history: RunHistory
    evaluation: Evaluation
    sources: list[str]
    hypotheses: list[str]
    references: list[str]
    attention: list[SentenceAttention | None]

    @property
    def metrics(self) -> MetricScores:
        """BLEU, chrF and TER."""
        return self.evaluation.metrics

    @property
    def alignment(self) -> AlignmentQuality | None:
        """How well attention aligns words; None if the split has no gold links."""
        return self.evaluation.alignment

    @cached_property
    def pronouns(self) -> PronounScores | None:
        """How pronouns were translated, on this split or else on PRONOUN_SPLIT by the same system; None if unknown."""
        path = self.folder / "evaluation" / f"{PRONOUN_SPLIT}.json"
        if self.evaluation.pronouns is not None or not path.is_file():
            return self.evaluation.pronouns
        other = read_evaluation(path)
        return other.pronouns if _is_same_system(self.evaluation, other) else None


def read_runs(folders: Sequence[Path], *, split: str) -> list[EvaluatedRun]:
    """Reads the runs in the given order; see `name_runs` for their names.

    Raises:
        UserError: there are no runs; or a run is listed twice, missing, incomplete or not evaluated on `split`; or two
            runs were evaluated on different references.
    """
    if not folders:
        raise UserError("there is nothing to compare: name the run folders, as in runs=[runs/a,runs/b]")
    names = name_runs(folders)
    runs = [_read_run(folder, name=name, split=split) for folder, name in zip(folders, names, strict=True)]
    for run in runs[1:]:
        _check_same_task(runs[0], run, split)
    return runs


def read_further_splits(runs: Sequence[EvaluatedRun], split: str) -> tuple[dict[str, list[EvaluatedRun]], list[str]]:
    """Reads the other test splits on which all runs were evaluated with the same weights and search as on `split`.

    Returns:
        The runs by the name of the further split, and a remark for each split that is left out. Both are empty if
        `split` is not a test split itself.
    """
    names = [{path.stem for path in (run.folder / "evaluation").glob(TEST_SPLITS)} for run in runs]
    common = set.intersection(*names)
    further: dict[str, list[EvaluatedRun]] = {}
    remarks = []
    for name in sorted(common - {split}) if split in common else []:
        try:
            others = read_runs([run.folder for run in runs], split=name)
            for run, other in zip(runs, others, strict=True):
                if not _is_same_system(run.evaluation, other.evaluation):
                    raise UserError(
                        f"{run.folder} has changed since: call `nmt evaluate run={run.folder} split={name}`"
                    )
        except UserError as error:
            remarks.append(f"BLEU by source length leaves {name} out: {error}.")
        else:
            further[name] = others
    return further, remarks


def _is_same_system(a: Evaluation, b: Evaluation) -> bool:
    """Whether the same weights were evaluated by the same search and metrics."""
    keys = ("step", "model_hash", "search", "bleu_tokenizer", "source", "target", "heads_off")
    return all(getattr(a, key) == getattr(b, key) for key in keys)


def name_runs(folders: Sequence[Path]) -> list[str]:
    """Names each run by the shortest end of its path that no other path has.

    Raises:
        UserError: a folder is listed twice, perhaps by two paths that lead to it.
    """
    paths = [folder.resolve().parts for folder in folders]
    for i, folder in enumerate(folders):
        for j, earlier in enumerate(folders[:i]):
            if paths[i] == paths[j]:
                name = str(folder) if folder == earlier else f"{earlier}, also called {folder},"
                raise UserError(f"{name} is listed twice: name different runs")

    def shortest_unique_end(i: int) -> str:
        length = 1
        while any(paths[i][-length:] == other[-length:] for j, other in enumerate(paths) if j != i):
            length += 1
        return show_control_characters("/".join(paths[i][-length:]))

    return [shortest_unique_end(i) for i in range(len(folders))]


def _read_run(folder: Path, *, name: str, split: str) -> EvaluatedRun:
    """Reads one run, see `read_runs`, and checks that its files have the same number of sentences."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name run folders that `nmt train` wrote")
    evaluation = folder / "evaluation"
    files = [evaluation / f"{split}.json", *list_files(evaluation, split)]
    with reading(f"split={split}"):
        missing = [file for file in files if not file.is_file()]
    if missing:
        raise UserError(f"{missing[0]} is missing: call `nmt evaluate run={folder} split={split}` first")
    is_ensemble = (folder / ENSEMBLE_FILE).is_file()
    ensemble = read_versioned(folder / ENSEMBLE_FILE, StoredEnsemble) if is_ensemble else None
    config = folder / "config.yaml"
    run = EvaluatedRun(
        name=name,
        folder=folder,
        model=read_versioned(folder / "model.json", StoredModel) if ensemble is None else describe_ensemble(ensemble),
        num_runs=1 if ensemble is None else len(ensemble.runs),
        config=read_text(config) if config.is_file() else "",
        history=read_history(folder / "history.jsonl") if ensemble is None else NO_HISTORY,
        evaluation=read_evaluation(files[0]),
        sources=_read_lines(files[1]),
        hypotheses=_read_lines(files[2]),
        references=_read_lines(files[3]),
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
    if first.references != other.references:
        raise UserError(
            f"{first.folder} and {other.folder} were evaluated on different references for {split}: "
            "compare runs on the same corpus, or evaluate both again"
        )
    tokenizers = [run.evaluation.bleu_tokenizer for run in (first, other)]
    if tokenizers[0] != tokenizers[1]:
        raise UserError(
            f"{first.folder} and {other.folder} were scored with different tokenizers, {' and '.join(tokenizers)}: "
            f"call `nmt evaluate run={other.folder} split={split} bleu_tokenizer={tokenizers[0]}` first"
        )
    for side in ("source", "target"):
        languages = [getattr(run.evaluation, side) for run in (first, other)]
        if languages[0] != languages[1]:
            raise UserError(
                f"{first.folder} and {other.folder} have different {side} languages, {' and '.join(languages)}: "
                "compare runs of one direction"
            )
    if first.evaluation.text_hash != other.evaluation.text_hash:
        raise UserError(
            f"{first.folder} and {other.folder} were evaluated on different source sentences for {split}: "
            "compare runs on the same corpus, or evaluate both again"
        )


def _read_lines(path: Path) -> list[str]:
    """The lines of a file. Only "\n" ends a line: a sentence may contain other characters that end lines elsewhere."""
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []
