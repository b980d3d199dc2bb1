"""Signals: the first asks the run to end, the second ends the process."""

import os
import signal
from collections.abc import Iterator

import pytest

from nmt.training.interrupt import WARNING_SIGNALS, Interrupt

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2]


@pytest.fixture
def received() -> Iterator[list[int]]:
    """Collects the signals that would have ended the process."""
    numbers: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: numbers.append(number)) for number in SIGNALS}
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_only_sets_a_flag(received: list[int], number: int) -> None:
    with Interrupt(single_process=True) as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), number)
        assert interrupt.requested
    assert received == []


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_signal_acts_as_usual(received: list[int], first: int, second: int) -> None:
    with Interrupt(single_process=True):
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), second)
        assert received == [second]


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_among_several_processes_the_second_signal_is_ignored(received: list[int], first: int, second: int) -> None:
    with Interrupt(single_process=False) as interrupt:
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), second)
        assert interrupt.requested
    assert received == []
    os.kill(os.getpid(), first)
    assert received == [first]


@pytest.mark.parametrize("number", SIGNALS)
def test_afterwards_signals_act_as_usual(received: list[int], number: int) -> None:
    with Interrupt(single_process=True) as interrupt:
        pass
    os.kill(os.getpid(), number)
    assert received == [number]
    assert not interrupt.requested


def test_after_an_error_signals_act_as_usual(received: list[int]) -> None:
    with pytest.raises(RuntimeError), Interrupt(single_process=True):
        raise RuntimeError
    os.kill(os.getpid(), signal.SIGTERM)
    assert received == [signal.SIGTERM]


@pytest.mark.usefixtures("received")  # which restores the handlers
def test_control_c_twice_is_a_keyboard_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background may ignore it
    with pytest.raises(KeyboardInterrupt), Interrupt(single_process=True) as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.requested
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("number", "passed_on"), [(number, [number] if number in WARNING_SIGNALS else []) for number in SIGNALS]
)
def test_the_warning_of_a_scheduler_is_passed_on_afterwards(
    received: list[int], number: int, passed_on: list[int]
) -> None:
    """The handler that was there before, as submitit's, is called only when the checkpoint is written."""
    with Interrupt(single_process=True) as interrupt:
        os.kill(os.getpid(), number)
    assert received == []
    interrupt.pass_on()
    assert received == passed_on


def test_without_a_handler_there_is_nothing_to_pass_on(received: list[int]) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    with Interrupt(single_process=True) as interrupt:
        os.kill(os.getpid(), signal.SIGUSR1)
    interrupt.pass_on()
    assert received == []
