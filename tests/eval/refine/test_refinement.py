"""The result of a refinement, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from prodrec.eval.refine.accuracy import AccuracyChange
from prodrec.eval.refine.cross_fit import NO_CHANGE_LAMBDA, CrossValidationStats
from prodrec.eval.refine.refinement import FitReport, Refinement, SolverReport
from prodrec.eval.refine.settings import MCRSettings

BETTER = AccuracyChange("test", "leaf", "ACC", rows=80, classes=12, before=50.0, after=52.5)
WORSE = AccuracyChange("test", "leaf", "MACC", rows=80, classes=12, before=40.0, after=39.0)
FIT = FitReport(
    splits=("validation",),
    rows=1200,
    folds=5,
    loss_by_lambda={100.0: 1.2345678, 10.0: 1.5},
    harmful=frozenset({10.0}),
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
        *("notes", "fit", "lambda_tried", "lambda_refused", "solver", "settings"),
    ]
    assert data["scores"] == "scores/both-mcr.h5" and data["levels"] == ["root", "leaf"] and data["lambda"] == 100
    assert data["worse"] == [data["figures"][1]] and data["figures"][0]["after"] == 52.5
    assert data["fit"] == {"splits": ["validation"], "rows": 1200, "folds": 5}
    assert data["lambda_tried"] == {"10": 1.5, "100": 1.234568} and data["lambda_refused"] == ["10"]
    assert data["solver"]["final"]["steps"] == 12
    assert data["solver"]["cross_validation"] == {"fits": 10, "not_converged": 0, "seconds": 0.5}
    applied = refinement(None).as_json()
    assert applied["weights"] is None and "solver" not in applied and "fit" not in applied


def test_a_refused_lambda_is_told() -> None:
    assert FIT.choice_note is None
    assert "λ = 100 has the smallest loss, but lowers" in str(replace(FIT, harmful=frozenset({100.0})).choice_note)
    nothing = replace(FIT, loss_by_lambda={1.0: 1.0, NO_CHANGE_LAMBDA: 2.0}, harmful=frozenset({1.0}))
    assert "the scores stay as they are" in str(nothing.choice_note)


def test_a_part_of_the_classes_is_named() -> None:
    assert str(replace(BETTER, fitted=False)) == "test leaf, classes without fit rows ACC: 50.00 → 52.50 %"
    assert str(replace(BETTER, fitted=True)) == "test leaf, classes with fit rows ACC: 50.00 → 52.50 %"
