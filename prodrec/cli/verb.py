"""How a command is made: `@verb(app)` gives it `--json` and `--debug` and turns errors into exit codes.

A command takes options, calls one plain function, says what a person reads, and returns what `--json` prints.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any

import typer

from prodrec.core import console
from prodrec.core.errors import ProdrecError

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output instead of text.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def verb(
    app: typer.Typer, name: str | None = None, **settings: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a command. Its docstring is the help, its return value what `--json` prints."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(*, json: bool, debug: bool, **options: Any) -> None:
            console.use_json(json)
            try:
                answer = function(**options)
            except ProdrecError as error:
                if debug:
                    raise
                console.fail(_one_line(str(error)))
                raise typer.Exit(error.exit_code) from error
            except KeyboardInterrupt as error:
                if debug:
                    raise
                console.fail("interrupted; nothing half-made was left. Run the same command again.")
                raise typer.Exit(130) from error
            except Exception as error:
                if debug:
                    raise
                console.fail(f"{type(error).__name__}: {_one_line(str(error))} (add --debug for the traceback)")
                raise typer.Exit(1) from error
            if json:
                console.emit_json(answer)

        command.__signature__ = _with_common_options(function)  # type: ignore[attr-defined]
        app.command(name, **settings)(command)
        return function

    return register


def _with_common_options(function: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(function, eval_str=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [p.replace(kind=keyword) for p in signature.parameters.values()]
    for name, annotation in (("json", JsonOption), ("debug", DebugOption)):
        parameters.append(inspect.Parameter(name, keyword, default=False, annotation=annotation))
    return signature.replace(parameters=parameters, return_annotation=None)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
