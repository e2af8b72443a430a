"""How a command is made: `@verb(app)` gives it `--json` and `--debug` and turns errors into exit codes.

A command takes options, calls one plain function, says what a person reads, and returns what `--json` prints. With
`parallel=True` it works on all the ranks that `torchrun` starts; rank 0 alone prints, and an error is told once.
"""

from __future__ import annotations

import functools
import inspect
import multiprocessing
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NoReturn

import typer

from prodrec.core.base import console, dist, rank_failures
from prodrec.core.base.errors import BadOption, LostContact, ProdrecError

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output instead of text.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

_parallel: list[str] = []


def verb(
    app: typer.Typer, name: str | None = None, *, parallel: bool = False, **settings: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a command. Its docstring is the help, its return value what `--json` prints.

    parallel: it may run on several ranks; the others refuse to.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        called = name or function.__name__
        if parallel:
            _parallel.append(called)

        @functools.wraps(function)
        def command(*, json: bool, debug: bool, **options: Any) -> None:
            console.use_json(json)
            try:
                with dist.process_group():
                    if dist.world_size() > 1 and not parallel:
                        raise BadOption(_one_process_only(called))
                    answer = function(**options)
                    dist.barrier()  # none leaves while another may still fail, or wait for it
            except (Exception, KeyboardInterrupt) as error:
                if dist.world_size() > 1:
                    _leave_the_others(error, debug=debug)
                if debug:
                    raise
                text, code = _told(error)
                console.error(text)
                raise typer.Exit(code) from error
            if json:
                console.emit_json(answer)

        command.__signature__ = _with_common_options(function)  # type: ignore[attr-defined]
        app.command(name, **settings)(command)
        return function

    return register


def _told(error: BaseException) -> tuple[str, int]:
    """The sentence that tells `error`, and the exit code."""
    if isinstance(error, ProdrecError):
        return _one_line(str(error)), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing half-made was left. Run the same command again.", 130
    return f"{type(error).__name__}: {_one_line(str(error))} (add --debug for the traceback)", 1


def _leave_the_others(error: BaseException, *, debug: bool) -> NoReturn:
    """Tell the error, if it is for this rank to tell, and end the process at once.

    At once: the usual way out waits for messages under way, and with them for ranks that wait for this one.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # torchrun ends all when one has ended; the cause is to be told first
    if isinstance(error, KeyboardInterrupt):  # by torchrun, perhaps, while the loss of a rank was being dealt with
        error = next(
            (e for e in _behind(error) if isinstance(e, LostContact) or rank_failures.is_lost_contact(e)), error
        )
    text, code = _told(error)
    lost = isinstance(error, LostContact)
    if rank_failures.is_lost_contact(error):
        lost, code = True, LostContact.exit_code
        text = "lost contact with another rank: it was killed, or its machine is gone. Run the same command again."
    if debug:
        sys.stderr.write(f"rank {dist.rank()} of {dist.world_size()}:\n{traceback.format_exc()}")
    told = rank_failures.to_tell(text, whose=not lost)
    if told is not None:
        console.error(told)
    for child in multiprocessing.active_children():
        child.kill()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The errors that were being dealt with when `error` came."""
    while error.__context__ is not None:
        error = error.__context__
        yield error


def _one_process_only(name: str) -> str:
    return (
        f"prodrec {name} runs in one process: start it without torchrun "
        f"(on several ranks run {', '.join(f'prodrec {other}' for other in _parallel)})."
    )


def _with_common_options(function: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(function, eval_str=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [p.replace(kind=keyword) for p in signature.parameters.values()]
    for name, annotation in (("json", JsonOption), ("debug", DebugOption)):
        parameters.append(inspect.Parameter(name, keyword, default=False, annotation=annotation))
    return signature.replace(parameters=parameters, return_annotation=None)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
