"""What happened in a run: records for programs and TensorBoard, lines for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.files import write_text

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

            self._writer = SummaryWriter(str(tensorboard), purge_step=last_step + 1 if last_step else None)

    def record(self, record: dict[str, Any]) -> None:
        """Adds one record; it is in the file when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if self._writer is not None:
            for name, value in record.items():
                if isinstance(value, float):
                    self._writer.add_scalar(f"{record['kind']}/{name}", value, record["step"])

    def close(self) -> None:
        """Ends TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()


def _step(line: str) -> float:
    """The step of a record; of a line that a crash cut short, infinity."""
    try:
        step = json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return float("inf")
    return step if isinstance(step, int) else float("inf")
