"""Prefetching: results in order, computed by one thread, which ends with the generator."""

import threading

import pytest

from nmt.data.loader import prefetch


def test_results_come_in_the_order_of_the_items() -> None:
    squares = list(prefetch(lambda number: number * number, range(50), count=3))
    assert squares == [number * number for number in range(50)]
    assert list(prefetch(str, [], count=3)) == []


def test_a_thread_computes_at_most_count_items_in_advance() -> None:
    calls: list[tuple[int, str]] = []
    started = threading.Semaphore(0)

    def function(number: int) -> int:
        calls.append((number, threading.current_thread().name))
        started.release()
        return number

    results = prefetch(function, range(100), count=3)
    assert not calls  # nothing was requested yet
    for requested in range(1, 20):
        assert next(results) == requested - 1
        for _ in range(4 if requested == 1 else 1):
            assert started.acquire(timeout=30)
        assert [number for number, _ in calls] == list(range(requested + 3))
    assert threading.current_thread().name not in {name for _, name in calls}
    assert len({name for _, name in calls}) == 1


def test_an_error_is_raised_at_its_item_and_ends_the_thread() -> None:
    def function(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number

    before = threading.active_count()
    results = prefetch(function, range(100), count=3)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match=r"^five$"):
        next(results)
    assert threading.active_count() == before
    assert list(results) == []


@pytest.mark.parametrize("ending", ["close", "garbage collection", "exhaustion", "interruption"])
def test_the_thread_ends_with_the_generator(ending: str) -> None:
    before = threading.active_count()
    computed: list[int] = []

    def function(number: int) -> int:
        computed.append(number)
        return number

    results = prefetch(function, range(20 if ending == "exhaustion" else 10_000), count=3)
    assert next(results) == 0
    assert threading.active_count() == before + 1
    if ending == "close":
        results.close()
    elif ending == "exhaustion":
        assert len(list(results)) == 19
    elif ending == "interruption":
        with pytest.raises(KeyboardInterrupt):
            results.throw(KeyboardInterrupt)
    del results
    assert threading.active_count() == before
    assert len(computed) <= (20 if ending == "exhaustion" else 4)
