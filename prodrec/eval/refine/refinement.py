"""The result of a refinement: the fit, and the accuracy of every level before and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prodrec.eval.refine.accuracy import AccuracyChange
from prodrec.eval.refine.cross_fit import NO_CHANGE_LAMBDA, CrossFitResult, CrossValidationStats
from prodrec.eval.refine.fit import FitResult
from prodrec.eval.refine.settings import MCRSettings


@dataclass(frozen=True)
class SolverReport:
    """How the solver ended, and the steps and evaluations that it took, summed over all parts of the loss.

    status:     see `FitResult.status`.
    in_float64: the evaluations in float64; the others were in float32.
    """

    status: str
    steps: int
    evaluations: int
    in_float64: int
    seconds: float

    @classmethod
    def of(cls, result: FitResult) -> SolverReport:
        parts = result.solver
        return cls(
            status=result.status,
            steps=sum(part.iterations for part in parts),
            evaluations=sum(part.evaluations for part in parts),
            in_float64=sum(part.float64_evaluations for part in parts),
            seconds=round(sum(part.seconds for part in parts), 3),
        )

    def __str__(self) -> str:
        in_float64 = f", {self.in_float64} of them in float64" if self.in_float64 else ""
        return f"{self.status} after {self.steps} steps, {self.evaluations} evaluations{in_float64}"


@dataclass(frozen=True)
class FitReport:
    """How the weights were fitted.

    splits, rows:     the splits whose rows were used, and the number of these rows.
    folds:            number of folds that contain rows.
    loss_by_lambda:   held-out loss per row of every λ that was tried.
    harmful:          those λ that lower ACC or MACC on the held-out rows; none of them is chosen.
    solver:           the fit on all rows.
    cross_validation: the fits for the folds.
    """

    splits: tuple[str, ...]
    rows: int
    folds: int
    loss_by_lambda: dict[float, float]
    harmful: frozenset[float]
    solver: SolverReport
    cross_validation: CrossValidationStats
    settings: MCRSettings

    @classmethod
    def of(cls, result: CrossFitResult, *, splits: tuple[str, ...], rows: int, settings: MCRSettings) -> FitReport:
        return cls(
            splits=splits,
            rows=rows,
            folds=len(result.folds),
            loss_by_lambda=result.loss_by_lambda,
            harmful=result.harmful,
            solver=SolverReport.of(result.final),
            cross_validation=result.cross_validation,
            settings=settings,
        )

    @property
    def choice_note(self) -> str | None:
        """A sentence on λ if the one with the smallest loss was refused, or None."""
        best = min(self.loss_by_lambda, key=self.loss_by_lambda.__getitem__)
        if best not in self.harmful:
            return None
        if len(self.harmful) + 1 == len(self.loss_by_lambda) and NO_CHANGE_LAMBDA in self.loss_by_lambda:
            return "every λ lowers ACC or MACC on rows that the fit has not seen: the scores stay as they are."
        return (
            f"λ = {best:.4g} has the smallest loss, but lowers ACC or MACC on rows that the fit has not "
            "seen: a larger λ is used."
        )

    def as_json(self) -> dict[str, Any]:
        """Return the entries of `Refinement.as_json` that exist only after a fit."""
        stats = self.cross_validation
        return {
            "fit": {"splits": list(self.splits), "rows": self.rows, "folds": self.folds},
            "lambda_tried": {f"{lambda_:g}": round(loss, 6) for lambda_, loss in sorted(self.loss_by_lambda.items())},
            "lambda_refused": [f"{lambda_:g}" for lambda_ in sorted(self.harmful)],
            "solver": {
                "final": asdict(self.solver),
                "cross_validation": {**asdict(stats), "seconds": round(stats.seconds, 3)},
            },
            "settings": self.settings.as_json(),
        }


@dataclass(frozen=True)
class Refinement:
    """The result of `refine`.

    scores:       the refined scores file.
    weights_file: the file of the fitted weights, or None if given weights were applied.
    inputs:       the score files that were refined.
    levels:       the refined levels, shallowest first.
    rows:         number of rows.
    top_k:        number of scores per level that were refined, or None for all.
    lambda_:      λ of S eq. 3.
    weight_count: number of weights, Σ|R_c|.
    accuracies:   ACC and MACC of every split and level, before and after. No row was refined by weights fitted on it,
                  unless given weights were applied with `fit_on_judged`.
    notes:        sentences about the input.
    fit:          how the weights were fitted, or None if given weights were applied.
    """

    scores: Path
    weights_file: Path | None
    inputs: tuple[Path, ...]
    levels: tuple[str, ...]
    rows: int
    top_k: int | None
    lambda_: float
    weight_count: int
    accuracies: tuple[AccuracyChange, ...]
    notes: tuple[str, ...] = ()
    fit: FitReport | None = None

    @property
    def worse(self) -> tuple[AccuracyChange, ...]:
        """The accuracies that refinement lowered."""
        return tuple(accuracy for accuracy in self.accuracies if accuracy.after < accuracy.before)

    def summary(self) -> str:
        """Return one line on the weights, and after a fit one on the solver."""
        text = (
            f"{self.scores}: {self.rows:,} rows, {len(self.levels)} levels, λ = {self.lambda_:.4g}, "
            f"{self.weight_count:,} weights"
        )
        if self.fit is None:
            return f"{text}, refined by given weights"
        return f"{text} fitted on {self.fit.rows:,} {' and '.join(self.fit.splits)} rows\nsolver: {self.fit.solver}"

    def __str__(self) -> str:
        return "\n".join([self.summary(), *self.notes, *(f"  {accuracy}" for accuracy in self.accuracies)])

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec refine-mcr --json` prints them for every file."""
        return {
            "scores": str(self.scores),
            "weights": None if self.weights_file is None else str(self.weights_file),
            "inputs": [str(path) for path in self.inputs],
            "levels": list(self.levels),
            "rows": self.rows,
            "top_k": self.top_k,
            "lambda": self.lambda_,
            "parameters": self.weight_count,
            "figures": [accuracy.as_json() for accuracy in self.accuracies],
            "worse": [accuracy.as_json() for accuracy in self.worse],
            "notes": list(self.notes),
            **(self.fit.as_json() if self.fit is not None else {}),
        }
