"""The page of `prodrec report --html`: the runs and the dataset that it finds, and those that it does not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest

import prodrec
from prodrec.core.base.errors import Mismatch, NotFound
from prodrec.core.data.dataset import open_dataset
from prodrec.core.training.run import open_run
from prodrec.eval.report.evaluate import open_score_files
from prodrec.inference.calibration import CALIBRATION_FILE, read_calibrations, write_calibrations
from prodrec.inference.neighbours.operating_points import OPERATING_POINTS_FILE, OperatingPoints
from prodrec.pipeline.report_page import prepare_page


@pytest.fixture
def shop(journey: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the journey, which no test here changes."""
    monkeypatch.chdir(journey.folder)
    return Path(journey.folder)


def test_photos_curves_and_settings_of_the_run_are_found(shop: Path, tmp_path: Path) -> None:
    prodrec.report(html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "data:image/jpeg" in page and "There is no" not in page and 'id="training"' in page
    for text in (
        ".jpg</span>",
        "<code>lr</code>",
        "default ",
        "squeezenet1_1",
        open_dataset(Path("dataset")).fingerprint,
    ):
        assert text in page, text


def test_the_same_scores_give_the_same_page_from_another_folder(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = sorted((shop / "scores").glob("*.h5"))
    prodrec.report(scores, html=tmp_path / "here.html")
    monkeypatch.chdir(tmp_path)
    prodrec.report(scores, html=tmp_path / "there.html", dataset=shop / "dataset")
    here, there = ((tmp_path / name).read_text("utf-8") for name in ("here.html", "there.html"))
    assert there.replace(f"{shop}/", "") == here.replace(f"{shop}/", "")


def test_without_its_dataset_the_page_has_a_note_in_place_of_photos(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn_dataset: Path
) -> None:
    shutil.copytree(shop / "scores", tmp_path / "scores")
    monkeypatch.chdir(tmp_path)
    prodrec.report(html="alone.html")
    page = Path("alone.html").read_text("utf-8")
    assert "there is no dataset/ here; name the dataset that was scored with --dataset" in page
    assert "data:image/jpeg" not in page and 'id="training"' not in page
    shutil.copytree(drawn_dataset, "dataset")
    prodrec.report(html="other.html")
    assert "dataset/ is not the dataset of scores/" in Path("other.html").read_text("utf-8")
    prodrec.report(html="remedy.html", dataset=shop / "dataset")
    assert "data:image/jpeg" in Path("remedy.html").read_text("utf-8")


def test_a_dataset_that_is_named_must_be_the_right_one(shop: Path, tmp_path: Path, drawn_dataset: Path) -> None:
    page = tmp_path / "page.html"
    with pytest.raises(Mismatch, match="not of this dataset as it is now"):
        prodrec.report(html=page, dataset=drawn_dataset)
    with pytest.raises(NotFound):
        prodrec.report(html=page, dataset=tmp_path / "none")
    assert not page.exists()


def temperature(scores: str) -> float:
    with open_score_files([Path(scores)]) as files:
        return prepare_page(files, dataset=None, mean=False).inputs.runs[0].temperature


def test_only_scores_as_predict_computes_them_are_calibrated(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("runs", "scores"):
        shutil.copytree(shop / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    run = open_run(Path("runs/sicot"))
    file, points_file = run.path / CALIBRATION_FILE, run.path / OPERATING_POINTS_FILE
    calibrations = read_calibrations(file, run_fingerprint=run.fingerprint)
    temperatures = {"natural": 1.7, "balanced": 2.3}
    changed = {name: replace(one, temperature=temperatures[name]) for name, one in calibrations.items()}
    write_calibrations(file, changed, run_fingerprint=run.fingerprint)
    assert (temperature("scores/sicot.h5"), temperature("scores/sicot@balanced.h5")) == (1.7, 2.3)

    with h5py.File("scores/sicot.h5", "r+") as scores:  # as `score --tree-weight 0.5` writes it
        scores.attrs["tree_weight"] = 0.5
    assert temperature("scores/sicot.h5") == 1

    points = OperatingPoints.read(points_file, run_fingerprint=run.fingerprint)
    balanced = replace(points.with_neighbours["balanced"], tau=0.5)
    chosen_anew = replace(points, with_neighbours={**points.with_neighbours, "balanced": balanced})
    chosen_anew.write(points_file, run_fingerprint=run.fingerprint)
    assert temperature("scores/sicot@balanced.h5") == 1, "its scores are of a point that the run no longer has"

    points.write(points_file, run_fingerprint=run.fingerprint)
    file.write_text("{")
    capsys.readouterr()
    assert temperature("scores/sicot@balanced.h5") == 1
    assert "The page takes the probabilities of scores/sicot@balanced.h5 as they are." in capsys.readouterr().err
