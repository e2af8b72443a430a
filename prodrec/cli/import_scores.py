"""The command `prodrec import-scores`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console

EXAMPLES = """
Examples:

- `prodrec import-scores timm.csv` makes `scores/timm.h5` of the columns id, class and score
- `prodrec import-scores timm-1.parquet --family timm --seed 1` is a repeat of `timm` for `report --mean` and `compare`
- `prodrec import-scores ultralytics.csv --photo-column im --class-column name --score-column conf --split test`
- `prodrec import-scores autogluon.csv dataset --values logits` takes the scores as they are
"""


@command("import-scores", epilog=EXAMPLES)
def import_scores_command(
    table: Annotated[
        Path,
        typer.Argument(help="Table with a photo, a class and a score in each row, or with a column for each class."),
    ],
    dataset: Annotated[Path, typer.Argument(help="The dataset that contains the photos.")] = Path("dataset"),
    name: Annotated[
        str | None, typer.Option(help="Name of the run in reports. [default: that of the table]", show_default=False)
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(help="Runs of one family are repeats if their seeds differ. [default: NAME]", show_default=False),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the run.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option(help="Scores file. [default: scores/NAME.h5]", show_default=False)] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Splits, joined by commas, or all. [default: those of which the table has photos]", show_default=False
        ),
    ] = None,
    photo_column: Annotated[
        str | None, typer.Option(help="Column with ids of products, or names of photo files.", show_default=False)
    ] = None,
    class_column: Annotated[
        str | None, typer.Option(help="Column with names of leaves, or full paths.", show_default=False)
    ] = None,
    score_column: Annotated[str | None, typer.Option(help="Column with scores.", show_default=False)] = None,
    values: Annotated[str, typer.Option(help="What the scores are: probabilities, logits or auto.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace scores that exist already.")] = False,
) -> dict[str, Any]:
    """Make a scores file of the predictions of another tool, for the same reports and comparisons."""
    from prodrec.pipeline.import_scores import import_scores

    imported = import_scores(
        table,
        dataset,
        name=name,
        family=family,
        seed=seed,
        out=out,
        split=split,
        photo_column=photo_column,
        class_column=class_column,
        score_column=score_column,
        values=values,
        force=force,
    )
    console.info(str(imported))
    return imported.as_json()
