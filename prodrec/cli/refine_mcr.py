"""The command `prodrec refine-mcr`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console
from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    from prodrec.eval.refine.refinement import Refinement

EXAMPLES = """
Examples:

- `prodrec refine-mcr` refines every file of `scores/` that has several levels, each to `scores/NAME-mcr.h5`
- `prodrec refine-mcr scores/bcnn.h5 scores/bcnn-root.h5 --out scores/bcnn-mcr.h5` fuses a leaf run and a root run
- `prodrec refine-mcr scores/bcnn.h5 scores/bcnn-root.h5 --penalty weights --normaliser related` is the paper as printed
- `prodrec refine-mcr scores/new.h5 --weights scores/bmtl-rl-mcr.weights.hdf5` applies weights that were fitted before

f is the vector of raw scores of all levels. The refined score of category c is w_c · f. w_c has weights only for the
categories of R_c: all categories of shallower levels, the K of c's own level with the largest weights in a first fit
with all categories (c is always one of them), and their children. W minimises −log P(true categories) + λ‖W − I‖². A
large λ leaves the scores unchanged. `--penalty weights` shrinks W towards 0 instead. λ is chosen by cross-validation:
it has the smallest loss of those that lower neither ACC nor MACC, of the leaves and on average over the levels, on rows
that the fit has not seen.
Rows that the fit uses get scores from weights that were fitted without them. Classes without a row to fit on keep their
probabilities, and their accuracy is printed apart.

A top-k file gives a top-k file. Each of its scores enters as its distance from the smallest score of its row and
level; a score that is not in the file enters as 0. The categories of a row are sorted anew. For top-k files, and for
catalogues with more than 3,000 categories (the 100 best scores of each level are read then), the first fit does not
use all categories. It uses c's ancestors and, of each level, the --candidates categories that score highest on the rows
of c. R_c is chosen among these, shallower levels included.
"""


@command("refine-mcr", epilog=EXAMPLES)
def refine_mcr_command(
    scores: Annotated[
        list[Path] | None,
        typer.Argument(
            help="One file with several levels, or one per level. [default: all in scores/ with several levels]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Refined scores. [default: scores/NAME-mcr.h5]", show_default=False)
    ] = None,
    fit: Annotated[str, typer.Option(help="Splits to fit the weights on, joined by commas.")] = "validation",
    lambda_: Annotated[
        str, typer.Option("--lambda", help="λ of the penalty; auto chooses it by cross-validation.")
    ] = "auto",
    k: Annotated[
        str | None,
        typer.Option(
            help="K: categories of c's own level in R_c; all puts every category into R_c. [default: 3]",
            show_default=False,
        ),
    ] = None,
    normaliser: Annotated[
        str,
        typer.Option(
            help="Normalise P(c) over all categories of its level, or over R_c (related), as the paper prints it."
        ),
    ] = "level",
    penalty: Annotated[
        str,
        typer.Option(
            help="Shrink W towards the identity (the raw scores), or towards 0 (weights), as the paper prints it."
        ),
    ] = "identity",
    levels: Annotated[
        str | None,
        typer.Option(help="Levels to refine, joined by commas. [default: all that are scored]", show_default=False),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="File of fitted weights to apply, instead of fitting.")] = None,
    save_weights: Annotated[
        Path | None,
        typer.Option(help="File for the fitted weights (HDF5). [default: OUT with .weights.hdf5]", show_default=False),
    ] = None,
    candidates: Annotated[
        int, typer.Option(help="Categories of each level in the first fit of each category, for top-k scores.")
    ] = 20,
    folds: Annotated[int, typer.Option(help="Folds of the cross-fitting.")] = 5,
    iterations: Annotated[int, typer.Option(help="Maximum number of steps of the solver.")] = 500,
    fit_on_judged: Annotated[
        bool,
        typer.Option(
            "--fit-on-judged",
            help="Allow fitting on test rows, or applying weights to the rows that they were fitted on.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist already.")] = False,
) -> dict[str, Any]:
    """Refine the scores of every level by those of the other levels of the category tree (MCR, paper S §3.3).

    Prints the top-1 accuracy of every level before and after, and warns where it fell. Each row is refined by weights
    that were fitted without it.
    """
    from prodrec.pipeline.refine_mcr import refine_mcr

    result = refine_mcr(
        scores,
        out=out,
        fit=fit,
        lambda_=_lambda(lambda_),
        k=_k(k),
        normaliser=normaliser,
        penalty=penalty,
        levels=levels,
        weights=weights,
        save_weights=save_weights,
        candidates=candidates,
        folds=folds,
        iterations=iterations,
        fit_on_judged=fit_on_judged,
        force=force,
    )
    for refinement in result.refined:
        _print_refinement(refinement)
    for path in result.up_to_date:
        console.print(f"{path} is up to date")
    console.print("next: `prodrec report --by-level`")
    return result.as_json()


def _print_refinement(refinement: Refinement) -> None:
    from rich.table import Table

    console.print(refinement.summary())
    for note in refinement.notes:
        console.info(note)
    table = Table(box=None, pad_edge=False)
    for header in ("top-1, percent", "level", "", "images", "classes", "before", "after", "change"):
        table.add_column(header, justify="left" if header in ("top-1, percent", "level", "") else "right")
    for row in refinement.accuracies:
        counts = (f"{row.rows:,}", f"{row.classes:,}")
        values = (f"{row.before:.2f}", f"{row.after:.2f}", f"{row.after - row.before:+.2f}")
        table.add_row(row.split, row.level_and_part, row.metric, *counts, *values)
    console.print(table)
    if refinement.worse:
        rows = ", ".join(
            f"{w.split} {w.level_and_part} {w.metric} {w.before:.2f} to {w.after:.2f}" for w in refinement.worse
        )
        console.warn(f"refinement makes these rows worse: {rows}; the raw scores may be the better ones.")


def _lambda(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise BadOption(f"--lambda {text}: expected auto or a number that is not negative.") from None


def _k(text: str | None) -> int | str | None:
    if text is None or text == "all":
        return text
    try:
        return int(text)
    except ValueError:
        raise BadOption(f"--k {text}: expected a whole number or all.") from None
