"""The command `prodrec neighbours`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console

EXAMPLES = """
Examples:

- `prodrec neighbours` does so for every finished run in `runs/`
- `prodrec neighbours runs/sicot dataset-of-today --other-dataset` lets products vote that were added after training
"""


@command("neighbours", parallel=True, epilog=EXAMPLES)
def neighbours_command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]… [DATASET]",
            help="Run directories or names in runs/, and the dataset. [default: all of runs/, dataset]",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Dataset made by `prodrec prepare`. [default: dataset]", show_default=False)
    ] = None,
    other_dataset: Annotated[
        bool,
        typer.Option("--other-dataset", help="Allow another dataset than that of training, with the same classes."),
    ] = False,
    search: Annotated[
        str,
        typer.Option(
            help="How a CPU finds the nearest training photos: exact, approximate (needs `prodrec[faiss]`), or auto, "
            "which is approximate above a million of them if faiss is installed. A GPU always searches exactly."
        ),
    ] = "auto",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Photos per batch. [default: as in training]")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that load photos. [default: by cores]")] = None,
) -> dict[str, Any]:
    """Keep the training photos' vectors of finished runs, and choose how their nearest neighbours vote.

    `prodrec train` does this at its end. Do it again when it was interrupted there, or when the dataset has new
    products: their photos vote at once, without training.
    """
    from prodrec.pipeline.neighbours import neighbours

    result = neighbours(
        runs,
        dataset,
        other_dataset=other_dataset,
        search=search,
        batch_size=batch_size,
        device=device,
        workers=workers,
    )
    console.print(str(result))
    console.print("next: `prodrec score --force`, then `prodrec report --by-head-tail`")
    return result.as_json()
