"""A bounded queue of requests, and the thread that computes them: those that fit together become one batch.

A model translates a batch of sentences in little more time than one sentence, but each client sends its own. While the
thread computes, further requests wait; then it takes the first one together with all that ask for the same computation
on other lines. No request ever waits for a batch to fill, so a single client is served without delay.

Only this thread uses torch. The event loop stays free, and two requests never compete for the same cores.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

MAX_WAITING = 128
"""Requests that may wait. More would wait longer than a reader has patience, and a client may try again."""

MAX_BATCH_LINES = 64
"""Lines of several requests that are computed together. The first request of a batch waits for all of them."""

CLOSE_SECONDS = 5
"""How long the end waits for the thread. A server ends when all requests are answered, or their clients have gone; then
only a computation is left whose result nobody receives."""

Result = TypeVar("Result")


class QueueFullError(Exception):
    """`MAX_WAITING` requests are waiting: try again later."""


@dataclass(frozen=True)
class Job:
    """One request that waits.

    Attributes:
        key: jobs with the same key have the same `compute`, and may be put together.
        lines: the input.
        compute: returns one result for each of any number of lines.
        future: receives the results of `lines`.
    """

    key: Hashable
    lines: Sequence[str]
    compute: Callable[[list[str]], Sequence[Any]]
    future: Future[list[Any]]


class BatchingQueue:
    """Computes requests in a thread of its own, which `start` starts and `close` ends.

    Args:
        max_waiting: number of requests that may wait.
    """

    def __init__(self, *, max_waiting: int = MAX_WAITING) -> None:
        self.max_waiting = max_waiting
        self._waiting: deque[Job] = deque()
        self._is_closed = False
        self._changed = threading.Condition()  # guards the two attributes above
        # Not waited for at the end of the process, so that a second Ctrl-C ends it at once.
        self._thread = threading.Thread(target=self._work, name="batching queue", daemon=True)

    def start(self) -> None:
        """Starts to compute."""
        self._thread.start()

    def close(self) -> None:
        """Computes what still waits, and ends the thread; waits for that for at most `CLOSE_SECONDS`."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(CLOSE_SECONDS)

    def submit(
        self, compute: Callable[[list[str]], Sequence[Result]], lines: Sequence[str], *, key: Hashable
    ) -> Future[list[Result]]:
        """Adds a request; other requests with the same key may be computed with it.

        Args:
            compute: returns one result for each line; called in the thread, with the lines of several requests.
            lines: of this request.
            key: equal for requests whose `compute` does the same.

        Returns:
            The future results of `lines`, or the error of `compute`. Cancelling it removes a request that still waits.

        Raises:
            QueueFullError: too many requests are waiting.
        """
        job = Job(key, lines, compute, Future())
        with self._changed:
            # Clients that have gone no longer count.
            self._waiting = deque(job for job in self._waiting if not job.future.cancelled())
            if len(self._waiting) >= self.max_waiting:
                raise QueueFullError
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def submit_alone(self, compute: Callable[[], Result]) -> Future[list[Result]]:
        """Adds a request that is computed by itself; the future's list has one result. Raises as `submit`."""
        return self.submit(lambda lines: [compute()], [""], key=object())

    def _work(self) -> None:
        """Computes batch after batch until the queue is closed and empty."""
        while (batch := self._next_batch()) is not None:
            run_jobs([job for job in batch if job.future.set_running_or_notify_cancel()])

    def _next_batch(self) -> list[Job] | None:
        """Waits for a job, and removes it and those that fit to it; None if there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if not self._waiting:
                return None
            batch = [self._waiting.popleft()]
            num_lines = len(batch[0].lines)
            others: deque[Job] = deque()
            for job in self._waiting:
                if job.key == batch[0].key and num_lines + len(job.lines) <= MAX_BATCH_LINES:
                    batch.append(job)
                    num_lines += len(job.lines)
                else:
                    others.append(job)
            self._waiting = others
            return batch


def run_jobs(jobs: Sequence[Job]) -> None:
    """Computes jobs with the same key together. If this fails, computes each alone, so that only the bad ones fail."""
    if not jobs:
        return
    try:
        results = iter(jobs[0].compute([line for job in jobs for line in job.lines]))
    except Exception as error:
        if len(jobs) == 1:
            jobs[0].future.set_exception(error)
        else:
            for job in jobs:
                run_jobs([job])
        return
    for job in jobs:
        job.future.set_result(list(islice(results, len(job.lines))))
