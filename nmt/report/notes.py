"""Remarks on what makes the figures of a comparison less comparable than they look."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from nmt.report.formatting import format_call, isolate
from nmt.report.record import Decoding, System, Training


def note_differences(systems: Sequence[System]) -> list[str]:
    """Remarks on what makes the figures of the systems less comparable than they look, in one or two sentences each."""
    decoded = [(system.name, system.decoding) for system in systems if system.decoding is not None]

    def differ_in(value: Callable[[Decoding], Any]) -> bool:
        return len({json.dumps(msgspec.to_builtins(value(decoding)), sort_keys=True) for _, decoding in decoded}) > 1

    notes = [
        f"{isolate(system.name)} is an ensemble of {system.num_runs} runs: compare it with other ensembles."
        for system in systems
        if system.num_runs > 1
    ]
    notes += _note_training(systems)
    signatures = [(key, metric.signature) for each in systems for key, metric in each.metrics.known().items()]
    if len(set(signatures)) > len({key for key, _ in signatures}):
        notes.append(
            "The systems were scored with different signatures (see below): evaluate them again before comparing."
        )
    if differ_in(lambda decoding: decoding.search):
        searches = "; ".join(
            f"{isolate(name)}: {format_call(decoding.search.class_name, decoding.search.arguments)}"
            for name, decoding in decoded
        )
        notes.append(f"The systems were decoded with different searches, which may explain a difference. {searches}.")
    if differ_in(lambda decoding: [decoding.device, decoding.threads]):
        notes.append("The systems were decoded on different devices: their decoding speeds cannot be compared.")
    if differ_in(lambda decoding: decoding.precision):
        formats = "; ".join(f"{isolate(name)}: {decoding.precision}" for name, decoding in decoded)
        notes.append(f"The systems were decoded in different number formats. {formats}.")
    return notes


def _note_training(systems: Sequence[System]) -> list[str]:
    """Remarks on systems whose training was cut short, so that more training may change the result."""
    groups: list[tuple[str, str, Callable[[Training], bool]]] = [
        (
            "whose training has not ended, or was interrupted",
            "Their scores are those of the best weights so far.",
            lambda training: not training.has_ended,
        ),
        (
            "that stopped by time (max_minutes)",
            "A faster or less busy machine trains them for more steps.",
            lambda training: training.stopped_by_time,
        ),
        (
            "that were still improving (the last validation was the best, and the learning rate was high)",
            "More training may raise their scores.",
            lambda training: training.was_improving,
        ),
    ]
    notes = []
    for group, consequence, belongs in groups:
        names = [isolate(system.name) for system in systems if system.training is not None and belongs(system.training)]
        if names:
            notes.append(f"Systems {group}: {', '.join(names)}. {consequence}")
    return notes
