"""What happened in a run: records for programs and TensorBoard, lines for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.files import append, flush, parse_json, write_text, writing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class History:
    """Appends each record to history.jsonl as it comes, and to TensorBoard if asked for.

    Args:
        path: history.jsonl.
        tensorboard: the folder for event files; None = none are written.
        last_step: of the checkpoint that a resumed run goes on from; records beyond it are dropped, for they will be
            made again. 0 for a new run.
    """

    def __init__(self, path: Path, *, tensorboard: Path | None, last_step: int) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        kept = [line for line in lines if _step(line) <= last_step]
        write_text(path, "".join(line + "\n" for line in kept))
        self._writer: SummaryWriter | None = None
        if tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            with writing(tensorboard):
                self._writer = SummaryWriter(str(tensorboard), purge_step=last_step + 1 if last_step else None)
            self._tensorboard = tensorboard

    def record(self, record: dict[str, Any]) -> None:
        """Adds one record; it is in the file when this returns. Raises `Failure` if the system refuses to write."""
        append(self.path, json.dumps(record) + "\n")
        if self._writer is not None:
            with writing(self._tensorboard):
                for name, value in record.items():
                    if isinstance(value, float):
                        self._writer.add_scalar(f"{record['kind']}/{name}", value, record["step"])

    def flush(self) -> None:
        """Returns when the records are on the disk, where a checkpoint that comes after them relies on them."""
        flush(self.path)

    def close(self) -> None:
        """Ends TensorBoard's file."""
        if self._writer is not None:
            with writing(self._tensorboard):
                self._writer.close()


def _step(line: str) -> float:
    """The step of a record; of a line that a crash cut short, infinity."""
    try:
        step = parse_json(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")
    return step if isinstance(step, int) else float("inf")
