"""Updates whose results are read later, and what happens to those that are not finite."""

from __future__ import annotations

import time
from collections import deque

from nmt.errors import Failure
from nmt.training.checkpoint import Progress
from nmt.training.nonfinite import save_nonfinite_update
from nmt.training.parts import TrainingParts
from nmt.training.update import PendingUpdate

MAX_PENDING_UPDATES = {"cpu": 0, "cuda": 1}
"""Number of updates whose result may be unread when the next one starts, by device; with 1 a GPU never idles."""


class PendingUpdates:
    """The updates whose results have not been read yet, oldest first.

    Args:
        parts: of the run.
        skip_nonfinite: maximum number of updates in a row that may be skipped because they are not finite.
    """

    def __init__(self, parts: TrainingParts, *, skip_nonfinite: int) -> None:
        self.parts = parts
        self.skip_nonfinite = skip_nonfinite
        self.updates: deque[tuple[int, PendingUpdate]] = deque()  # each with its epoch

    def add(self, update: PendingUpdate, progress: Progress) -> None:
        """Adds the newest update, and reads the results of earlier ones as `read_all` does."""
        self.updates.append((progress.epoch, update))
        self._read(progress, max_pending=MAX_PENDING_UPDATES[self.parts.model.device.type])

    def read_all(self, progress: Progress) -> None:
        """Waits for the results of all updates, and adds them to the loss meter; the wait counts as their time.

        Raises:
            Failure: more than `skip_nonfinite` updates in a row were not finite, and therefore not applied.
        """
        if self.updates:
            start = time.monotonic()
            self._read(progress, max_pending=0)
            progress.loss_meter.seconds += time.monotonic() - start

    def _read(self, progress: Progress, *, max_pending: int) -> None:
        """Reads the results of all updates but the last `max_pending`."""
        parts = self.parts
        while len(self.updates) > max_pending:
            epoch, update = self.updates.popleft()
            result = update.result()
            if result.applied:
                progress.skipped_in_a_row = 0
                num_tokens = sum(batch.num_tokens for batch in update.batches)
                progress.loss_meter.add(nll=result.nll, num_tokens=num_tokens, gradient_norm=result.gradient_norm)
                continue
            progress.skipped_in_a_row += 1
            report = save_nonfinite_update(
                parts.run_folder.path,
                update,
                result,
                epoch=epoch,
                tokenizer=parts.train_loader.tokenizer,
                processes=parts.processes,
            )
            if progress.skipped_in_a_row > self.skip_nonfinite:
                raise Failure(f"{report}. A lower schedule.learning_rate may help, or trainer.skip_nonfinite=K")
            parts.bar.print(f"{report}; the update is skipped ({progress.skipped_in_a_row} in a row)")
