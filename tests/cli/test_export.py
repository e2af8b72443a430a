"""The command `prodrec export` and the option --engine: what they print, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import prodrec

pytestmark = pytest.mark.usefixtures("export_libraries")


@pytest.mark.exhaustive
@pytest.mark.usefixtures("one_thread")
def test_a_run_is_exported_and_recognises_by_its_export(after_journey: Path) -> None:
    """An export, and a graph that --engine makes; a second export needs --force."""
    result = prodrec("export", "sicot")
    assert result.stdout.startswith("exports/sicot-onnx: onnx, ") and "validation photos" in result.stdout
    assert "next: `prodrec predict sicot photos/ --engine exports/sicot-onnx`" in result.stdout
    (line,) = prodrec("predict", "sicot", next(Path("photos").iterdir()), "--json").stdout.splitlines()
    (by_engine,) = prodrec(
        "predict", "sicot", next(Path("photos").iterdir()), "--engine", "exports/sicot-onnx", "--json"
    ).stdout.splitlines()
    expected, found = json.loads(line)["answer"], json.loads(by_engine)["answer"]
    assert found["path"] == expected["path"]
    assert found["confidences"] == pytest.approx(expected["confidences"], abs=1e-4)
    (by_graph,) = prodrec(
        "predict", "sicot", next(Path("photos").iterdir()), "--engine", "openvino", "--json"
    ).stdout.splitlines()
    assert json.loads(by_graph)["answer"]["confidences"] == pytest.approx(expected["confidences"], abs=1e-4)
    assert "add --force to replace it" in prodrec("export", "sicot", code=2).stderr
    scored = json.loads(prodrec("score", "sicot", "--engine", "exports/sicot-onnx", "--workers", 0, "--json").stdout)
    assert [Path(entry["scores"]).name for entry in scored["scored"]] == ["sicot-onnx.h5", "sicot@balanced-onnx.h5"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "sicot", "--to", "tensorrt"], "--to tensorrt: expected onnx or openvino."),
        (["export", "absent"], "absent does not exist; expected a run directory"),
        (["export", "sicot", "elsewhere"], "elsewhere does not exist"),
        (
            ["predict", "sicot", "photos", "--engine", "dataset"],
            "dataset is not a prodrec export: it has no export.json",
        ),
        (["score", "sicot", "--engine", "onnx", "--device", "cuda"], "engines other than torch run on the CPU"),
    ],
)
def test_mistakes_are_one_sentence(after_journey: Path, words: list[str], message: str) -> None:
    stderr = prodrec(*words, code=2).stderr
    assert message in stderr and len(stderr.strip().splitlines()) == 1
    assert not Path("exports").exists() or not list(Path("exports").iterdir())
