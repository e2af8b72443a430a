"""What is refused before any work: places that are taken, splits not to be fitted on, weights that do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prodrec.core.base.artefact import SPLITS, refuse_if_taken
from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.eval.refine.fit import Rows
from prodrec.eval.refine.score_files import Joined
from prodrec.eval.refine.settings import Settings
from prodrec.eval.refine.weights import KIND, Saved, check_classes

NAMED = 3


@dataclass(frozen=True)
class OutputPaths:
    """Where refined scores and their weights are written."""

    scores: Path
    weights: Path | None


def place_of(main: Path) -> Path:
    """Where refined scores go without --out: scores/NAME-mcr.h5, NAME being the file with the leaves."""
    return Path("scores") / f"{main.stem}-mcr.h5"


def choose_output_paths(
    joined: Joined, out: Path | None, save_weights: Path | None, *, fitted: bool, force: bool
) -> OutputPaths:
    """Raises OutputExists or BadOption before any work."""
    scores = out or place_of(joined.main.path)
    weights = save_weights or scores.with_name(f"{scores.stem}.weights.hdf5")
    places = OutputPaths(scores, weights if fitted else None)
    inputs = {file.path.resolve() for file in joined.files}
    for path, kind in ((places.scores, "scores"), (places.weights, KIND)):
        if path is None:
            continue
        if path.resolve() in inputs:
            raise BadOption(f"{path} is one of the files to refine; give another place with --out.")
        refuse_if_taken(path, kind=kind, force=force)
    if scores.resolve() == weights.resolve():
        raise BadOption(f"{scores} is named twice as a place to write to.")
    return places


def check_k(settings: Settings, joined: Joined) -> None:
    """Raise BadOption where a K that was asked for is larger than a level."""
    for at, level in enumerate(joined.levels):
        count = joined.tree.count(at)
        if isinstance(settings.k, int) and settings.k > count:
            raise BadOption(f"--k {settings.k}: level {level} has {count} categories; give at most {count}, or all.")


def check_fit_splits(joined: Joined, fit_on: tuple[str, ...], *, fit_on_judged: bool) -> None:
    if not fit_on:
        raise BadOption(f"--fit names no split; there are {', '.join(SPLITS)}.")
    for split in fit_on:
        if split not in SPLITS:
            raise BadOption(f"--fit {','.join(fit_on)}: there is no split {split!r}; there are {', '.join(SPLITS)}.")
        if split == "test" and not fit_on_judged:
            raise BadOption(
                "--fit test: the test rows are those that runs are judged on; fit on validation or train, "
                "or add --fit-on-judged if you mean it."
            )
        if split not in joined.main.splits or not joined.main.count(split):
            raise BadOption(
                f"{joined.main.path} has no rows of split {split} to fit on (it has {', '.join(joined.main.splits)}); "
                f"score the run again with --split {split},test, or apply fitted weights with --weights."
            )


def empty_categories(joined: Joined, rows: Rows, settings: Settings, fit_on: tuple[str, ...]) -> list[str]:
    """Categories without a single row of the fit: they keep their raw scores under the identity penalty only."""
    tree = joined.tree
    empty = np.flatnonzero(rows.rows_by_category(tree.n) == 0)
    if not len(empty):
        return []
    names = []
    for category in empty[:NAMED].tolist():
        at = int(tree.level_of(np.array(category)))
        taxonomy = joined.main.taxonomy
        name = taxonomy.names[taxonomy.levels.index(tree.levels[at])][category - int(tree.starts_L1[at])]
        names.append(f"{name!r} of level {tree.levels[at]}")
    more = f" and {len(empty) - NAMED:,} more" if len(empty) > NAMED else ""
    what = f"{', '.join(names)}{more} {'has' if len(empty) == 1 else 'have'} no {' or '.join(fit_on)} row in "
    what += str(joined.main.path)
    if settings.penalty == "weights":
        raise BadOption(
            f"{what}; the penalty on W would silence what has no row: fit on a split that has all categories with "
            "--fit, or take --penalty identity."
        )
    return [f"{what}: their weights stay close to those that leave the scores as they are."]


def check_weights(saved: Saved, path: Path, joined: Joined, *, fit_on_judged: bool) -> None:
    """Raise Mismatch for weights of other classes, levels or kinds of scores, or fitted on rows that are here."""
    check_classes(saved, path, joined.main.taxonomy, joined.main.path)
    if saved.refined != joined.levels:
        raise Mismatch(
            f"{path} refines the levels {', '.join(saved.refined)} and the scores given hold "
            f"{', '.join(joined.levels)}; give scores of the same levels."
        )
    if saved.weights.kept != (joined.keep is not None):
        kinds = ("all scores", "the best scores only (top-k)")
        raise Mismatch(
            f"{path} was fitted on {kinds[saved.weights.kept]} and {joined.main.path} holds "
            f"{kinds[joined.keep is not None]}; fit weights on scores of the same kind."
        )
    same = saved.made_from.get("dataset") == joined.main.origin.made_from.get("dataset")
    seen = [split for split in saved.facts["fit"] if split in joined.main.splits]
    if same and seen and not fit_on_judged:
        raise Mismatch(
            f"{path} was fitted on the {', '.join(seen)} rows of this dataset, which {joined.main.path} holds; "
            "refine scores without them, or add --fit-on-judged if you mean it."
        )
