"""The file of operating points, and the choice of one by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from prodrec.core.base.errors import BadArtefact
from prodrec.inference.neighbours.choose import choose
from prodrec.inference.neighbours.operating_points import PLAIN_POINT, OperatingPoint, OperatingPoints

POINTS = OperatingPoints(
    {"natural": OperatingPoint("natural", 0.25, 0.3, 20, 0.05, 0.5), "balanced": OperatingPoint("balanced", 1.0, 0.5)},
    {"natural": OperatingPoint("natural", 0.0), "balanced": OperatingPoint("balanced", 0.75)},
    ({"name": "plain", "neighbours": False, "top1": 0.5, "macc": 0.25, "balanced": 0.3},),
    32,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    POINTS.write(tmp_path / "points.json", run_fingerprint="run-1")
    again = OperatingPoints.read(tmp_path / "points.json", run_fingerprint="run-1")
    assert again == POINTS and again.fingerprint == POINTS.fingerprint
    with pytest.raises(BadArtefact, match="other weights"):
        OperatingPoints.read(tmp_path / "points.json", run_fingerprint="run-2")


@pytest.mark.parametrize("damage", ["", "[]", "{", "drop", "unknown"])
def test_damaged_files(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "points.json"
    POINTS.write(path, run_fingerprint="run-1")
    content = json.loads(path.read_text())
    if damage == "drop":
        del content["with_neighbours"]
    elif damage == "unknown":
        content["without_neighbours"]["natural"]["alpha"] = 1
    path.write_text(json.dumps(content) if damage in ("drop", "unknown") else damage)
    with pytest.raises(BadArtefact):
        OperatingPoints.read(path, run_fingerprint="run-1")


def test_choosing_by_name() -> None:
    assert POINTS.choose("natural").beta == 0.3
    assert POINTS.choose("balanced", neighbours=False) == OperatingPoint("balanced", 0.75)
    assert POINTS.choose("plain") == PLAIN_POINT and PLAIN_POINT.as_json() == {}
    without = choose(None, with_neighbours=False)
    assert without.choose("natural") == OperatingPoint("natural", tau=0.0)
    assert without.choose("natural").as_json() == {"name": "natural", "tau": 0.0, "beta": 0.0}
    assert choose(None, with_neighbours=True).choose("balanced").beta > 0


def test_points_for_scoring_with_titles(tmp_path: Path) -> None:
    titled = replace(
        POINTS, without_neighbours={name: OperatingPoint(name, 0.5) for name in ("natural", "balanced")}, photos=7
    )
    both = replace(POINTS, titled=titled)
    both.write(tmp_path / "points.json", run_fingerprint="run-1")
    again = OperatingPoints.read(tmp_path / "points.json", run_fingerprint="run-1")
    assert again == both and again.fingerprint != POINTS.fingerprint
    assert both.choose("natural", neighbours=False, with_titles=True).tau == 0.5
    assert both.choose("natural", neighbours=False).tau == 0.0
    assert POINTS.choose("natural", with_titles=True) == POINTS.choose("natural")
    with_voters = both.with_voters("voters").titled
    assert with_voters is not None and with_voters.choose("balanced").voters == "voters"


def test_descriptions() -> None:
    assert str(POINTS.choose("natural")) == "natural: tau 0.25, 20 neighbours weigh 0.3 (T 0.05, rho 0.5)"
    assert str(POINTS.choose("natural", neighbours=False)) == "natural: tau 0"
    assert str(PLAIN_POINT) == "plain: the scores of the classifier"
