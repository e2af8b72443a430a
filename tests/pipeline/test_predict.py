"""Recognising many photo files: every one has a result or a reason, and the results are those of the Recogniser."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch

from prodrec.core.base.errors import BadOption, BadPhoto, NotFound
from prodrec.inference.calibration import CALIBRATION_FILE, read_calibrations
from prodrec.inference.results import Recognised
from prodrec.pipeline import predict as predict_module
from prodrec.pipeline.load import load
from prodrec.pipeline.predict import predict


@pytest.fixture(scope="module")
def place(trained: Path) -> Path:
    return trained


@pytest.fixture
def photos(drawn_photos: list[Path]) -> list[Path]:
    return drawn_photos


@pytest.fixture
def drawn_photos(drawn: Any) -> list[Path]:
    return sorted(path for path in drawn.photos.rglob("*") if path.is_file())[:9]


def assert_same(found: Recognised, expected: Recognised) -> None:
    assert found.answer is not None and expected.answer is not None
    assert found.answer.path == expected.answer.path
    assert found.answer.confidences == pytest.approx(expected.answer.confidences, abs=1e-4)


@pytest.mark.parametrize(("batch_size", "workers"), [(4, 0), (100, 2)])
def test_results_are_those_of_the_recogniser(folder: Path, photos: list[Path], batch_size: int, workers: int) -> None:
    torch.set_num_threads(1)
    results = list(predict("visual", photos, batch_size=batch_size, workers=workers))
    expected = load("visual").predict(photos)
    assert [result.files for result in results] == [(photo,) for photo in photos]
    for result, one in zip(results, expected, strict=True):
        assert result.recognised is not None and not result.reasons
        assert_same(result.recognised, one)


def test_photos_that_cannot_be_used_do_not_stop_the_others(folder: Path, photos: list[Path]) -> None:
    (folder / "broken.jpg").write_bytes(photos[0].read_bytes()[:200])
    (folder / "empty.jpg").touch()
    names = [photos[0], Path("broken.jpg"), photos[1], Path("empty.jpg")]
    results = list(predict("visual", names, batch_size=2))
    assert [result.recognised is None for result in results] == [False, True, False, True]
    assert "truncated" in results[1].reasons[Path("broken.jpg")]
    assert results[1].as_json() == {"photo": "broken.jpg", "rejected": {"broken.jpg": results[1].reasons[names[1]]}}
    with pytest.raises(BadPhoto, match=r"none of 2 photos can be used; broken\.jpg: the photo cannot be used"):
        list(predict("visual", ["broken.jpg", "empty.jpg"]))
    with pytest.raises(NotFound, match=r"photo none\.jpg does not exist"):
        list(predict("visual", [photos[0], "none.jpg"]))


def test_names_on_standard_input(folder: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{photos[1]}\r\n\n{photos[0]}\n"))
    assert [result.files for result in predict("visual", ["-"])] == [(photos[1],), (photos[0],)]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(BadOption, match="there is no photo to recognise"):
        list(predict("visual", ["-"]))


def test_photos_of_one_product(folder: Path, photos: list[Path]) -> None:
    (folder / "broken.jpg").write_bytes(b"GIF89a")
    (result,) = predict("visual", [*photos[:3], Path("broken.jpg")], pool=True)
    (expected,) = load("visual").predict(photos[:3], pool=True)
    assert (
        result.recognised is not None and result.recognised.pooled == 3 and list(result.reasons) == [Path("broken.jpg")]
    )
    assert_same(result.recognised, expected)
    assert len(result.as_json()["photos"]) == 4
    with pytest.raises(BadPhoto, match="none of 1 photos can be used"):
        list(predict("visual", ["broken.jpg"], pool=True))


def test_a_threshold_gives_a_class_above_or_no_answer(folder: Path, photos: list[Path]) -> None:
    sure = [result.recognised.answer for result in predict("visual", photos) if result.recognised]
    assert all(answer is not None and len(answer.path) == 3 for answer in sure)
    unsure = [result.recognised.answer for result in predict("visual", photos, min_confidence=1.0) if result.recognised]
    assert all(answer is not None and not answer.path for answer in unsure)
    levels = [
        len(result.recognised.answer.path)
        for result in predict("visual", photos, min_confidence=0.6)
        if result.recognised and result.recognised.answer
    ]
    assert set(levels) <= {0, 1, 2, 3} and min(levels) < 3
    with pytest.raises(BadOption, match="--min-confidence 2: expected a probability"):
        list(predict("visual", photos, min_confidence=2.0))


def test_a_run_is_calibrated_after_training(folder: Path, photos: list[Path]) -> None:
    recogniser = load("visual")
    stored = read_calibrations(Path("runs/visual") / CALIBRATION_FILE, run_fingerprint=recogniser.run.fingerprint)
    assert set(stored) == {"natural", "balanced"} and stored["natural"].levels == ("root", "middle", "leaf")
    assert recogniser.calibration is not None and recogniser.calibration.temperature == stored["natural"].temperature
    assert load("visual", no_neighbours=True).calibration is None, "it was made with neighbours"
    assert load("visual", operating_point="plain").calibration is None
    list(predict("visual", photos, precision=0.5))
    with pytest.raises(BadOption, match="needs thresholds from validation photos"):
        list(predict("visual", photos, precision=0.5, operating_point="plain"))


def test_many_files_are_read_by_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    from prodrec.core.base.workers import choose_processes

    assert choose_processes(None, many=False) == 1 and choose_processes(0, many=True) == 1
    assert choose_processes(None, many=True) >= 1 and choose_processes(7, many=False) == 7
    assert predict_module.MIN_FILES_FOR_WORKERS > 100
