"""The command `prodrec audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console

EXAMPLES = """
Examples:

- `prodrec audit` examines `dataset/` with the only run in `runs/`, and writes `audit.html` and `suspects.csv`
- `prodrec audit shop --run frozen --suspects 2000` takes the features of another run, and lists more
- `prodrec prepare products.csv --images photos/ --corrections suspects.csv --force` applies the decisions
"""


@command("audit", epilog=EXAMPLES)
def audit_command(
    dataset: Annotated[Path, typer.Argument(help="Directory that `prepare` wrote.")] = Path("dataset"),
    run: Annotated[
        Path | None,
        typer.Option(
            help="Run whose network computes the features, or its name in runs/. [default: the only one; for a dataset "
            "of feature vectors, these]",
            show_default=False,
        ),
    ] = None,
    csv: Annotated[Path, typer.Option(help="Table to write, with an empty column for decisions.")] = Path(
        "suspects.csv"
    ),
    html: Annotated[Path, typer.Option(help="Contact sheet to write.")] = Path("audit.html"),
    suspects: Annotated[int, typer.Option(min=1, help="Products to list, at most.")] = 500,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the planted errors on which the weights of the evidence are fitted.")
    ] = 0,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Photos per batch of the network. [default: that of training]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that load photos. [default: by the number of cores]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist already.")] = False,
) -> dict[str, Any]:
    """Find labels that are probably wrong: a contact sheet to look at, and a table for decisions.

    Photo, nearest photos, title, attributes and category tree are weighed together, by what finds errors that are
    planted in the dataset for a trial. Nothing is changed until `prepare --corrections` applies the decisions.
    """
    from prodrec.pipeline.audit import audit

    result = audit(
        dataset,
        run=run,
        csv=csv,
        html=html,
        suspects=suspects,
        seed=seed,
        batch_size=batch_size,
        device=device,
        workers=workers,
        force=force,
    )
    console.print(str(result))
    return result.as_json()
