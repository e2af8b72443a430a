"""Results and messages on their streams, on a terminal and in a pipe; progress with its rate and the time left."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stderr
from typing import Any

import pytest
from rich.table import Table

from prodrec.core.base import console

ESCAPE = "\x1b"


@pytest.fixture(autouse=True)
def text_mode(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    yield
    console.set_json_mode(False)


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    return Terminal()


def table() -> Table:
    result = Table("leaf", "top-1")
    result.add_row("T恤 [new] [/] :apple:", "12 %")
    return result


def test_results_and_messages_have_their_own_streams(capsys: pytest.CaptureFixture[str]) -> None:
    console.print("a result")
    console.info("a remark")
    console.warn("be careful")
    console.error("it is not there.")
    output = capsys.readouterr()
    assert output.out == "a result\n"
    assert output.err == "a remark\nwarning: be careful\nerror: it is not there.\n"


def test_json_keeps_standard_output_clean(capsys: pytest.CaptureFixture[str]) -> None:
    console.set_json_mode(True)
    console.print("a result")
    console.print(table())
    console.info("a remark")
    with console.progress("training", total=2) as advance:
        advance(2)
    assert not capsys.readouterr().out
    console.print_json({"name": "包邮", "value": None})
    output = capsys.readouterr().out
    assert json.loads(output) == {"name": "包邮", "value": None}
    assert "包邮" in output and output.endswith("}\n")
    with pytest.raises(ValueError, match="JSON"):
        console.print_json({"value": float("nan")})
    assert not capsys.readouterr().out


def test_a_pipe_gets_plain_text_in_unwrapped_lines(capsys: pytest.CaptureFixture[str]) -> None:
    long = "a path of many words " * 30
    for show in (console.print, console.info, console.warn, console.error):
        show(long)
    console.print(table())
    output = capsys.readouterr()
    assert ESCAPE not in output.out + output.err
    assert len(output.err.splitlines()) == 3
    assert output.out.splitlines()[0] == long


def test_a_terminal_gets_colour(terminal: Terminal) -> None:
    with redirect_stderr(terminal):
        console.error("it is not there.")
    assert ESCAPE in terminal.getvalue() and "it is not there." in terminal.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[bold]shop[/bold] [/] 12.5 'x'", "[bold]shop[/bold] [/] 12.5 'x'"),
        ("shop:apple:.csv", "shop:apple:.csv"),
        ("a\x1b[31mred\x07\x9b2J", "a\ufffd[31mred\ufffd\ufffd2J"),
        ("not UTF-8 \udcff.csv", "not UTF-8 \ufffd.csv"),
        ("\u202egnp.exe", "\ufffdgnp.exe"),
        ("two\nlines\tand a tab", "two\nlines   and a tab"),
    ],
)
def test_control_characters_of_names_have_no_effect(capsys: pytest.CaptureFixture[str], text: str, shown: str) -> None:
    for show in (console.print, console.info, console.error):
        show(text)
    output = capsys.readouterr()
    assert output.out == f"{shown}\n" and output.err == f"{shown}\nerror: {shown}\n"


def test_markup_in_cells_of_tables_has_no_effect(capsys: pytest.CaptureFixture[str]) -> None:
    console.print(table())
    assert "T恤 [new] [/] :apple:" in capsys.readouterr().out


@pytest.mark.parametrize("on_terminal", [True, False])
def test_control_characters_in_cells_of_tables_have_no_effect(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], on_terminal: bool
) -> None:
    names = Table("leaf", title="a\x1b[31m title")
    names.add_row("a\x1b[31mred\x9b2J \u202egnp")
    console.set_json_mode(True)  # results go to standard error
    with redirect_stderr(terminal) if on_terminal else nullcontext():
        console.print(names)
    output = terminal.getvalue() if on_terminal else capsys.readouterr().err
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    assert "a\ufffd[31mred\ufffd2J \ufffdgnp" in plain and "a\ufffd[31m title" in plain


def test_width_is_that_of_the_stream(terminal: Terminal) -> None:
    assert console.width() == console.PIPED_WIDTH
    console.set_json_mode(True)
    with redirect_stderr(terminal):
        assert console.width() == 140


# --- progress


def test_progress_on_a_terminal_shows_rate_and_time_left(terminal: Terminal) -> None:
    bar = console.progress("training [x]", total=100, unit="photos", done=10)
    with redirect_stderr(terminal), bar as advance:
        for _ in range(3):
            time.sleep(0.02)
            advance(20, note="loss 1.25 [y]")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).splitlines()[-1]
    assert "training [x]" in shown and "loss 1.25 [y]" in shown
    assert re.search(r"70/100", shown)
    assert re.search(r"[\d,]+\.\d photos/s", shown)
    assert re.search(r"\d:\d\d:\d\d", shown)


def test_progress_survives_an_error(terminal: Terminal) -> None:
    bar = console.progress("training", total=None)
    with redirect_stderr(terminal), pytest.raises(KeyboardInterrupt), bar as advance:
        advance()
        raise KeyboardInterrupt
    assert terminal.getvalue().endswith(f"{ESCAPE}[?25h")  # shows the cursor again


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        now = 1000.0

    monkeypatch.setattr(console.time, "monotonic", lambda: Clock.now)
    return Clock


def test_piped_progress_is_a_plain_line_every_half_minute(capsys: pytest.CaptureFixture[str], clock: Any) -> None:
    with console.progress("training", total=2000, unit="photos", done=500) as advance:
        for _ in range(10):
            clock.now += 10
            advance(100, note="loss 1.25")
    assert capsys.readouterr().err.splitlines() == [
        "training: 800/2,000 photos, 10.0 photos/s, 120 s left · loss 1.25",
        "training: 1,100/2,000 photos, 10.0 photos/s, 90 s left · loss 1.25",
        "training: 1,400/2,000 photos, 10.0 photos/s, 60 s left · loss 1.25",
    ]


def test_piped_progress_without_a_total(capsys: pytest.CaptureFixture[str], clock: Any) -> None:
    with console.progress("reading", total=None) as advance:
        advance()
        clock.now += 40
        advance(3)
    assert capsys.readouterr().err == "reading: 4 rows, 0.1 rows/s\n"


def test_short_work_prints_nothing_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("reading", total=3) as advance:
        advance(3)
    assert not capsys.readouterr().err


def test_progress_is_shown_from_a_minimum_total(terminal: Terminal) -> None:
    with redirect_stderr(terminal):
        for total in (9, 10):
            before = terminal.getvalue()
            with console.progress("reading", total=total, minimum=10) as advance:
                advance(total)
            assert (terminal.getvalue() == before) == (total < 10)
