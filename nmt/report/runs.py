"""What a comparison reads of each run folder, checked: model.json, history.jsonl and evaluation/<split>.*."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nmt.errors import UserError
from nmt.evaluation.record import MetricScores, read_evaluation
from nmt.files import read_text
from nmt.run.format import read_versioned
from nmt.run.history import RunHistory, read_history
from nmt.run.registry import StoredModel

METRIC_KEYS = MetricScores.__struct_fields__


@dataclass(frozen=True)
class EvaluatedRun:
    """A run folder with an evaluation of one split."""

    name: str
    folder: Path
    model: dict[str, Any]
    """model.json: class, arguments, parameters."""
    history: RunHistory
    evaluation: dict[str, Any]
    """evaluation/<split>.json."""
    hypotheses: list[str]
    references: list[str]


def read_runs(folders: Sequence[Path], *, split: str) -> list[EvaluatedRun]:
    """Reads the runs in the given order, named as `run_names` says.

    Raises:
        ValueError: no runs; a run that is listed twice, missing, incomplete or not evaluated on `split`; or two runs
            that were evaluated on different references.
    """
    if not folders:
        raise UserError("there is nothing to compare: name the run folders, as in runs=[runs/a,runs/b]")
    names = run_names(folders)
    runs = [_read_run(folder, name=name, split=split) for folder, name in zip(folders, names, strict=True)]
    for run in runs[1:]:
        _check_same_task(runs[0], run, split)
    return runs


def run_names(folders: Sequence[Path]) -> list[str]:
    """What each run is called: its folder's name, with the parent's before it (and so on up) where two are the same.

    Raises:
        ValueError: a folder is listed twice.
    """
    parts = [folder.resolve().parts for folder in folders]
    for i, folder in enumerate(folders):
        if parts[i] in parts[:i]:
            raise UserError(f"{folder} is listed twice: a comparison needs different runs")

    def name(i: int) -> str:
        length = 1
        while any(parts[i][-length:] == other[-length:] for j, other in enumerate(parts) if j != i):
            length += 1
        return "/".join(parts[i][-length:])

    return [name(i) for i in range(len(folders))]


def _read_run(folder: Path, *, name: str, split: str) -> EvaluatedRun:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name run folders that `nmt train` wrote")
    evaluation = folder / "evaluation"
    files = [evaluation / f"{split}{suffix}" for suffix in (".json", ".hyp.txt", ".ref.txt")]
    for file in files:
        if not file.is_file():
            raise UserError(f"{file} is missing: call `nmt evaluate run={folder} split={split}` first")
    run = EvaluatedRun(
        name=name,
        folder=folder,
        model=msgspec.to_builtins(read_versioned(folder / "model.json", StoredModel)),
        history=read_history(folder / "history.jsonl"),
        evaluation=msgspec.to_builtins(read_evaluation(files[0])),
        hypotheses=_read_lines(files[1]),
        references=_read_lines(files[2]),
    )
    again = f"call `nmt evaluate run={folder} split={split}` again"
    if len(run.hypotheses) != len(run.references) or len(run.references) != run.evaluation["sentences"]:
        raise UserError(
            f"{files[0]} tells of {run.evaluation['sentences']:,} sentences, but beside it lie "
            f"{len(run.hypotheses):,} hypotheses and {len(run.references):,} references: {again}"
        )
    return run


def _check_same_task(first: EvaluatedRun, other: EvaluatedRun, split: str) -> None:
    """Scores against different references say nothing about which system is better."""
    if first.references != other.references:
        raise UserError(
            f"{first.folder} and {other.folder} were evaluated on different references for {split}: "
            "compare runs on the same corpus, or evaluate both again"
        )
    for side in ("source", "target"):
        if first.evaluation[side] != other.evaluation[side]:
            raise UserError(
                f"{first.folder} and {other.folder} have different {side} languages, {first.evaluation[side]} and "
                f"{other.evaluation[side]}: compare runs of one direction"
            )


def _read_lines(path: Path) -> list[str]:
    """The lines of a file; only "\n" ends one: a sentence may hold what other programs take for a line end."""
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []
