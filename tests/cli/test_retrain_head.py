"""`prodrec retrain-head` on the command line, and `prodrec inspect` of what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def test_the_command_and_the_summary_of_its_run(after_journey: Path, prodrec: Any) -> None:
    made = prodrec("prodrec retrain-head sicot --method crt --epochs 2 --workers 0 --json")
    assert made.exit_code == 0, made.output
    result = json.loads(made.stdout)
    assert result["run"] == "runs/sicot-crt" and result["origin"]["epochs"] == 2 and result["origin"]["run"] == "sicot"
    shown = prodrec("prodrec inspect runs/sicot-crt")
    assert "second stage  crt, on the network of sicot" in shown.stdout and "epochs 2.0" in shown.stdout
    assert json.loads(prodrec("prodrec inspect runs/sicot-crt --json").stdout)["origin"] == result["origin"]
    assert "second stage" not in prodrec("prodrec inspect runs/sicot").stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("retrain-head sicot --method svm", "--method svm: no such method; there are crt, lws, tau-norm, ncm, lda."),
        ("retrain-head sicot --method ncm --lr 0.1", "--lr has no effect with --method ncm; omit it, or use --method"),
        ("retrain-head none --method ncm", "none does not exist"),
        ("inspect runs/sicot --leaves", "--leaves: runs/sicot is a run, not a dataset; omit it, or name the dataset."),
    ],
)
def test_bad_input(after_journey: Path, prodrec: Any, line: str, message: str) -> None:
    result = prodrec(f"prodrec {line}")
    assert result.exit_code == 2 and message in " ".join(result.stderr.split())
