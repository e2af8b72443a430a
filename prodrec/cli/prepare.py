"""`prodrec prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.app import app
from prodrec.cli.verb import verb


@verb(app)
def prepare(
    tables: Annotated[
        list[Path] | None, typer.Argument(help="CSV, TSV, JSON lines or Parquet.", metavar="[TABLE]...")
    ] = None,
    images: Annotated[Path, typer.Option("--images")] = Path("photos"),
    out: Annotated[Path, typer.Option("--out")] = Path("dataset"),
    levels: Annotated[str, typer.Option("--levels")] = "",
    attributes: Annotated[str, typer.Option("--attributes")] = "",
    workers: Annotated[int | None, typer.Option("--workers")] = None,
    force: Annotated[bool, typer.Option("--force")] = False,
) -> dict[str, Any]:
    """Make a clean dataset."""
    from prodrec.core import console
    from prodrec.core.data.catalogue import Columns
    from prodrec.core.data.options import PrepareOptions
    from prodrec.core.data.prepare import prepare as make

    columns = Columns(
        levels=tuple(filter(None, levels.split(","))), attributes=tuple(filter(None, attributes.split(",")))
    )
    found = make(
        tables or [], images=images, out=out, options=PrepareOptions(columns=columns), workers=workers, force=force
    )
    console.say(found["counts"])
    return found["counts"]
