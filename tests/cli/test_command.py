"""What `@command` adds to every command: exit codes, errors of one sentence, and only JSON on standard output."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner, Result

from prodrec.cli.command import command
from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, BadTable, Interrupted, Mismatch, NotFound, ProdrecError, UserError


@pytest.fixture(autouse=True)
def text_mode() -> Iterator[None]:
    yield
    console.set_json_mode(False)


def call(body: Any, *arguments: str, **settings: Any) -> Result:
    """Invoke an application of two commands; `work` runs `body`."""
    app = typer.Typer()

    @command("work", **settings)
    def work(
        place: Annotated[Path, typer.Argument(help="Where.")] = Path("here"),
        times: Annotated[int, typer.Option(help="How often.")] = 1,
    ) -> Any:
        """Work at a place.

        With all its might.
        """
        return body(place, times)

    @command("rest")
    def rest() -> None:
        """Rest."""

    work.register(app)
    rest.register(app)
    return CliRunner().invoke(app, ["work", *arguments])


def raises(error: BaseException) -> Any:
    def body(*_: Any) -> None:
        console.print("half of the result")
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("x"), 2),
        (NotFound("x"), 2),
        (BadTable("x"), 2),
        (BadOption("x"), 2),
        (Mismatch("x"), 2),
        (ProdrecError("x"), 1),
        (Interrupted("x"), 130),
        (KeyboardInterrupt(), 130),
        (ValueError("x"), 1),
        (MemoryError(), 1),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
        (OSError(errno.EROFS, "Read-only file system", "x"), 2),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 2),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    result = call(raises(error))
    assert result.exit_code == code
    assert result.stdout == "half of the result\n"
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


def test_errors_of_disks_are_sentences() -> None:
    full = call(raises(OSError(errno.ENOSPC, "No space left on device"))).stderr
    assert "a file cannot be written, because the disk is full; free some space" in full
    denied = call(raises(PermissionError(errno.EACCES, "Permission denied", "photos.zip"))).stderr
    assert "photos.zip cannot be accessed by this user; change its permissions" in denied


def test_a_successful_command_prints_its_result_only() -> None:
    result = call(lambda place, times: console.print(f"{place} {times}") or {"times": times}, "there", "--times", "3")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "there 3\n", "")


def test_a_message_is_one_line() -> None:
    message = "shop.csv, row 3:\n  2 fields   where\tthe header has 3; " + "mend the row, " * 40
    result = call(raises(BadTable(message)))
    assert result.stderr == f"error: {' '.join(message.split())}\n"


def test_an_unexpected_error_is_named_with_the_option_for_its_traceback() -> None:
    result = call(raises(ZeroDivisionError("division\nby zero")))
    assert result.stderr == "error: ZeroDivisionError: division by zero (add --debug for the traceback)\n"


@pytest.mark.parametrize("error", [BadTable("x"), KeyboardInterrupt(), ZeroDivisionError("x")])
def test_debug_raises(error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt):  # the runner converts it into an abort
        assert call(raises(error), "--debug").exit_code != 0
        return
    result = call(raises(error), "--debug")
    assert result.exception is error
    assert result.exc_info is not None and result.exc_info[2] is not None


def test_standard_output_contains_only_the_json() -> None:
    def body(place: Path, times: int) -> dict[str, Any]:
        console.print("a result")
        console.warn("take care")
        return {"place": str(place), "名": times}

    result = call(body, "--json", "--times", "2")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"place": "here", "名": 2}
    assert result.stderr == "a result\nwarning: take care\n"
    again = call(body)
    assert again.stdout == "a result\n", "the next command prints text again"


def test_an_error_prints_no_json() -> None:
    result = call(raises(BadTable("x")), "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "half of the result\nerror: x\n"


def test_help_is_the_docstring_with_the_common_options() -> None:
    result = call(None, "--help", epilog="Example: work --times 3")
    assert result.exit_code == 0
    for text in ("Work at a place.", "With all its might.", "How often.", "--json", "--debug", "work --times 3"):
        assert text in result.stdout


def test_the_function_stays_a_function() -> None:
    @command("double")
    def double(number: int) -> dict[str, int]:
        """Double it."""
        return {"double": 2 * number}

    assert double(3) == {"double": 6}


@pytest.mark.parametrize("wrong", [["--tmies", "3"], ["--times", "often"], ["a", "b"]])
def test_wrong_usage_is_exit_code_2(wrong: list[str]) -> None:
    result = call(lambda *_: pytest.fail("it ran"), *wrong)
    assert result.exit_code == 2 and not result.stdout and "Traceback" not in result.output
