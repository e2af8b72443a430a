"""The result of a refinement, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from prodrec.eval.refine.accuracy import AccuracyChange
from prodrec.eval.refine.cross_fit import CrossValidationStats
from prodrec.eval.refine.refinement import FitReport, Refinement, SolverReport
from prodrec.eval.refine.settings import MCRSettings

BETTER = AccuracyChange("test", "leaf", "ACC", rows=80, classes=12, before=50.0, after=52.5)
WORSE = AccuracyChange("test", "leaf", "MACC", rows=80, classes=12, before=40.0, after=39.0)
FIT = FitReport(
    splits=("validation",),
    rows=1200,
    folds=5,
    loss_by_lambda={100.0: 1.2345678, 10.0: 1.5},
    solver=SolverReport("converged", steps=12, evaluations=15, in_float64=3, seconds=0.1),
    cross_validation=CrossValidationStats(fits=10, not_converged=0, seconds=0.5),
    settings=MCRSettings(),
)


def refinement(fit: FitReport | None) -> Refinement:
    return Refinement(
        scores=Path("scores/both-mcr.h5"),
        weights_file=None if fit is None else Path("scores/both-mcr.weights.hdf5"),
        inputs=(Path("scores/both.h5"),),
        levels=("root", "leaf"),
        rows=1280,
        top_k=None,
        lambda_=100.0,
        weight_count=1234,
        accuracies=(BETTER, WORSE),
        notes=("a note",),
        fit=fit,
    )


def test_as_text() -> None:
    assert str(refinement(FIT)).splitlines() == [
        "scores/both-mcr.h5: 1,280 rows, 2 levels, λ = 100, 1,234 weights fitted on 1,200 validation rows",
        "solver: converged after 12 steps, 15 evaluations, 3 of them in float64",
        "a note",
        "  test leaf ACC: 50.00 → 52.50 %",
        "  test leaf MACC: 40.00 → 39.00 %",
    ]
    assert refinement(None).summary().endswith("1,234 weights, refined by given weights")


def test_as_json() -> None:
    data = json.loads(json.dumps(refinement(FIT).as_json()))
    assert list(data) == [
        *("scores", "weights", "inputs", "levels", "rows", "top_k", "lambda", "parameters", "figures", "worse"),
        *("notes", "fit", "lambda_tried", "solver", "settings"),
    ]
    assert data["scores"] == "scores/both-mcr.h5" and data["levels"] == ["root", "leaf"] and data["lambda"] == 100
    assert data["worse"] == [data["figures"][1]] and data["figures"][0]["after"] == 52.5
    assert data["fit"] == {"splits": ["validation"], "rows": 1200, "folds": 5}
    assert data["lambda_tried"] == {"10": 1.5, "100": 1.234568} and data["solver"]["final"]["steps"] == 12
    assert data["solver"]["cross_validation"] == {"fits": 10, "not_converged": 0, "seconds": 0.5}
    applied = refinement(None).as_json()
    assert applied["weights"] is None and "solver" not in applied and "fit" not in applied
