"""Temperature, expected calibration error and thresholds, against their formulas."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.inference.calibration import (
    NEVER,
    Calibration,
    best_at_level,
    expected_calibration_error,
    fit_calibration,
    probabilities,
    read_calibrations,
    write_calibrations,
)

TREE = Taxonomy(
    ("root", "leaf"),
    (("a", "b"), tuple("pqrst")),
    (np.full(2, -1, np.int32), np.array([0, 0, 1, 1, 1], np.int32)),
)


def drawn(photos: int = 3000, *, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and labels that are drawn from softmax(scores / sharpness)."""
    random = np.random.default_rng(0)
    true_MC = random.normal(0, 2, (photos, 5))
    p_MC = softmax(true_MC, axis=1)
    label_M = (p_MC.cumsum(1) > random.random((photos, 1))).argmax(1)
    return true_MC * sharpness, label_M


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(sharpness: float) -> None:
    scores_MC, label_M = drawn(sharpness=sharpness)
    class_MC = np.broadcast_to(np.arange(5), scores_MC.shape)
    fitted = fit_calibration(scores_MC, class_MC, label_M, taxonomy=TREE, level="leaf")
    assert fitted.temperature == pytest.approx(sharpness, rel=0.1)

    def loss(t: float) -> float:
        return -log_softmax(scores_MC / t, axis=1)[np.arange(len(label_M)), label_M].mean()

    assert loss(fitted.temperature) <= min(loss(sharpness), loss(1.0)) + 1e-4
    assert fitted.ece_after < 0.03 and fitted.ece_after <= fitted.ece_before + 0.005
    p_MC = softmax(scores_MC / fitted.temperature, axis=1)
    np.testing.assert_allclose(probabilities(scores_MC, fitted.temperature), p_MC)
    np.testing.assert_allclose(fitted.confidence_ML[:, 1], p_MC.max(1))
    root_M2 = np.stack([p_MC[:, :2].sum(1), p_MC[:, 2:].sum(1)], axis=1)
    np.testing.assert_allclose(fitted.confidence_ML[:, 0], root_M2.max(1))
    assert (fitted.correct_ML[:, 0] == (root_M2.argmax(1) == TREE.parents[1][label_M])).all()


def test_a_label_outside_the_best_classes_is_wrong() -> None:
    scores_MK, class_MK = np.array([[2.0, 1.0], [3.0, 1.0]]), np.array([[4, 0], [1, 2]])
    fitted = fit_calibration(scores_MK, class_MK, np.array([4, 3]), taxonomy=TREE, level="leaf")
    assert fitted.correct_ML[:, 1].tolist() == [True, False]
    nothing = fit_calibration(scores_MK, class_MK, np.array([1, 3]), taxonomy=TREE, level="leaf")
    assert nothing.temperature == 1.0


def test_classes_above_have_the_sum_of_those_below() -> None:
    p_BK, class_BK = np.array([[0.3, 0.3, 0.4], [0.5, 0.4, 0.1]]), np.array([[0, 1, 4], [2, 0, 1]])
    best_B, sum_B = best_at_level(p_BK, class_BK, TREE, "leaf", "root")
    assert best_B.tolist() == [0, 0] and sum_B == pytest.approx([0.6, 0.5])
    best_B, sum_B = best_at_level(p_BK, class_BK, TREE, "leaf", "leaf")
    assert best_B.tolist() == [4, 2] and sum_B == pytest.approx([0.4, 0.5])


def test_expected_calibration_error() -> None:
    confidence, correct = np.array([0.95, 0.99, 0.41, 0.42, 1.0]), np.array([True, False, False, True, True])
    # bins of 1/15: {0.95, 0.99, 1.0} with accuracy 2/3, and {0.41, 0.42} with accuracy 1/2
    assert expected_calibration_error(confidence, correct) == pytest.approx((abs(2.94 - 2) + abs(0.83 - 1)) / 5)


def calibration(confidence: list[list[float]], correct: list[list[bool]]) -> Calibration:
    return Calibration(1.0, ("root", "leaf"), np.array(confidence), np.array(correct), 0.1, 0.1)


def test_thresholds_back_off() -> None:
    """Leaves are right for the surest 500 photos; of the others, roots are right."""
    leaf = np.concatenate([np.linspace(0.99, 0.8, 500), np.linspace(0.7, 0.3, 500)])
    root = np.concatenate([np.full(500, 0.99), np.linspace(0.9, 0.6, 500)])
    correct = np.stack([np.ones(1000, np.bool_), np.arange(1000) < 500], axis=1)
    one = calibration(np.stack([root, leaf], axis=1).tolist(), correct.tolist())
    found = one.thresholds(0.99)
    answered = leaf >= found["leaf"]
    assert found["root"] == pytest.approx(0.6) and 495 <= answered.sum() <= 505
    right = correct[answered, 1].sum() / (answered.sum() + 1)
    standard_error = np.sqrt(0.99 * 0.01 / answered.sum())
    assert right >= 0.99 + standard_error > correct[: answered.sum() + 1, 1].sum() / (answered.sum() + 2)
    assert one.thresholds(0.45)["leaf"] == pytest.approx(0.3), "half of all are right at the leaves"
    assert one.thresholds(0.9999) == {"leaf": NEVER, "root": NEVER}, "500 right answers do not show 99.99 %"
    wrong = calibration(np.stack([root, leaf], axis=1).tolist(), np.zeros((1000, 2), np.bool_).tolist())
    assert wrong.thresholds(0.1) == {"leaf": NEVER, "root": NEVER}


def test_answers_are_as_right_as_requested_on_other_photos() -> None:
    scores_MC, label_M = drawn(6000)
    class_MC = np.broadcast_to(np.arange(5), scores_MC.shape)
    half = slice(0, 3000), slice(3000, 6000)
    fit, test = (fit_calibration(scores_MC[h], class_MC[h], label_M[h], taxonomy=TREE, level="leaf") for h in half)
    for precision in (0.7, 0.8, 0.85):
        thresholds = fit.thresholds(precision)
        answered = test.confidence_ML[:, 1] >= thresholds["leaf"]
        assert test.correct_ML[answered, 1].mean() > precision - 0.03 and answered.mean() > 0.1


def test_what_is_written_is_read(tmp_path: Path) -> None:
    one = calibration([[0.9, 0.8], [0.7, 0.6]], [[True, False], [True, True]])
    path = tmp_path / "calibration.json"
    write_calibrations(path, {"natural": one}, run_fingerprint="run-1")
    again = read_calibrations(path, run_fingerprint="run-1")["natural"]
    assert again.levels == one.levels and again.thresholds(0.3) == one.thresholds(0.3)
    np.testing.assert_allclose(again.confidence_ML, one.confidence_ML)
    with pytest.raises(BadArtefact, match="other weights"):
        read_calibrations(path, run_fingerprint="run-2")
    content = json.loads(path.read_text())
    content["points"]["natural"]["photos"]["leaf"]["confidence"] = [0.5]
    path.write_text(json.dumps(content))
    with pytest.raises(BadArtefact, match="is damaged"):
        read_calibrations(path, run_fingerprint="run-1")
    del content["points"]["natural"]["temperature"]
    path.write_text(json.dumps(content))
    with pytest.raises(BadArtefact, match=r"points\.natural\.temperature is missing"):
        read_calibrations(path, run_fingerprint="run-1")
