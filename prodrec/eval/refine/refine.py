"""Refines score files: joins them, fits W on some rows, writes refined scores of all, and judges before and after.

Shapes: R rows of a piece; L refined levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from prodrec.core.base import console
from prodrec.core.base.artefact import SPLITS, new_file
from prodrec.eval.refine.checks import (
    OutputPaths,
    check_fit_splits,
    check_k,
    check_weights,
    choose_output_paths,
    empty_categories,
)
from prodrec.eval.refine.dense import dense_rows
from prodrec.eval.refine.fit import CrossFitted, Fitted, Rows, cross_fit, fold_of
from prodrec.eval.refine.kept import together
from prodrec.eval.refine.score_files import Joined, join
from prodrec.eval.refine.settings import Settings
from prodrec.eval.refine.tally import Tally
from prodrec.eval.refine.weights import KIND, Saved, Weights, read, save
from prodrec.eval.refine.write import write


def refine(
    paths: Sequence[Path],
    *,
    out: Path | None = None,
    settings: Settings | None = None,
    fit_on: Sequence[str] = ("validation",),
    weights: Path | None = None,
    save_weights: Path | None = None,
    levels: Sequence[str] | None = None,
    fit_on_judged: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Refine the scores of one file, or of several files of one dataset, into one file; what was done, for --json.

    The rows of the splits `fit_on` are refined by weights of which each has not seen its rows; all others by weights
    fitted on all rows of `fit_on`. With `weights` nothing is fitted. Nothing stands at `out` before all is written.
    Raises the UserErrors of its parts.
    """
    settings = settings or Settings()
    with ExitStack() as stack:
        joined = join(paths, stack, levels=levels)
        places = choose_output_paths(joined, out, save_weights, fitted=weights is None, force=force)
        saved = None if weights is None else read(weights)
        if saved is not None and weights is not None:
            check_weights(saved, weights, joined, fit_on_judged=fit_on_judged)
            return _apply(joined, places, saved, force=force)
        check_k(settings, joined)
        check_fit_splits(joined, tuple(fit_on), fit_on_judged=fit_on_judged)
        return _fit_and_apply(joined, places, settings, tuple(fit_on), force=force)


def _fit_and_apply(
    joined: Joined, places: OutputPaths, settings: Settings, fit_on: tuple[str, ...], *, force: bool
) -> dict[str, Any]:
    rows = _rows(joined, fit_on, settings.folds)
    notes = empty_categories(joined, rows, settings, fit_on)
    if joined.keep is not None and all(file.top_k is None for file in joined.files):
        notes.append(f"{joined.tree.n:,} categories: of each row and level the {joined.keep} best scores are refined.")
    found = _fit(joined, rows, settings)
    assert places.weights is not None
    facts = {"fit": list(fit_on), "penalty": settings.penalty, "k": settings.most_related or 0, "folds": settings.folds}
    made_from = _made_from(joined)
    with new_file(places.weights, kind=KIND, force=force) as beside:
        fingerprint = save(
            beside,
            found.final.weights,
            joined.main.taxonomy,
            strength=found.strength,
            facts=facts,
            made_from=made_from,
        )
        by_fold = {fold: fitted.weights for fold, fitted in found.folds.items()}
        tally = write(
            joined,
            places.scores,
            found.final.weights,
            by_fold,
            fit_on=fit_on,
            folds=settings.folds,
            recipe=settings.as_json() | {"fit": list(fit_on), "levels": list(joined.levels)},
            made_from=made_from | {KIND: fingerprint},
            force=force,
        )
    return {
        **_answer(joined, places, tally, found.strength, found.final.weights, notes),
        "fit": {"splits": list(fit_on), "rows": rows.count, "folds": len(found.folds)},
        "lambda_tried": {f"{strength:g}": round(loss, 6) for strength, loss in sorted(found.tried.items())},
        "solver": _solver(found),
        "settings": settings.as_json(),
    }


def _apply(joined: Joined, places: OutputPaths, saved: Saved, *, force: bool) -> dict[str, Any]:
    """Refine by weights that were fitted before."""
    facts = {"lambda": saved.strength, "normaliser": saved.weights.normaliser, **saved.facts}
    tally = write(
        joined,
        places.scores,
        saved.weights,
        {},
        fit_on=(),
        folds=1,
        recipe=facts | {"levels": list(joined.levels), "weights": saved.fingerprint},
        made_from=_made_from(joined) | {KIND: saved.fingerprint},
        force=force,
    )
    return _answer(joined, places, tally, saved.strength, saved.weights, [])


def _fit(joined: Joined, rows: Rows, settings: Settings) -> CrossFitted:
    searched = settings.strength is None
    total = settings.folds * (6 if searched else 1) + 1  # about: how far λ is from the first guess is not known
    with console.progress(f"refine {joined.main.origin.run}", total=total, unit="fits") as advance:
        now, started = ["", 0], [0]

        def on_fit(text: str) -> None:
            advance(1 if started[0] else 0, note=text)
            now[0], started[0] = text, started[0] + 1

        def on_step(step: int, objective: float) -> None:
            advance(0, note=f"{now[0]}: step {step}, objective {objective:,.4g}")

        found = cross_fit(rows, joined.tree, settings, on_fit=on_fit, on_step=on_step)
        advance(1)
    status = found.final.status
    if status != "converged":
        parts = [part for part in found.final.solved if part.status != "converged"]
        why = "stopped after all its steps" if status == "iterations" else "made no more progress"
        console.warn(
            f"the solver {why} ({max(part.iterations for part in parts)}) before it converged; "
            "the weights are the best it found: allow more with --iterations, or take a larger --lambda."
        )
    return found


def _solver(found: CrossFitted) -> dict[str, Any]:
    def told(fitted: Fitted) -> dict[str, Any]:
        return {
            "status": fitted.status,
            "steps": sum(part.iterations for part in fitted.solved),
            "evaluations": sum(part.evaluations for part in fitted.solved),
            "in_float64": sum(part.float64_evaluations for part in fitted.solved),
            "seconds": round(sum(part.seconds for part in fitted.solved), 3),
        }

    others = [fitted for fitted in found.fits if fitted is not found.final]
    return {
        "final": told(found.final),
        "cross_validation": {
            "fits": len(others),
            "not_converged": sum(fitted.status != "converged" for fitted in others),
            "seconds": round(sum(part.seconds for fitted in others for part in fitted.solved), 3),
        },
    }


def _answer(
    joined: Joined, places: OutputPaths, tally: Tally, strength: float, weights: Weights, notes: list[str]
) -> dict[str, Any]:
    figures = tally.figures()
    return {
        "scores": str(places.scores),
        "weights": None if places.weights is None else str(places.weights),
        "inputs": [str(file.path) for file in joined.files],
        "levels": list(joined.levels),
        "rows": joined.main.n,
        "top_k": joined.keep,
        "lambda": strength,
        "parameters": weights.pattern.size,
        "figures": figures,
        "worse": [figure for figure in figures if figure["after"] < figure["before"]],
        "notes": notes,
    }


def _made_from(joined: Joined) -> dict[str, str]:
    found = {"dataset": joined.main.origin.made_from.get("dataset", "")}
    for level, file in joined.sources.items():
        found[f"scores of {level}"] = file.fingerprint
    return found


def _rows(joined: Joined, fit_on: Sequence[str], folds: int) -> Rows:
    """The rows of the fit, in memory."""
    codes = [SPLITS.index(split) for split in fit_on]

    def chosen() -> Any:
        for piece in joined.pieces():
            mine = np.isin(piece.main.split_R, codes)
            if mine.any():
                yield piece, mine, fold_of(piece.main.rows_R, folds)

    if joined.keep is None:
        return dense_rows(
            (piece.side_by_side()[mine], piece.labels_RL[mine], fold_R[mine]) for piece, mine, fold_R in chosen()
        )
    return together([piece.kept(joined.tree, fold_R).take(mine) for piece, mine, fold_R in chosen()])
