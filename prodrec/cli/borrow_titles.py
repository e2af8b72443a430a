"""The command `prodrec borrow-titles`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console

EXAMPLES = """
Examples:

- `prodrec borrow-titles` lets photos of `dataset/` without a title take that of the nearest training photo, by the
  features of the only run in `runs/`, and writes `borrowed-titles.csv`
- `prodrec borrow-titles shop --from marketplace --run visual --min-similarity 0.7` takes the titles of another dataset
- `prodrec borrow-titles shop --from index` takes those of an index, by the run that made it
- `prodrec prepare products.csv --images photos/ --borrowed-titles borrowed-titles.csv --out titled` applies the table
"""


@command("borrow-titles", epilog=EXAMPLES)
def borrow_titles_command(
    dataset: Annotated[Path, typer.Argument(help="Directory that `prepare` wrote.")] = Path("dataset"),
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DATASET|INDEX",
            help="Dataset or index whose photos lend their titles. [default: the training photos of the dataset]",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Run whose network computes the features, or its name in runs/. [default: that of the index, else the "
            "only one; for datasets of feature vectors, these]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Table to write.")] = Path("borrowed-titles.csv"),
    min_similarity: Annotated[
        float, typer.Option(min=0, max=1, help="Least cosine of a photo and the one whose title it takes.")
    ] = 0.6,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of titles that are hidden for the trial.")] = 0,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Photos per batch of the network. [default: that of training]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that load photos. [default: by the number of cores]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a table at --out.")] = False,
) -> dict[str, Any]:
    """Let photos without a title take that of the nearest photo that has one, and write these titles to a table.

    Titles are hidden for a trial: the result shows by similarity how many of their words come back, to choose
    --min-similarity. `prodrec prepare` applies the table with its option --borrowed-titles.
    """
    from prodrec.pipeline.borrow_titles import borrow_titles

    result = borrow_titles(
        dataset,
        source=source,
        run=run,
        out=out,
        min_similarity=min_similarity,
        seed=seed,
        batch_size=batch_size,
        device=device,
        workers=workers,
        force=force,
    )
    console.print(str(result))
    console.info(f"next: add --borrowed-titles {out} to the `prodrec prepare` of {dataset}, with another --out")
    return result.as_json()
