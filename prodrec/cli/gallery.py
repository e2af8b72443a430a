"""The command `prodrec gallery`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console

EXAMPLES = """
Examples:

- `prodrec gallery` draws photos of the only file in `scores/`, at random, to `gallery.png`
- `prodrec gallery scores/visual.h5 dataset --only errors --out errors.png` shows the most confident errors: often
  products under a wrong category
- `prodrec gallery visual --leaf Belts --sort unsure --columns 10 --rows 3 --out belts.svg`
- `prodrec gallery visual --level root --only errors --json` also prints them as JSON
"""


@command("gallery", epilog=EXAMPLES)
def gallery_command(
    scores: Annotated[
        Path | None,
        typer.Argument(help="Scores file, or its name in scores/. [default: the only one]", show_default=False),
    ] = None,
    dataset: Annotated[Path, typer.Argument(help="The dataset that was scored.")] = Path("dataset"),
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .svg or .pdf.")] = Path("gallery.png"),
    split: Annotated[str, typer.Option(help="Split: train, test or validation.")] = "test",
    only: Annotated[str, typer.Option(help="Photos to draw: all, errors or right.")] = "all",
    sort: Annotated[
        str | None,
        typer.Option(
            help="Order: random, confident or unsure first. [default: random; confident for errors]", show_default=False
        ),
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="Level of the predicted class. [default: the deepest scored]", show_default=False)
    ] = None,
    leaf: Annotated[str | None, typer.Option(help="Only photos of this leaf, by their true class.")] = None,
    root: Annotated[str | None, typer.Option(help="Only photos of this root, by their true class.")] = None,
    columns: Annotated[int, typer.Option(min=1, max=20, help="Photos in a row.")] = 8,
    rows: Annotated[int, typer.Option(min=1, max=50, help="Rows of photos.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the random choice.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a picture that exists already.")] = False,
) -> dict[str, Any]:
    """Draw photos with their predicted class and its probability; errors have a red frame, a cross and the true class.

    Look at confident errors first: either the model is wrong, or the label.
    """
    from prodrec.eval.gallery_contents import GalleryOptions
    from prodrec.pipeline.gallery import draw_gallery

    options = GalleryOptions(split, level, only, sort, leaf, root, columns * rows, seed)
    summary = draw_gallery(scores, dataset, out, options, columns=columns, force=force)
    drawn, images, errors = len(summary["photos"]), summary["images"], summary["errors"]
    without = summary.get("without_label", 0)
    unlabelled = f", {without:,} without a label at level {summary['level']}" if without else ""
    console.print(f"wrote {out}: {drawn:,} of {images + without:,} photos, {errors:,} of them wrong{unlabelled}")
    return summary
