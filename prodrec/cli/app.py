"""The command line application: registers one command per module of `prodrec.cli`."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from prodrec import __version__
from prodrec.cli.add_classes import add_classes_command
from prodrec.cli.audit import audit_command
from prodrec.cli.borrow_titles import borrow_titles_command
from prodrec.cli.compare import compare_command
from prodrec.cli.demo import demo_command
from prodrec.cli.explain import explain_command
from prodrec.cli.export import export_command
from prodrec.cli.gallery import gallery_command
from prodrec.cli.import_scores import import_scores_command
from prodrec.cli.index import index_commands
from prodrec.cli.inspect import inspect_command
from prodrec.cli.neighbours import neighbours_command
from prodrec.cli.predict import predict_command
from prodrec.cli.prepare import prepare_command
from prodrec.cli.pretrain_embeddings import pretrain_embeddings_command
from prodrec.cli.refine_mcr import refine_mcr_command
from prodrec.cli.report import report_command
from prodrec.cli.retrain_head import retrain_head_command
from prodrec.cli.score import score_command
from prodrec.cli.serve import serve_command
from prodrec.cli.train import train_command
from prodrec.cli.uv import uv_command
from prodrec.core.base import dist

# `prodrec --help` lists the commands in this order, which is the order in which a user needs them.
COMMANDS = (
    prepare_command,
    inspect_command,
    pretrain_embeddings_command,
    train_command,
    retrain_head_command,
    add_classes_command,
    neighbours_command,
    score_command,
    refine_mcr_command,
    import_scores_command,
    report_command,
    compare_command,
    gallery_command,
    audit_command,
    borrow_titles_command,
    index_commands,
    predict_command,
    explain_command,
    serve_command,
    export_command,
    uv_command,
    demo_command,
)

SECONDS_TO_PRINT = 10.0
"""Seconds that a rank other than 0 waits before it exits, so rank 0 can print the error of the command line first."""


class _InOrder(TyperGroup):
    """Lists groups of commands in their place; typer lists them before all commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [command.name for command in COMMANDS]


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"prodrec {__version__}")
        raise typer.Exit


def create_app() -> typer.Typer:
    """Return the application with all COMMANDS."""
    app = typer.Typer(
        name="prodrec",
        cls=_InOrder,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Recognise products in photos when classes are many, long-tailed and have titles, categories, attributes.",
        epilog="Try `prodrec demo`: it draws a small catalogue, trains two models and compares them in minutes.",
    )

    @app.callback()
    def root(
        version: Annotated[
            bool,
            typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
        ] = False,
    ) -> None:
        """Provide `prodrec --version`; the commands do the rest."""

    for command in COMMANDS:
        command.register(app)
    return app


app = create_app()


def main() -> None:
    """Run a command, for `start.main`.

    Characters that the encoding of standard output lacks are printed as escapes: a UnicodeEncodeError must not end
    hours of work.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if dist.is_main():
        app()
    else:
        _run_silently()


def _run_silently() -> None:
    """Run the command on a rank other than 0: rank 0 alone prints help and errors of the command line."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open until the process ends
    try:
        sys.exit(app(standalone_mode=False))
    except Exception as error:  # an error of the command line; a command handles its own errors
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(SECONDS_TO_PRINT)  # torchrun stops all ranks when one exits: rank 0 must be the first
        sys.exit(getattr(error, "exit_code", 1))
