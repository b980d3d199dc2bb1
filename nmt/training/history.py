"""The history of a run: one record for each training loss and validation, for programs and for a tracker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nmt.files import append, flush, write_text
from nmt.run.history import read_lines
from nmt.training.trackers import Tracking


class History:
    """Appends each record to history.jsonl, and passes it on to a tracker. Call `start` first.

    Args:
        path: history.jsonl; None writes nothing, for processes other than the main one.
        tracking: the run in a tracker such as TensorBoard; None: there is no tracker.
    """

    def __init__(self, path: Path | None, *, tracking: Tracking | None) -> None:
        self.path = path
        self.tracking = tracking
        self.num_records = 0

    def start(self, *, num_records: int, last_step: int) -> None:
        """Opens the file. Records behind those of the checkpoint are removed, because they will be written again.

        Args:
            num_records: number of records when the checkpoint was written; 0 for a new run.
            last_step: step of the checkpoint; 0 for a new run.

        Raises:
            Failure: the system refuses to write.
        """
        if self.path is not None:
            kept = [line for line in read_lines(self.path)[:num_records] if line] if self.path.exists() else []
            write_text(self.path, "".join(line + "\n" for line in kept))
            self.num_records = len(kept)
        if self.tracking is not None:
            self.tracking.start(last_step=last_step)

    def record(self, record: dict[str, Any]) -> None:
        """Adds a record; it is in the file when this returns.

        Raises:
            Failure: the system refuses to write.
        """
        if self.path is not None:
            append(self.path, json.dumps(record) + "\n")
        self.num_records += 1
        if self.tracking is not None:
            self.tracking.record(record)

    def flush(self) -> None:
        """Waits until the records are on the disk, before a checkpoint is written that counts on them."""
        if self.path is not None:
            flush(self.path)

    def close(self) -> None:
        """Ends the run in the tracker."""
        if self.tracking is not None:
            self.tracking.close()
