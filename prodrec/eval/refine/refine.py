"""Refine score files: fit W on the rows of some splits, and write the refined scores of all rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.folds import assign_folds
from prodrec.core.base.outputs import new_file
from prodrec.eval.refine.accuracy import AccuracyCounter
from prodrec.eval.refine.checks import (
    OutputPaths,
    check_fit_splits,
    check_k,
    check_weights,
    choose_output_paths,
    empty_category_notes,
)
from prodrec.eval.refine.cross_fit import CrossFitResult, cross_fit
from prodrec.eval.refine.dense_samples import DenseSamples
from prodrec.eval.refine.fit import Samples
from prodrec.eval.refine.model import MCRModel
from prodrec.eval.refine.refinement import FitReport, Refinement
from prodrec.eval.refine.score_files import AlignedChunk, AlignedScores, align_scores
from prodrec.eval.refine.settings import MCRSettings
from prodrec.eval.refine.top_k_samples import TopKSamples
from prodrec.eval.refine.weights import KIND, WeightsFile, read_weights, write_weights
from prodrec.eval.refine.write import write_refined


def refine(
    paths: Sequence[Path],
    *,
    out: Path | None = None,
    settings: MCRSettings | None = None,
    fit_on: Sequence[str] = ("validation",),
    weights: Path | None = None,
    save_weights: Path | None = None,
    levels: Sequence[str] | None = None,
    fit_on_judged: bool = False,
    force: bool = False,
) -> Refinement:
    """Refine the scores of one file, or of several files of one dataset, and write them to one file.

    Rows of the splits `fit_on` are refined by weights that were not fitted on them (cross-fitting), all other rows by
    weights fitted on all rows of `fit_on`. The output files appear only when they are complete.

    out:           refined scores; by default scores/NAME-mcr.h5.
    weights:       file of fitted weights to apply. Nothing is fitted then.
    save_weights:  file for the fitted weights; by default `out` with the ending .weights.hdf5.
    levels:        levels to refine; by default all that are scored.
    fit_on_judged: allow fitting on test rows, and applying weights that were fitted on the rows of these files.
    force:         replace existing files.

    Raise NotFound, BadArtefact, BadOption, Mismatch or OutputExists for files or options that do not fit together.
    """
    settings = settings or MCRSettings()
    with ExitStack() as stack:
        aligned = align_scores(paths, stack, levels=levels)
        outputs = choose_output_paths(aligned, out, save_weights, fits=weights is None, force=force)
        if weights is not None:
            weights_file = read_weights(weights)
            check_weights(weights_file, weights, aligned, fit_on_judged=fit_on_judged)
            return _apply_weights(aligned, outputs, weights_file, force=force)
        check_k(settings, aligned)
        check_fit_splits(aligned, tuple(fit_on), fit_on_judged=fit_on_judged)
        return _fit_and_apply(aligned, outputs, settings, tuple(fit_on), force=force)


def _fit_and_apply(
    aligned: AlignedScores, outputs: OutputPaths, settings: MCRSettings, fit_on: tuple[str, ...], *, force: bool
) -> Refinement:
    """Fit the weights, write them, and write the refined scores."""
    samples = read_samples(aligned, fit_on, settings.folds)
    notes = empty_category_notes(aligned, samples, settings, fit_on)
    if aligned.top_k is not None and all(file.top_k is None for file in aligned.files):
        notes.append(
            f"{aligned.tree.n:,} categories: only the {aligned.top_k} best scores of each row and level are refined."
        )
    result = _cross_fit(aligned, samples, settings)
    model = result.final.model
    made_from = _made_from(aligned)
    assert outputs.weights is not None
    with new_file(outputs.weights, kind=KIND, force=force) as temporary:
        fingerprint = write_weights(
            temporary,
            model,
            aligned.main.taxonomy,
            lambda_=result.lambda_,
            recipe={
                "fit": list(fit_on),
                "penalty": settings.penalty,
                "k": settings.effective_k or 0,
                "folds": settings.folds,
            },
            made_from=made_from,
        )
        counter = write_refined(
            aligned,
            outputs.scores,
            model,
            {fold: fold_result.model for fold, fold_result in result.folds.items()},
            fit_on=fit_on,
            folds=settings.folds,
            recipe=settings.as_json() | {"fit": list(fit_on), "levels": list(aligned.levels)},
            made_from=made_from | {KIND: fingerprint},
            force=force,
        )
    report = FitReport.of(result, splits=fit_on, rows=len(samples), settings=settings)
    if report.choice_note is not None:
        notes.append(report.choice_note)
    return _refinement(aligned, outputs, counter, result.lambda_, model, notes=notes, fit=report)


def _apply_weights(aligned: AlignedScores, outputs: OutputPaths, weights: WeightsFile, *, force: bool) -> Refinement:
    """Write the scores refined by the weights of a file."""
    recipe = {"lambda": weights.lambda_, "normaliser": weights.model.normaliser, **weights.recipe}
    counter = write_refined(
        aligned,
        outputs.scores,
        weights.model,
        {},
        fit_on=(),
        folds=1,
        recipe=recipe | {"levels": list(aligned.levels), "weights": weights.fingerprint},
        made_from=_made_from(aligned) | {KIND: weights.fingerprint},
        force=force,
    )
    return _refinement(aligned, outputs, counter, weights.lambda_, weights.model)


def read_samples(aligned: AlignedScores, fit_on: Sequence[str], folds: int) -> Samples:
    """Read the rows of the splits `fit_on` into memory, each with its fold."""
    codes = [SPLITS.index(split) for split in fit_on]

    def chunks() -> Iterator[tuple[AlignedChunk, NDArray[np.bool_], NDArray[np.int64]]]:
        for chunk in aligned.chunks():
            in_fit_R = np.isin(chunk.main.split_R, codes)
            if in_fit_R.any():
                yield chunk, in_fit_R, assign_folds(chunk.main.group_R, folds)

    if aligned.top_k is None:
        return DenseSamples.from_chunks(
            (chunk.concatenated_scores()[in_fit_R], chunk.labels_RL[in_fit_R], fold_R[in_fit_R])
            for chunk, in_fit_R, fold_R in chunks()
        )
    return TopKSamples.concatenate(
        [chunk.top_k_samples(aligned.tree, fold_R).take(in_fit_R) for chunk, in_fit_R, fold_R in chunks()]
    )


def _cross_fit(aligned: AlignedScores, samples: Samples, settings: MCRSettings) -> CrossFitResult:
    """Fit the weights with a progress bar. Print a warning if the final fit has not converged."""
    lambdas = 6 if settings.lambda_ is None else 1  # the search usually tries about six values
    total, fits_started, description = settings.folds * lambdas + 1, 0, ""
    with console.progress(f"refine {aligned.main.origin.run}", total=total, unit="fits") as advance:

        def on_fit(text: str) -> None:
            nonlocal fits_started, description
            advance(1 if fits_started else 0, note=text)
            fits_started, description = fits_started + 1, text

        def on_step(step: int, objective: float) -> None:
            advance(0, note=f"{description}: step {step}, objective {objective:,.4g}")

        result = cross_fit(samples, aligned.tree, settings, on_fit=on_fit, on_step=on_step)
        advance(1)
    status = result.final.status
    if status != "converged":
        steps = max(part.iterations for part in result.final.solver if part.status != "converged")
        reason = "reached the maximum number of steps" if status == "iterations" else "made no more progress"
        console.warn(
            f"the solver {reason} ({steps}) before it converged; the best weights so far are used: allow more steps "
            "with --iterations, or give a larger --lambda."
        )
    return result


def _refinement(
    aligned: AlignedScores,
    outputs: OutputPaths,
    counter: AccuracyCounter,
    lambda_: float,
    model: MCRModel,
    *,
    notes: Sequence[str] = (),
    fit: FitReport | None = None,
) -> Refinement:
    return Refinement(
        scores=outputs.scores,
        weights_file=outputs.weights,
        inputs=tuple(file.path for file in aligned.files),
        levels=aligned.levels,
        rows=aligned.main.n,
        top_k=aligned.top_k,
        lambda_=lambda_,
        weight_count=model.related.weight_count,
        accuracies=tuple(counter.changes(model.covered_by_level())),
        notes=tuple(notes),
        fit=fit,
    )


def _made_from(aligned: AlignedScores) -> dict[str, str]:
    """Return the fingerprints of the dataset and of the file of every level, for the header of the outputs."""
    made_from = {"dataset": aligned.main.origin.made_from.get("dataset", "")}
    for level, file in aligned.level_sources.items():
        made_from[f"scores of {level}"] = file.fingerprint
    return made_from
