from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from prodrec.core.base.stop_signals import RECEIVED, handle_signals


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before, hook = [signal.getsignal(number) for number in numbers], sys.unraisablehook
    yield
    RECEIVED.clear()
    sys.unraisablehook = hook
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_and_is_remembered(number: signal.Signals) -> None:
    handle_signals()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert [number] == RECEIVED


class Stopped:
    """An object whose end is met by a signal."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)


def test_a_signal_interrupts_even_where_python_drops_exceptions(capsys: pytest.CaptureFixture[str]) -> None:
    handle_signals()
    with pytest.raises(KeyboardInterrupt):
        Stopped()
        time.sleep(60)  # ends at once
    assert set(RECEIVED) == {signal.SIGTERM}
    assert capsys.readouterr().err == ""


def test_other_exceptions_that_python_drops_are_told_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    handle_signals()

    class Broken:
        def __del__(self) -> None:
            raise ValueError("broken")

    Broken()
    assert [type(one.exc_value) for one in told] == [ValueError]  # type: ignore[attr-defined]
