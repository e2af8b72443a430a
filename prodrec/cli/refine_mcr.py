"""`prodrec refine-mcr`: scores of several levels in, refined scores of the same schema out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console
from prodrec.core.base.config import listed
from prodrec.core.base.errors import BadOption, NotFound, OutputExists

if TYPE_CHECKING:
    from prodrec.eval.refine.settings import Settings

EXAMPLES = """
Examples:

- `prodrec refine-mcr` refines every file of `scores/` that holds several levels, each to `scores/NAME-mcr.h5`
- `prodrec refine-mcr scores/bcnn.h5 scores/bcnn-root.h5 --out scores/bcnn-mcr.h5` fuses a leaf run and a root run
- `prodrec refine-mcr scores/bcnn.h5 scores/bcnn-root.h5 --penalty weights --normaliser related` is the paper as printed
- `prodrec refine-mcr scores/new.h5 --weights scores/bmtl-rl-mcr.weights.hdf5` applies weights that were fitted before

How: f holds the raw scores of all levels; the refined score of category c is w_c · f, with weights for the categories
of R_c only: all shallower ones, the K of c's own level with the largest weights in a first fit with all categories
(c is one of them), and their children. W minimises −log P of the true categories + λ‖W − I‖², so that a large λ leaves
the scores as they are; `--penalty weights` shrinks W towards 0 instead. λ is chosen by cross-validation. Rows that
the fit uses get scores from weights fitted without them.

Top-k files stay top-k: a kept score counts by how far it is above the smallest one kept of its row and level, an absent
one counts as that smallest one, and the kept categories of a row are set in a new order. There, and where a catalogue
has more than 3,000 categories (of which the 100 best scores a level are read), the first fit takes the --candidates
categories of each level that score highest in the rows of c, with c's ancestors, instead of all; R_c is chosen among
these, the shallower levels included.
"""


@command("refine-mcr", epilog=EXAMPLES)
def refine_mcr_command(
    scores: Annotated[
        list[Path] | None,
        typer.Argument(
            help="One file with several levels, or one file for each level. [default: all such of scores/, one by one]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Refined scores. [default: scores/NAME-mcr.h5]", show_default=False)
    ] = None,
    fit: Annotated[str, typer.Option(help="Splits whose rows the weights are fitted on, with commas.")] = "validation",
    strength: Annotated[
        str, typer.Option("--lambda", help="λ of the penalty, or auto: by cross-validation on the rows of the fit.")
    ] = "auto",
    k: Annotated[
        str | None,
        typer.Option(
            help="Categories of its own level in R_c, or all: R_c is everything. [default: 3, or as many as there are]",
            show_default=False,
        ),
    ] = None,
    normaliser: Annotated[
        str, typer.Option(help="P(c) over the categories of its level, or over R_c (related) as printed in the paper.")
    ] = "level",
    penalty: Annotated[
        str, typer.Option(help="Shrink towards the raw scores (identity), or W towards 0 (weights) as printed.")
    ] = "identity",
    levels: Annotated[
        str | None,
        typer.Option(help="Levels to refine, with commas. [default: all that are scored]", show_default=False),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Apply these fitted weights; nothing is fitted.")] = None,
    save_weights: Annotated[
        Path | None,
        typer.Option(help="Fitted weights (HDF5). [default: OUT with .weights.hdf5]", show_default=False),
    ] = None,
    candidates: Annotated[
        int, typer.Option(help="Categories a level that the first fit on top-k scores takes for each category.")
    ] = 20,
    folds: Annotated[int, typer.Option(help="Parts of the cross-fitting.")] = 5,
    iterations: Annotated[int, typer.Option(help="Most steps of the solver.")] = 500,
    fit_on_judged: Annotated[
        bool, typer.Option("--fit-on-judged", help="Allow fitting on the test rows, or weights fitted on these rows.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist already.")] = False,
) -> dict[str, Any]:
    """Refine scores by what the levels of the category tree say of each other (MCR, paper S §3.3).

    Prints top-1 accuracy before and after for every level, on rows that no fit has seen, and warns where it fell.
    """
    from prodrec.eval.refine.refine import refine
    from prodrec.eval.refine.settings import Settings

    settings = Settings(
        strength=_strength(strength),
        k=_k(k),
        normaliser=normaliser,
        penalty=penalty,
        candidates=candidates,
        folds=folds,
        iterations=iterations,
    )
    splits = listed(fit)
    if weights is not None:
        others = {"--lambda": strength != "auto", "--k": k is not None, "--save-weights": save_weights is not None}
        others |= {"--normaliser": normaliser != "level", "--penalty": penalty != "identity"}
        others |= {"--fit": fit != "validation"}
        if given := [option for option, used in others.items() if used]:
            raise BadOption(f"--weights {weights}: nothing is fitted, so that {', '.join(given)} would do nothing.")
    places = (out, save_weights)
    groups, up_to_date = ([scores], []) if scores else find_levels(places, settings, splits, force=force)
    refined = []
    for group in groups:
        found = refine(
            group,
            out=out,
            settings=settings,
            fit_on=splits,
            weights=weights,
            save_weights=save_weights,
            levels=None if levels is None else listed(levels),
            fit_on_judged=fit_on_judged,
            force=force,
        )
        _say(found)
        refined.append(found)
    for path in up_to_date:
        console.print(f"{path} is up to date")
    console.print("next: `prodrec report --by-level`")
    return {"refined": refined, "up_to_date": [str(path) for path in up_to_date]}


def find_levels(
    places: tuple[Path | None, Path | None], settings: Settings, fit_on: tuple[str, ...], *, force: bool
) -> tuple[list[list[Path]], list[Path]]:
    """The files of scores/ that hold several levels and are not refined themselves; refined files that are up to date.

    places: those asked for, of scores and weights. Raises NotFound where there is nothing to refine, OutputExists for a
    refined file of other scores or settings, BadOption.
    """
    from prodrec.core.scores.reader import open_scores
    from prodrec.eval.refine.checks import place_of
    from prodrec.eval.report.report import find_scores

    work, up_to_date, alone = [], [], []
    for path in find_scores(Path("scores")):
        with open_scores(path) as scores:
            if "mcr" in scores.origin.recipe:
                continue
            if len(scores.scored_levels) < 2 or scores.levels[-1] not in scores.scored_levels:
                alone.append(f"{path} ({', '.join(scores.scored_levels) or 'attributes'})")
                continue
            place = places[0] or place_of(path)
            if force or not place.exists():
                work.append([path])
                continue
            with open_scores(place) as refined:
                made = {of for kind, of in refined.origin.made_from.items() if kind.startswith("scores of")}
                asked = refined.origin.recipe.get("mcr", {})
            if made != {scores.fingerprint}:
                raise OutputExists(f"{place} exists and is not of {path} as it is now; add --force to replace it.")
            now = {**settings.as_json(), "fit": list(fit_on)}
            if differs := [name for name, value in now.items() if asked.get(name) != value]:
                raise OutputExists(
                    f"{place} exists and was refined with another {' and '.join(differs)}; add --force to replace it."
                )
            up_to_date.append(place)
    if not work and not up_to_date:
        raise NotFound(
            f"no file of scores/ holds several levels (found {'; '.join(alone) or 'refined ones only'}); name the "
            "files of one dataset together, one for each level, or refine the leaves by themselves with --levels."
        )
    for text in alone:
        console.info(f"{text} holds a single level and is left out; name it together with the others of its dataset")
    if len(work) > 1 and any(places):
        raise BadOption(f"{places[0] or places[1]} is one place for {len(work)} files; name one file, or leave it out.")
    return work, up_to_date


def _say(found: dict[str, Any]) -> None:
    from rich.table import Table

    fitted = found.get("fit")
    how = f"fitted on {fitted['rows']:,} {' and '.join(fitted['splits'])} rows" if fitted else "by given weights"
    console.print(
        f"{found['scores']}: {found['rows']:,} rows, {len(found['levels'])} levels, λ = {found['lambda']:.4g}, "
        f"{found['parameters']:,} weights {how}"
    )
    if fitted:
        solver = found["solver"]["final"]
        in_float64 = f", {solver['in_float64']} of them in float64" if solver["in_float64"] else ""
        console.print(
            f"solver: {solver['status']} after {solver['steps']} steps, {solver['evaluations']} evaluations{in_float64}"
        )
    for note in found["notes"]:
        console.info(note)
    table = Table(box=None, pad_edge=False)
    for head in ("top-1, percent", "level", "", "images", "classes", "before", "after", "change"):
        table.add_column(head, justify="left" if head in ("top-1, percent", "level", "") else "right")
    for figure in found["figures"]:
        names = (figure["split"], figure["level"], figure["metric"])
        counts = (f"{figure['rows']:,}", f"{figure['classes']:,}")
        before, after = figure["before"], figure["after"]
        table.add_row(*names, *counts, f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}")
    console.print(table)
    if found["worse"]:
        told = ", ".join(
            f"{f['split']} {f['level']} {f['metric']} {f['before']:.2f} to {f['after']:.2f}" for f in found["worse"]
        )
        console.warn(f"refinement makes these rows worse: {told}; the raw scores may be the better ones.")


def _strength(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise BadOption(f"--lambda {text}: expected auto or a number that is not negative.") from None


def _k(text: str | None) -> int | str:
    if text is None or text == "all":
        return "usual" if text is None else text
    try:
        return int(text)
    except ValueError:
        raise BadOption(f"--k {text}: expected a whole number or all.") from None
