"""The command `prodrec demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command

EXAMPLES = """
Examples:

- `prodrec demo` works in `demo/`, two to four minutes on two cores
- `prodrec demo --out try --quick` takes a smaller catalogue and trains briefly, to see that all is in place
"""


@command("demo", epilog=EXAMPLES)
def demo_command(
    out: Annotated[Path, typer.Option(help="Directory for everything.")] = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="A smaller catalogue, trained too briefly to learn.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a demo that is there.")] = False,
) -> dict[str, Any]:
    """Draw a small catalogue and take it the whole way: prepare, pretrain-embeddings, train, score, report.

    No network and no data are needed. Every command is printed before it runs, and you can continue by yourself.
    """
    from prodrec.pipeline.demo import demo

    return demo(out, quick=quick, force=force)
