"""What a comparison reads of each run folder, checked: model.json, history.jsonl and evaluation/<split>.*."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.errors import UserError
from nmt.files import read_json, read_text
from nmt.report.curves import History, read_history
from nmt.run.registry import FORMAT

METRIC_KEYS = ("bleu", "chrf", "ter", "bleu_lowercase_tokenized")

_MODEL = {"class": str, "arguments": dict, "parameters": int}
_EVALUATION = {
    "source": str,
    "target": str,
    "sentences": int,
    "step": int,
    "metrics": {key: {"name": str, "score": float, "signature": str} for key in METRIC_KEYS},
    "bleu_by_length": [{"from": int, "to": (int, None), "sentences": int, "bleu": float}],
    "search": {"class": str, "arguments": dict},
    "seconds": float,
    "sentences_per_second": float,
    "device": str,
    "threads": int,
    "samples": [
        {
            "index": int,
            "source": str,
            "reference": str,
            "hypothesis": str,
            "score": float,
            "source_tokens": [str],
            "target_tokens": [str],
            "attention": ([[float]], None),
        }
    ],
}
"""What the two files hold, as far as a report reads them: a kind, a list of one, names with theirs, or alternatives."""

_LARGEST = 2**53  # of a number: beyond it none of ours counts or measures anything


@dataclass(frozen=True)
class EvaluatedRun:
    """A run folder with an evaluation of one split."""

    name: str
    folder: Path
    model: dict[str, Any]
    """model.json: class, arguments, parameters."""
    history: History
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
        model=_read_checked(folder / "model.json", _MODEL),
        history=read_history(folder / "history.jsonl"),
        evaluation=_read_checked(files[0], _EVALUATION),
        hypotheses=_read_lines(files[1]),
        references=_read_lines(files[2]),
    )
    again = f"call `nmt evaluate run={folder} split={split}` again"
    if len(run.hypotheses) != len(run.references) or len(run.references) != run.evaluation["sentences"]:
        raise UserError(
            f"{files[0]} tells of {run.evaluation['sentences']:,} sentences, but beside it lie "
            f"{len(run.hypotheses):,} hypotheses and {len(run.references):,} references: {again}"
        )
    if not run.evaluation["bleu_by_length"]:
        raise UserError(f"{files[0]} is damaged: bleu_by_length is empty")
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


def _read_checked(path: Path, kind: Any) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it is no object with names")
    if type(value.get("format", FORMAT)) is not int:
        raise UserError(f"{path} is damaged: it names no format")
    if value.get("format", FORMAT) > FORMAT:
        raise UserError(f"{path} has format {value['format']}, newer than this program's {FORMAT}: update nmt")
    if (wrong := _unlike(value, kind)) is not None:
        raise UserError(f"{path} is damaged: {wrong}")
    checked: dict[str, Any] = value
    return checked


def _unlike(value: Any, kind: Any, name: str = "") -> str | None:
    """What about a JSON value is not of its kind; None where all is."""
    if isinstance(kind, tuple):
        return None if any(_unlike(value, one, name) is None for one in kind) else f"{name} is of the wrong kind"
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            return f"{name} is of the wrong kind"
        if missing := [key for key in kind if key not in value]:
            return f"{name or 'it'} has no {', '.join(missing)}"
        inner = ((value[key], one, f"{name}.{key}".lstrip(".")) for key, one in kind.items())
        return next((wrong for item in inner if (wrong := _unlike(*item)) is not None), None)
    if isinstance(kind, list):
        if not isinstance(value, list):
            return f"{name} is of the wrong kind"
        return next((wrong for item in value if (wrong := _unlike(item, kind[0], name)) is not None), None)
    if kind in (int, float):
        numbers = (int, float) if kind is float else (int,)
        return None if type(value) in numbers and abs(value) < _LARGEST else f"{name} is no such number"
    right = value is None if kind is None else isinstance(value, kind)
    return None if right else f"{name} is of the wrong kind"


def _read_lines(path: Path) -> list[str]:
    """The lines of a file; only "\n" ends one: a sentence may hold what other programs take for a line end."""
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []
