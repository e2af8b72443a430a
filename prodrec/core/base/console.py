"""What a person sees: results on standard output, everything else on standard error.

`print` prints results, `info` and `warn` print remarks, `progress` shows long work with its rate and the time left.
With `--json` only the one JSON object of the command goes to standard output. Piped output carries no ANSI codes.
Of the ranks of one job rank 0 alone prints; an error is printed by the rank that is to tell it.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodrec.core.base import dist

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_WHEN_PIPED = 160
SECONDS_BETWEEN_PIPED_LINES = 30.0
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What steers a terminal or cannot be written as UTF-8; names of files and columns may hold it."""


@dataclass
class _Mode:
    json: bool = False


_mode = _Mode()


def use_json(on: bool) -> None:
    """Keep standard output for the one JSON object of the command."""
    _mode.json = on


def is_json() -> bool:
    """Whether standard output is kept for one JSON object."""
    return _mode.json


def _console(stream: Any) -> Console:
    from rich.console import Console

    piped = not stream.isatty()
    width = WIDTH_WHEN_PIPED if piped else None
    return Console(file=stream, width=width, highlight=False, emoji=False, soft_wrap=piped)


def _print(stream: Any, renderable: object, *, markup: bool = False, style: str | None = None) -> None:
    if isinstance(renderable, str):
        renderable = CONTROL.sub("\N{REPLACEMENT CHARACTER}", renderable)
    _console(stream).print(renderable, markup=markup, style=style)


def print(renderable: object = "", *, markup: bool = False) -> None:  # noqa: A001 - as rich and logging name it
    """Print a result (text or any rich renderable) on standard output; on standard error when `--json` is on."""
    if dist.is_main():
        _print(sys.stderr if _mode.json else sys.stdout, renderable, markup=markup)


def width() -> int:
    """Columns of the place where `print` prints."""
    return _console(sys.stderr if _mode.json else sys.stdout).width


def info(text: str) -> None:
    """Print a remark on standard error."""
    if dist.is_main():
        _print(sys.stderr, text, style="dim")


def warn(text: str) -> None:
    """Print a warning on standard error."""
    if dist.is_main():
        _print(sys.stderr, f"warning: {text}", style="yellow")


def error(text: str) -> None:
    """Print the one sentence of an error on standard error."""
    _print(sys.stderr, f"error: {text}", style="bold red")


def emit_json(data: object) -> None:
    """Print `data` as JSON on standard output."""
    if not dist.is_main():
        return
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
    sys.stdout.flush()


Advance = Callable[..., None]


@contextmanager
def progress(
    description: str, *, total: float | None, unit: str = "rows", done: float = 0, least: float = 0
) -> Iterator[Advance]:
    """Show long work on standard error, unless its `total` is below `least`; yields `advance(n=1, note="")`.

    On a terminal: one rich bar with the rate in `unit`/s and the time left. Piped: a plain line every half minute.
    """
    if not dist.is_main() or (total is not None and total < least):
        yield lambda n=1, note=None: None
    elif sys.stderr.isatty():
        with _bar(description, total, unit, done) as advance:
            yield advance
    else:
        yield _piped_progress(description, total, unit, done)


@contextmanager
def _bar(description: str, total: float | None, unit: str, done: float) -> Iterator[Advance]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft
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
        TimeLeft(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=_console(sys.stderr), transient=False) as bar:
        task = bar.add_task(description, total=total, completed=done, note="")  # type: ignore[arg-type]  # float is fine

        def advance(n: float = 1, note: str | None = None) -> None:
            bar.advance(task, n)
            if note is not None:
                bar.update(task, note=note)

        yield advance


def _piped_progress(description: str, total: float | None, unit: str, done: float) -> Advance:
    started = last = time.monotonic()
    count = done

    def advance(n: float = 1, note: str | None = None) -> None:
        nonlocal last, count
        count += n
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_PIPED_LINES:
            return
        last = now
        rate = (count - done) / (now - started)
        left = f", {(total - count) / rate:,.0f} s left" if total and rate else ""
        of = f"/{total:,.0f}" if total else ""
        line = f"{description}: {count:,.0f}{of} {unit}, {rate:,.1f} {unit}/s{left}"
        sys.stderr.write(f"{line} · {note}\n" if note else f"{line}\n")

    return advance
