"""The `@command` decorator: adds `--json` and `--debug` to a command and turns errors into exit codes.

A command reads its options, calls one function of `prodrec.pipeline`, prints the result for people, and returns the
object that `--json` prints. With `parallel=True` a command runs on all the ranks that `torchrun` starts; rank 0 alone
prints results, and an error is printed once.
"""

from __future__ import annotations

import errno
import functools
import inspect
import multiprocessing
import os
import re
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, NoReturn

import typer

from prodrec.cli.options import add_options, drop_defaults
from prodrec.core.base import console, dist, rank_failures
from prodrec.core.base.errors import BadOption, LostContact, ProdrecError
from prodrec.core.base.stop_signals import RECEIVED
from prodrec.core.base.streams import MESSAGES, RESULTS
from prodrec.core.base.system_errors import find_system_error, is_panic

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output instead of text.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass(frozen=True)
class Command:
    """A command that `cli/app.py` registers. Calling it calls the plain function.

    name: of a command in a group with the name of the group before it, such as `index build`
    function: the plain function; its docstring is the help text, its return value is what `--json` prints: one object,
        or the objects that an iterator yields, a line each
    parallel: whether the command may run on several ranks
    options: dataclasses that declare further options. The command line shows one option for each field; the function
        gets those that the user typed as `**options`
    settings: further arguments of `typer.Typer.command`, such as the epilog
    """

    name: str
    function: Callable[..., Any]
    parallel: bool = False
    options: tuple[type, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.function(*arguments, **options)

    def register(self, app: typer.Typer) -> None:
        """Add the command to `app`."""

        @functools.wraps(self.function)
        def run(*, context: typer.Context, json: bool, debug: bool, **options: Any) -> None:
            _run(self, drop_defaults(options, self.options, context), json=json, debug=debug)

        signature = _signature(self)
        run.__signature__ = signature  # type: ignore[attr-defined]
        # Typer reads them as well; evaluated here, they are not evaluated from strings again and again.
        run.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()}
        app.command(self.name.split()[-1], **self.settings)(run)


@dataclass(frozen=True)
class CommandGroup:
    """Commands of one name, such as `prodrec index build` and `prodrec index update`."""

    name: str
    help: str
    commands: tuple[Command, ...]

    def register(self, app: typer.Typer) -> None:
        """Add the group to `app`."""
        group = typer.Typer(name=self.name, no_args_is_help=True, rich_markup_mode="markdown", help=self.help)
        for one in self.commands:
            one.register(group)
        app.add_typer(group)


_FULL = "{path} cannot be written, because the disk is full; free some space and run the same command again."
_MANY = "{path} cannot be opened, because too many files are open; allow more with `ulimit -n 4096`."
_SYSTEM_ERRORS = {
    errno.ENOSPC: (_FULL, 1),
    errno.EDQUOT: (_FULL.replace("the disk is full", "the disk quota is used up"), 1),
    errno.EFBIG: ("{path} cannot be written, because no file may become so large here (`ulimit -f`).", 1),
    errno.EIO: ("{path} cannot be read or written, because its disk reports an error; look at the disk.", 1),
    errno.EMFILE: (_MANY, 1),
    errno.ENFILE: (_MANY, 1),
    errno.EROFS: ("{path} cannot be written, because its disk is read-only; give another place with --out.", 2),
    errno.EACCES: ("{path} cannot be accessed by this user; change its permissions or give another path.", 2),
}
"""Messages and exit codes for errors of the operating system that users meet, by error number."""

_parallel: list[str] = []
"""Names of the commands that may run on several ranks; the error of the other commands lists them."""


def command(
    name: str, *, parallel: bool = False, options: tuple[type, ...] = (), **settings: Any
) -> Callable[[Callable[..., Any]], Command]:
    """Turn a function into a Command called `name`; see Command for the arguments."""

    def decorate(function: Callable[..., Any]) -> Command:
        if parallel:
            _parallel.append(name)
        return Command(name, function, parallel, options, settings)

    return decorate


def _run(command: Command, options: dict[str, Any], *, json: bool, debug: bool) -> None:
    """Call the function of `command`, print its JSON, and turn an error into its message and exit code."""
    console.set_json_mode(json)
    try:
        with dist.process_group():
            if dist.world_size() > 1 and not command.parallel:
                raise BadOption(_one_process_only(command.name))
            result = command.function(**options)
            if isinstance(result, Iterator):
                for line in result:
                    if json:
                        console.print_json_line(line)
                json = False
            dist.barrier()  # no rank may exit while another can still fail or waits for it
    except BaseException as error:
        if not isinstance(error, Exception | KeyboardInterrupt) and not is_panic(error):
            raise
        if dist.world_size() > 1:
            _exit_rank(error, debug=debug)
        if debug:
            raise
        message, code = _message_and_code(error)
        console.error(message)
        raise typer.Exit(code) from error
    if json:
        console.print_json(result)


def _message_and_code(error: BaseException) -> tuple[str, int]:
    """Return the message to print for `error`, and the exit code."""
    if isinstance(error, ProdrecError):
        return _one_line(str(error)), error.exit_code
    if isinstance(error, KeyboardInterrupt) or RECEIVED:
        return "interrupted; incomplete output was removed. Run the same command again.", 130
    system_error = find_system_error(error)
    if system_error is not None and system_error.number in _SYSTEM_ERRORS:
        sentence, code = _SYSTEM_ERRORS[system_error.number]
        return sentence.format(path=system_error.path or "a file"), code
    return f"{type(error).__name__}: {_one_line(str(error))} (add --debug for the traceback)", 1


def _exit_rank(error: BaseException, *, debug: bool) -> NoReturn:
    """Print the error if this rank is the one to print it, and end the process at once.

    It calls `os._exit` because a normal exit waits for pending messages, and other ranks wait for this one.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # torchrun stops all ranks when one exits; print the cause first
    if isinstance(error, KeyboardInterrupt):
        # torchrun may have sent the signal while this rank handled the loss of another rank; the loss is the cause
        error = next((e for e in _contexts(error) if _is_lost_contact(e)), error)
    message, code = _message_and_code(error)
    if rank_failures.is_lost_contact(error):
        code = LostContact.exit_code
        message = "lost contact with another rank: it was killed, or its machine is gone. Run the same command again."
    if debug:
        MESSAGES.write(f"rank {dist.rank()} of {dist.world_size()}:\n{traceback.format_exc()}")
    message_to_print = rank_failures.message_to_print(message, name_rank=not _is_lost_contact(error))
    if message_to_print is not None:
        console.error(message_to_print)
    for child in multiprocessing.active_children():
        child.kill()
    with suppress(OSError):
        RESULTS.flush()
    MESSAGES.flush()
    os._exit(code)


def _is_lost_contact(error: BaseException) -> bool:
    return isinstance(error, LostContact) or rank_failures.is_lost_contact(error)


def _contexts(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors that were being handled when `error` was raised, the newest first."""
    while error.__context__ is not None:
        error = error.__context__
        yield error


def _one_process_only(name: str) -> str:
    return (
        f"prodrec {name} runs in one process: start it without torchrun "
        f"(on several ranks run {', '.join(f'prodrec {other}' for other in _parallel)})."
    )


def _signature(command: Command) -> inspect.Signature:
    """Return the signature that typer reads: the parameters of the function, its options, --json and --debug."""
    signature = add_options(inspect.signature(command.function, eval_str=True), command.options)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [p.replace(kind=keyword) for p in signature.parameters.values()]
    parameters.append(inspect.Parameter("context", keyword, annotation=typer.Context))
    for name, annotation in (("json", JsonOption), ("debug", DebugOption)):
        parameters.append(inspect.Parameter(name, keyword, default=False, annotation=annotation))
    return signature.replace(parameters=parameters, return_annotation=None)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
