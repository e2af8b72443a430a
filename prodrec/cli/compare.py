"""The command `prodrec compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console

EXAMPLES = """
Examples:

- `prodrec compare` tests every pair of recipes in `scores/`, each with all its seeds
- `prodrec compare visual sicot` compares two runs that were scored
- `prodrec compare --baseline visual --head-from 50` compares every other recipe with `visual`
- `prodrec compare scores/visual-*.h5 scores/sicot-*.h5 --table a4 --markdown a4.md` adds table 4 of paper A
- `prodrec compare scores/visual.h5 scores/sicot.h5 --csv differences.csv` writes every gain, interval and p value
"""


@command("compare", epilog=EXAMPLES)
def compare_command(
    scores: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN|SCORES]...",
            help="Score files, runs, or their names. [default: all of scores/]",
            show_default=False,
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split to compare on: train, test or validation.")] = "test",
    top: Annotated[int, typer.Option(help="A photo is right if its class is among this many best.")] = 1,
    head_from: Annotated[int, typer.Option(help="A leaf with at least this many training images is head.")] = 100,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="The family or run with which the others are compared. [default: every pair]", show_default=False
        ),
    ] = None,
    pool_photos: Annotated[
        bool, typer.Option("--pool-photos", help="Count each product once, with the mean of the scores of its photos.")
    ] = False,
    table: Annotated[
        str | None,
        typer.Option(help="Add the results in the shape of a table of the papers: a2, a3, a4, s1 or s2."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write all differences as CSV, one per line.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the comparison as Markdown.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist already.")] = False,
) -> dict[str, Any]:
    """Test whether recipes differ on the same photos, with all their seeds, and give a verdict in words.

    Runs that differ in their seed alone are one column. Every gain in ACC and MACC, over all leaves, the head and the
    tail, has a 95 % interval and a p value over photos and seeds, corrected for the number of pairs.
    """
    from prodrec.eval.compare.render_terminal import terminal_parts
    from prodrec.pipeline.compare import compare

    comparison = compare(
        scores,
        split=split,
        top=top,
        head_from=head_from,
        baseline=baseline,
        pool_photos=pool_photos,
        table=table,
        csv=csv,
        markdown=markdown,
        force=force,
    )
    for part in terminal_parts(comparison):
        console.print(part)
    for note in comparison.notes:
        console.info(note)
    written = [path for path in (csv, markdown) if path is not None]
    for path in written:
        console.info(f"wrote {path}")
    return {**comparison.as_json(), "written": [str(path) for path in written]}
