"""Whether a stored evaluation still holds: model, search, text and metrics must be those that it was made with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.errors import UserError
from nmt.evaluation.metrics import Metrics
from nmt.evaluation.record import Evaluation, compute_checksum, list_files, read_evaluation
from nmt.files import read_bytes, reading
from nmt.run import RunFolder
from nmt.run.registry import Description

if TYPE_CHECKING:
    from datasets import Dataset

MAX_NAMED_HEADS = 8
"""Maximum number of heads whose names make the name of a folder; a file name has 255 bytes at most."""


@dataclass(frozen=True)
class EvaluationInputs:
    """Everything that the result of an evaluation depends on.

    Attributes:
        step: the training step of the weights.
        model_hash: from `nmt.run.model_hash`.
        search: description of the search.
        text_hash: from `hash_text`; None if the text cannot be read, so that it is not compared.
        links_hash: from `hash_links`; not compared either then.
        signatures: sacreBLEU's signature of each metric, by its key; empty if they need not be compared.
        heads_off: names of the attention heads that are silenced, sorted.
        precision: number format of the model that translates: fp32, bf16 or int8.
        direction: such as "de-en", if it is not the one in which the run was validated; else None.
        other_corpus: the name of the corpus, if it is not the run's own; else None. It is recorded, but not compared,
            since the same text in another place has the same result.
    """

    step: int
    model_hash: str
    search: Description
    text_hash: str | None
    links_hash: str | None
    signatures: dict[str, str]
    heads_off: list[str]
    precision: str
    direction: str | None
    other_corpus: str | None

    def folder(self, run: RunFolder) -> Path:
        """The folder of such evaluations of a run."""
        return evaluation_folder(run, self.heads_off, direction=self.direction)


def hash_text(sources: Sequence[str], *references: Sequence[str], source: str, target: str) -> str:
    """SHA-256 of the sentences of a split, of their references and of the codes of their languages."""
    return hashlib.sha256(json.dumps([source, target, list(sources), *map(list, references)]).encode()).hexdigest()


def hash_links(pairs: Dataset) -> str | None:
    """SHA-256 of the gold links of a split; None without such links."""
    if "alignment" not in pairs.column_names:
        return None
    return hashlib.sha256("\n".join(pairs["alignment"]).encode()).hexdigest()


def metric_signatures(metrics: Metrics, *references: Sequence[str]) -> dict[str, str]:
    """The signature of each metric on these references, as an evaluation records it."""
    return {key: metric.signature for key, metric in metrics.score(references[0], *references).items()}


def evaluation_folder(run: RunFolder, heads_off: Sequence[str], *, direction: str | None = None) -> Path:
    """The folder of evaluations. Inside, each further direction of a run has a folder of its own: de-en.

    So has a run without some heads, which is another model.
    """
    folder = run.path / "evaluation"
    if direction is not None:
        folder /= direction
    if not heads_off:
        return folder
    name = "+".join(heads_off)
    if len(heads_off) > MAX_NAMED_HEADS:
        name = f"{len(heads_off)}-heads-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return folder / "heads_off" / name


def read_stored(
    run: RunFolder, split: str, heads_off: Sequence[str], *, direction: str | None = None
) -> Evaluation | None:
    """Reads the stored evaluation of a split, made in this direction and without some heads; None if there is none.

    Raises:
        UserError: the files are damaged, incomplete, of another split, or do not belong together.
    """
    path = evaluation_folder(run, heads_off, direction=direction) / f"{split}.json"
    with reading(f"split={split}"):  # a split may be no file name, such as one that is too long
        if not path.exists():
            return None
    evaluation = read_evaluation(path)
    if evaluation.split != split:
        raise UserError(f"{path} is an evaluation of {evaluation.split[:80]}")
    if evaluation.heads_off != heads_off:
        raise UserError(f"{path} is an evaluation without other heads")
    files = list_files(path.parent, split)
    if missing := [file for file in files if not file.is_file()]:
        raise UserError(f"{missing[0]} is missing")
    if evaluation.checksum != compute_checksum(evaluation, [read_bytes(file) for file in files]):
        raise UserError(f"{path} or a file beside it has been changed")
    return evaluation


def list_changes(stored: Evaluation, inputs: EvaluationInputs) -> list[str]:
    """What has changed since an evaluation was stored, in words; empty if it still holds."""
    changes = []
    if stored.step != inputs.step:
        changes.append(f"weights of step {inputs.step} instead of {stored.step}")
    elif stored.model_hash != inputs.model_hash:
        changes.append(f"another model of the same step {inputs.step}")
    if stored.precision != inputs.precision:
        changes.append(f"precision={inputs.precision} instead of {stored.precision}")
    changes += _list_search_changes({"class": stored.search.class_name, "arguments": stored.search.arguments}, inputs)
    if inputs.text_hash is not None and stored.text_hash != inputs.text_hash:
        changes.append("other text")
    if inputs.text_hash is not None and stored.links_hash != inputs.links_hash:
        changes.append("other gold links")
    for key, signature in inputs.signatures.items():
        old = stored.metrics.known().get(key)
        if old is None:
            changes.append(f"{key}, which is missing")
        elif old.signature != signature:
            changes.append(f"{key} with {_first_difference(old.signature, signature)}")
    return changes


def _list_search_changes(stored: Description, inputs: EvaluationInputs) -> list[str]:
    """The arguments that differ between two searches, or the classes if these differ."""
    if stored["class"] != inputs.search["class"]:
        return [f"{inputs.search['class']} instead of {stored['class']}"]
    old, new = stored["arguments"], inputs.search.get("arguments", {})
    return [
        f"search.{name}={new.get(name, 'default')} instead of {old.get(name, 'default')}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _first_difference(old: str, new: str) -> str:
    """The first part that differs between two signatures, such as "tok:zh instead of tok:13a"."""
    pairs = zip(old.split("|"), new.split("|"), strict=False)
    return next((f"{b} instead of {a}" for a, b in pairs if a != b), f"{new} instead of {old}")
