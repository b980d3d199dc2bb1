"""The history of a run: one record for each training loss and validation, for programs and for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.files import append, flush, write_text, writing
from nmt.run.history import read_lines

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class History:
    """Appends each record to history.jsonl and, on request, to TensorBoard. Call `start` first.

    Args:
        path: history.jsonl; None writes nothing, for processes other than the main one.
        tensorboard: folder of TensorBoard's event files; None writes none.
    """

    def __init__(self, path: Path | None, *, tensorboard: Path | None) -> None:
        self.path = path
        self.tensorboard = tensorboard
        self.num_records = 0
        self._writer: SummaryWriter | None = None

    def start(self, *, num_records: int, last_step: int) -> None:
        """Opens the files. Records behind those of the checkpoint are removed, because they will be written again.

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
        if self.tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            with writing(self.tensorboard):
                self._writer = SummaryWriter(str(self.tensorboard), purge_step=last_step + 1 if last_step else None)

    def record(self, record: dict[str, Any]) -> None:
        """Adds a record; it is in the file when this returns.

        Raises:
            Failure: the system refuses to write.
        """
        if self.path is not None:
            append(self.path, json.dumps(record) + "\n")
        self.num_records += 1
        if self._writer is not None:
            assert self.tensorboard is not None
            with writing(self.tensorboard):
                for name, value in record.items():
                    if isinstance(value, float):
                        self._writer.add_scalar(f"{record['kind']}/{name}", value, record["step"])

    def flush(self) -> None:
        """Waits until the records are on the disk, before a checkpoint is written that counts on them."""
        if self.path is not None:
            flush(self.path)

    def close(self) -> None:
        """Closes TensorBoard's file."""
        if self._writer is not None:
            assert self.tensorboard is not None
            with writing(self.tensorboard):
                self._writer.close()
