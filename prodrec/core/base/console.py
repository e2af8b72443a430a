"""Everything that prodrec prints: results on standard output, all other messages on standard error.

`print` prints a result; `info`, `warn` and `error` print a message; `progress` shows the progress of long work. In
JSON mode (`--json`), standard output contains only the JSON object of the command, and results go to standard error.

Colours are used on a terminal only. Only rank 0 prints, except for `error`: `rank_failures` decides which rank prints
an error.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from prodrec.core.base import dist
from prodrec.core.base.streams import MESSAGES, RESULTS, Stream

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 160
"""Width, in characters, of tables that are not printed on a terminal."""

SECONDS_BETWEEN_PIPED_LINES = 30.0
"""Seconds between two lines of progress that are not printed on a terminal."""

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except tab and newline, which a terminal would obey; characters that change the direction of the
text after them; and surrogates, which UTF-8 cannot encode. Titles, and names of classes, files and columns, may contain
them."""

_json_mode = False


def set_json_mode(on: bool) -> None:
    """Switch JSON mode on or off."""
    global _json_mode
    _json_mode = on


def json_mode() -> bool:
    """Return whether JSON mode is on."""
    return _json_mode


@functools.cache
def _printable_console() -> type[Console]:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class Printable(Console):
        """A console that replaces UNPRINTABLE characters in texts and in cells of tables, but not its own codes."""

        def render_str(self, text: str, *arguments: Any, **options: Any) -> Text:
            return super().render_str(UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text), *arguments, **options)

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                if segment.control is None and UNPRINTABLE.search(segment.text):
                    segment = Segment(UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", segment.text), segment.style)
                yield segment

    return Printable


def _console(stream: Stream) -> Console:
    piped = not stream.isatty()
    width = PIPED_WIDTH if piped else None
    file = cast("IO[str]", stream)
    return _printable_console()(file=file, width=width, highlight=False, emoji=False, soft_wrap=piped)


def _print(stream: Stream, renderable: object, *, markup: bool = False, style: str | None = None) -> None:
    _console(stream).print(renderable, markup=markup, style=style)
    stream.flush()


def print(renderable: object = "", *, markup: bool = False) -> None:  # noqa: A001 - as rich and logging name it
    """Print a result: text or any rich renderable, such as a table."""
    if dist.is_main():
        _print(MESSAGES if _json_mode else RESULTS, renderable, markup=markup)


def width() -> int:
    """Return the width, in characters, of the stream to which `print` writes."""
    return _console(MESSAGES if _json_mode else RESULTS).width


def info(text: str) -> None:
    """Print a remark."""
    if dist.is_main():
        _print(MESSAGES, text, style="dim")


def warn(text: str) -> None:
    """Print a warning."""
    if dist.is_main():
        _print(MESSAGES, f"warning: {text}", style="yellow")


def error(text: str) -> None:
    """Print an error, on any rank, and also where no file can be opened and rich not be imported."""
    try:
        _print(MESSAGES, f"error: {text}", style="bold red")
    except (OSError, ImportError):
        MESSAGES.write(f"error: {UNPRINTABLE.sub(chr(0xFFFD), text)}\n")


def print_json(data: object) -> None:
    """Print `data` as JSON on standard output. Raise ValueError for NaN and infinity."""
    if not dist.is_main():
        return
    RESULTS.write(json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
    RESULTS.flush()


def print_json_line(data: object) -> None:
    """Print `data` as one line of JSON on standard output. Raise ValueError for NaN and infinity."""
    RESULTS.write(json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n")
    RESULTS.flush()


Advance = Callable[..., None]
"""The function that `progress` yields."""


@contextmanager
def progress(
    description: str, *, total: float | None, unit: str = "rows", done: float = 0, minimum: float = 0
) -> Iterator[Advance]:
    """Show the progress of long work with its rate in `unit`/s and the remaining time.

    Yield a function `advance(n=1, note=None)` that adds `n` to the finished work and shows a note, such as a loss.

    total:   amount of work; None if it is not known
    done:    amount of work that was finished before
    minimum: smallest total for which progress is shown

    On a terminal this is a bar, in a pipe one line every SECONDS_BETWEEN_PIPED_LINES.
    """
    if not dist.is_main() or (total is not None and total < minimum):
        yield lambda n=1, note=None: None
    elif MESSAGES.isatty():
        with _bar(description, total, unit, done) as advance:
            yield advance
    else:
        yield _piped_progress(description, total, unit, done)


@contextmanager
def _bar(description: str, total: float | None, unit: str, done: float) -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            rate = task.finished_speed or task.speed
            return Text(f"{rate:,.1f} {unit}/s" if rate else "", style="progress.data.speed")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    # results that go to a file or a pipe must not be printed above the bar
    with Progress(*columns, console=_console(MESSAGES), redirect_stdout=RESULTS.isatty()) as bar:
        task = bar.add_task(description, total=total, completed=done, note="")  # type: ignore[arg-type]  # float is fine

        def advance(n: float = 1, note: str | None = None) -> None:
            bar.advance(task, n)
            if note is not None:
                bar.update(task, note=note)

        yield advance


def _piped_progress(description: str, total: float | None, unit: str, done: float) -> Advance:
    start = last_line = time.monotonic()
    count = done

    def advance(n: float = 1, note: str | None = None) -> None:
        nonlocal last_line, count
        count += n
        now = time.monotonic()
        if now - last_line < SECONDS_BETWEEN_PIPED_LINES:
            return
        last_line = now
        rate = (count - done) / (now - start)
        time_left = f", {(total - count) / rate:,.0f} s left" if total and rate else ""
        of_total = f"/{total:,.0f}" if total else ""
        line = f"{description}: {count:,.0f}{of_total} {unit}, {rate:,.1f} {unit}/s{time_left}"
        MESSAGES.write(f"{line} · {note}\n" if note else f"{line}\n")

    return advance
