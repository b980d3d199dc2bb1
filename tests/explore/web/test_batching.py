"""The queue: what is computed together, what happens to bad requests, and where it ends."""

import threading
from collections.abc import Iterator

import pytest

from nmt.explore.batching import MAX_BATCH_LINES, BatchingQueue, QueueFullError


class Shouting:
    """A computation that returns its lines in capital letters, once it may begin.

    Attributes:
        batches: the lines of each call.
        may_begin: what each call waits for.
    """

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.has_begun = threading.Event()
        self.may_begin = threading.Event()

    def __call__(self, lines: list[str]) -> list[str]:
        self.batches.append(lines)
        self.has_begun.set()
        assert self.may_begin.wait(10)
        if "bad" in lines:
            raise ValueError("bad")
        return [line.upper() for line in lines]


@pytest.fixture
def queue() -> Iterator[BatchingQueue]:
    """A queue for six waiting requests, which runs."""
    queue = BatchingQueue(max_waiting=6)
    queue.start()
    yield queue
    queue.close()


@pytest.fixture
def shout(queue: BatchingQueue) -> Shouting:
    """A computation that the queue has begun with the line "first", and cannot end yet."""
    shout = Shouting()
    queue.submit(shout, ["first"], key="shout")
    assert shout.has_begun.wait(10)
    return shout


def test_waiting_requests_with_the_same_key_are_one_batch(queue: BatchingQueue, shout: Shouting) -> None:
    one, two = queue.submit(shout, ["a"], key="shout"), queue.submit(shout, ["b", "c"], key="shout")
    other = queue.submit(shout, ["d"], key="other")
    last = queue.submit(shout, ["e"], key="shout")
    shout.may_begin.set()
    assert [future.result(10) for future in (one, two, other, last)] == [["A"], ["B", "C"], ["D"], ["E"]]
    assert shout.batches == [["first"], ["a", "b", "c", "e"], ["d"]]


def test_a_batch_has_a_limit(queue: BatchingQueue, shout: Shouting) -> None:
    long = ["x"] * (MAX_BATCH_LINES - 1)
    futures = [queue.submit(shout, lines, key="shout") for lines in (["a"], long, ["b"])]
    shout.may_begin.set()
    assert [len(future.result(10)) for future in futures] == [1, MAX_BATCH_LINES - 1, 1]
    assert [len(batch) for batch in shout.batches] == [1, MAX_BATCH_LINES, 1]


def test_one_bad_request_does_not_affect_the_others_of_its_batch(queue: BatchingQueue, shout: Shouting) -> None:
    lines = ["a", "bad", "c"]
    futures = [queue.submit(shout, [line], key="shout") for line in lines]
    shout.may_begin.set()
    assert (futures[0].result(10), futures[2].result(10)) == (["A"], ["C"])
    with pytest.raises(ValueError, match="bad"):
        futures[1].result(10)
    assert queue.submit_alone(lambda: 7).result(10) == [7]  # the thread goes on


def test_a_full_queue_refuses_until_there_is_room(queue: BatchingQueue, shout: Shouting) -> None:
    waiting = [queue.submit(shout, ["a"], key=number) for number in range(6)]
    with pytest.raises(QueueFullError):
        queue.submit(shout, ["b"], key="shout")
    assert waiting[2].cancel()  # its client has gone
    queue.submit(shout, ["c"], key="shout")
    shout.may_begin.set()
    assert [future.result(10) for future in waiting if not future.cancelled()] == [["A"]] * 5


def test_a_cancelled_request_is_not_computed(queue: BatchingQueue, shout: Shouting) -> None:
    gone, stays = queue.submit(shout, ["gone"], key="shout"), queue.submit(shout, ["stays"], key="shout")
    alone = queue.submit_alone(lambda: shout.batches.append(["alone"]))
    assert gone.cancel() and alone.cancel()
    shout.may_begin.set()
    assert stays.result(10) == ["STAYS"]
    assert shout.batches == [["first"], ["stays"]]


def test_closing_computes_what_waits() -> None:
    queue, shout = BatchingQueue(max_waiting=6), Shouting()
    shout.may_begin.set()
    futures = [queue.submit(shout, [line], key=line) for line in "ab"]
    queue.start()
    queue.close()
    assert [future.result(0) for future in futures] == [["A"], ["B"]]
