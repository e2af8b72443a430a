"""The command `prodrec demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command

EXAMPLES = """
Examples:

- `prodrec demo` works in `demo/`, two to four minutes on two cores
- `prodrec demo --out try --quick` draws a smaller catalogue and trains briefly, to check the installation
"""


@command("demo", epilog=EXAMPLES)
def demo_command(
    out: Annotated[Path, typer.Option(help="Directory to write.")] = Path("demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Draw a smaller catalogue; training is too short to learn.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier demo.")] = False,
) -> dict[str, Any]:
    """Draw a small catalogue and run all steps on it: prepare, pretrain-embeddings, train, score, report.

    It needs no internet and no data. It prints every command before it runs it, and you can continue by yourself.
    """
    from prodrec.pipeline.demo import demo

    return demo(out, quick=quick, force=force)
