from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from prodrec.core.base.stop_signals import RECEIVED, SECONDS_IN_LIBRARIES, handle_signals, raise_waiting

NUMBERS = (signal.SIGINT, signal.SIGTERM)
CODE = """
def send(number):
    os.kill(os.getpid(), number)
    return sum(range(1000))

def wait(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass

def call(function, *arguments):
    function(*arguments)
    wait(30)
"""


def code_of(module: str) -> dict[str, Callable[..., None]]:
    """Return the functions of CODE as those of a module."""
    names: dict[str, object] = {"__name__": module, "os": os, "time": time}
    exec(CODE, names)
    return names  # type: ignore[return-value]


own, library = code_of("prodrec.somewhere"), code_of("library")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before, hook = [signal.getsignal(number) for number in NUMBERS], sys.unraisablehook
    handle_signals()
    yield
    RECEIVED.clear()
    sys.unraisablehook = hook
    for number, handler in zip(NUMBERS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_interrupts_own_code_at_once_and_is_remembered(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt):
        own["send"](number)
    assert [number] == RECEIVED


def test_the_code_of_a_library_goes_on_to_its_end() -> None:
    returned = []

    def of_library() -> None:
        library["send"](signal.SIGTERM)
        library["wait"](0.1)
        returned.append(True)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        own["call"](of_library)
    assert returned and time.monotonic() - start < SECONDS_IN_LIBRARIES
    assert [signal.SIGTERM] == RECEIVED


def test_a_library_that_does_not_return_is_interrupted() -> None:
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        library["call"](library["send"], signal.SIGINT)
    assert time.monotonic() - start > SECONDS_IN_LIBRARIES


def test_a_waiting_signal_can_be_raised_now_and_is_raised_once() -> None:
    raise_waiting()
    library["send"](signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        raise_waiting()
    own["wait"](0.1)


def test_a_signal_that_is_ignored_for_a_moment_is_not_lost() -> None:
    library["send"](signal.SIGTERM)
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    own["wait"](0.1)
    signal.signal(signal.SIGTERM, handler)
    with pytest.raises(KeyboardInterrupt):
        own["wait"](30)


def test_another_handler_gets_a_waiting_signal_once() -> None:
    calls: list[int] = []
    library["send"](signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, _: calls.append(number))
    own["wait"](0.2)
    assert calls == [signal.SIGTERM]


class Stopped:
    """An object whose end is met by a signal."""

    def __del__(self) -> None:
        own["send"](signal.SIGTERM)


def test_a_signal_interrupts_even_where_python_drops_exceptions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        own["call"](Stopped)
    assert [signal.SIGTERM] == RECEIVED
    assert capsys.readouterr().err == ""


def test_a_waiting_system_call_is_interrupted() -> None:
    def sleep_after_it() -> None:
        Stopped()
        time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        sleep_after_it()


def test_other_exceptions_that_python_drops_are_shown_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    handle_signals()

    class Broken:
        def __del__(self) -> None:
            raise ValueError("broken")

    Broken()
    assert [type(one.exc_value) for one in shown] == [ValueError]  # type: ignore[attr-defined]
