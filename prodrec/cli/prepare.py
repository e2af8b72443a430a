"""The command `prodrec prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console, dist
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames


@command("prepare", parallel=True, options=(ColumnNames, PrepareOptions))
def prepare_command(
    tables: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TABLE",
            help="CSV, TSV, JSON, XML, Parquet or Excel; several need the same columns. Without a table, the folders "
            "of --images name the categories: root/…/leaf/photo.jpg.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="WHERE", help="Folder, tar or zip of photos. [default: the folder of the first table]"),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Vectors in place of photos: .npy, or .h5 with a dataset `features`, [rows, numbers] of float16 or "
            "float32; row i belongs to row i of the tables, counted through all of them.",
        ),
    ] = None,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Use titles and categories alone, to train word vectors.")
    ] = False,
    out: Annotated[Path, typer.Option(metavar="DATASET", help="Directory to write.")] = Path("dataset"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing dataset.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes of each rank that decode photos; the result is the same. [default: all cores]"
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Read the first 10,000 rows of every table, print what is understood and what would be rejected, and "
            "write nothing.",
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with options of the panels below; options on the command line win over it."),
    ] = None,
    **options: Any,
) -> dict[str, Any]:
    """Make a clean dataset from a table of products and their photos.

    Every photo is decoded once. Rows that cannot be used are listed in `rejected.csv` with the reason. Duplicate photos
    stay in one split. The other commands need nothing but the directory that this command writes.

    Columns are found by name (`id image title root middle leaf`, `masterCategory subCategory articleType`,
    `category_1 category_2 …`); options name others.

    **Example**

        prodrec prepare products.csv --images photos/ --dry-run

        prodrec prepare products.csv --images photos/

        prodrec prepare shop.jsonl --images photos.zip --path-column category --attributes colour,season --out shop

        prodrec prepare products.parquet --features vectors.npy

        torchrun --nproc-per-node 8 -m prodrec prepare products.csv --images photos.tar
    """
    from prodrec.cli.dataset_summary import print_dataset, summary_json
    from prodrec.pipeline.prepare import prepare_dataset, read_prepare_options

    if dry_run:
        return _dry_run(
            tables or [],
            images=images,
            features=features,
            no_images=no_images,
            out=out,
            config=config,
            workers=workers,
            force=force,
            **options,
        )
    settings = read_prepare_options(options, config=config, no_images=no_images, features=features)
    header = prepare_dataset(
        tables or [], images=images, features=features, out=out, options=settings, workers=workers, force=force
    )
    print_dataset(header, out)
    next_command = "pretrain-embeddings" if no_images else "train visual"
    console.info(f"wrote {out}; next: prodrec {next_command}" + ("" if out == Path("dataset") else f" {out}"))
    return summary_json(header, out)


def _dry_run(tables: list[Path], **arguments: Any) -> dict[str, Any]:
    """Print the preview on rank 0, and return it as plain values."""
    from prodrec.pipeline.preview import preview

    if not dist.is_main():
        return {}
    result = preview(tables, **arguments)
    console.print(str(result))
    return result.as_json()
