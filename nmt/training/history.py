"""What happened in a run: records for programs and TensorBoard, lines for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.files import append, flush, write_text, writing
from nmt.run.history import read_lines

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class History:
    """Appends each record to history.jsonl as it comes, and to TensorBoard if asked for.

    Args:
        path: history.jsonl; None = records go nowhere, as in a process that does not write.
        tensorboard: the folder for event files; None = none are written.
        records: how many there were at the checkpoint that a resumed run goes on from; those behind them are dropped,
            for they will be made again. 0 for a new run.
        last_step: of that checkpoint.
    """

    def __init__(self, path: Path | None, *, tensorboard: Path | None, records: int, last_step: int) -> None:
        self.path = path
        self.records = 0
        if path is not None:
            kept = read_lines(path)[:records] if path.exists() else []
            write_text(path, "".join(line + "\n" for line in kept))
            self.records = len(kept)
        self._writer: SummaryWriter | None = None
        if tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            with writing(tensorboard):
                self._writer = SummaryWriter(str(tensorboard), purge_step=last_step + 1 if last_step else None)
            self._tensorboard = tensorboard

    def record(self, record: dict[str, Any]) -> None:
        """Adds one record; it is in the file when this returns. Raises `Failure` if the system refuses to write."""
        if self.path is not None:
            append(self.path, json.dumps(record) + "\n")
        self.records += 1
        if self._writer is not None:
            with writing(self._tensorboard):
                for name, value in record.items():
                    if isinstance(value, float):
                        self._writer.add_scalar(f"{record['kind']}/{name}", value, record["step"])

    def flush(self) -> None:
        """Returns when the records are on the disk, where a checkpoint that comes after them relies on them."""
        if self.path is not None:
            flush(self.path)

    def close(self) -> None:
        """Ends TensorBoard's file."""
        if self._writer is not None:
            with writing(self._tensorboard):
                self._writer.close()
