import os
import signal

import pytest

from nmt.training.interrupt import Interrupt

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch):
    """Handlers that note what would have ended the process."""
    noted: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: noted.append(number)) for number in SIGNALS}
    yield noted
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_only_raises_a_flag(received: list[int], number: int) -> None:
    with Interrupt(alone=True) as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), number)
        assert interrupt.requested
    assert received == []


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_signal_does_what_it_always_did(received: list[int], first: int, second: int) -> None:
    with Interrupt(alone=True):
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), second)
        assert received == [second]


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_among_several_processes_the_second_signal_is_not_heard(received: list[int], first: int, second: int) -> None:
    with Interrupt(alone=False) as interrupt:
        os.kill(os.getpid(), first)
        os.kill(os.getpid(), second)
        assert interrupt.requested
    assert received == []
    os.kill(os.getpid(), first)
    assert received == [first]


@pytest.mark.parametrize("number", SIGNALS)
def test_afterwards_all_is_as_before(received: list[int], number: int) -> None:
    with Interrupt(alone=True) as interrupt:
        pass
    os.kill(os.getpid(), number)
    assert received == [number]
    assert not interrupt.requested


def test_an_error_inside_restores_as_well(received: list[int]) -> None:
    with pytest.raises(RuntimeError), Interrupt(alone=True):
        raise RuntimeError
    os.kill(os.getpid(), signal.SIGTERM)
    assert received == [signal.SIGTERM]


@pytest.mark.usefixtures("received")  # which restores what is there
def test_control_c_twice_is_a_keyboard_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it runs in the background ignore it
    with pytest.raises(KeyboardInterrupt), Interrupt(alone=True) as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.requested
        os.kill(os.getpid(), signal.SIGINT)
