"""The command line: one verb per file, registered here in the order of the journey."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from typing import Annotated, Any

import typer

from prodrec import __version__
from prodrec.core.base import dist

app = typer.Typer(
    name="prodrec",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Recognise products in photos when classes are many, long-tailed and have titles, categories, attributes.",
    epilog="Try `prodrec demo`: it draws a small catalogue and takes it the whole way in a few minutes.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"prodrec {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Registered so that `prodrec --version` works; the commands do the rest."""


# Each import registers one verb, in the order of the journey. None imports torch, polars, h5py or gensim at its top.
# Keep: prepare, inspect, pretrain_embeddings, train, score, refine_mcr, report, gallery, explain, demo.
# isort: off
from prodrec.cli import prepare as _prepare  # noqa: E402, F401
from prodrec.cli import inspect as _inspect  # noqa: E402, F401
from prodrec.cli import pretrain_embeddings as _pretrain_embeddings  # noqa: E402, F401
from prodrec.cli import train as _train  # noqa: E402, F401
from prodrec.cli import score as _score  # noqa: E402, F401
from prodrec.cli import refine_mcr as _refine_mcr  # noqa: E402, F401
from prodrec.cli import report as _report  # noqa: E402, F401
from prodrec.cli import gallery as _gallery  # noqa: E402, F401
from prodrec.cli import explain as _explain  # noqa: E402, F401
from prodrec.cli import demo as _demo  # noqa: E402, F401
# isort: on


def main() -> None:
    """Entry point of the `prodrec` script. SIGTERM ends a command as Ctrl-C does: nothing half-made is left.

    Where the output's encoding lacks a character, its code is shown: hours of work end in no UnicodeEncodeError.
    """

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if dist.is_main():
        app()
    else:
        _beside_main()


SECONDS_TO_TELL = 10.0


def _beside_main() -> None:
    """The command on another rank than 0, which alone shows help and what is wrong with a command line."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for as long as the process lives
    try:
        sys.exit(app(standalone_mode=False))
    except Exception as wrong:  # a command tells its own errors; these are of the command line
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(SECONDS_TO_TELL)  # when one rank ends, torchrun ends the others: that one is to be rank 0
        sys.exit(getattr(wrong, "exit_code", 1))
