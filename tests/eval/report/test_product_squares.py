"""Intervals when products have several photos: photos of a product count as one observation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.intervals import accuracy_interval, wilson_interval

EVERYTHING: dict[str, Any] = dict.fromkeys(("by_level", "by_attribute", "hierarchy", "by_leaf", "by_head_tail"), True)


def repeat(values: Any, times: int) -> list[int]:
    return np.repeat(values, times).tolist()


@pytest.mark.parametrize("adjacent", [True, False])
def test_three_equal_photos_of_each_product_have_the_intervals_of_one(predicted: Any, adjacent: bool) -> None:
    """All rows but those of the numbers of images, by every section, for a run and its gain."""
    random = np.random.default_rng(5)
    truth = random.integers(0, 5, 40)
    truth[:5] = range(5)
    states = random.integers(0, 4, 40)
    best_state = random.integers(0, 3, 40)
    reports = []
    for times in (1, 3):
        order = np.repeat(np.arange(40), times) if adjacent else np.tile(np.arange(40), times)
        paths = []
        for name, seed in (("a", 1), ("b", 2)):
            best = np.where(np.random.default_rng(seed).random(40) < 0.6, truth, 0)
            root = (best > 2).astype(np.int64)
            path = predicted(
                name + str(times),
                truth[order].tolist(),
                {"root": root[order].tolist(), "leaf": best[order].tolist()},
                attributes={"size": (states[order].tolist(), best_state[order].tolist())},
                products=None if times == 1 else order,
            )
            paths.append(path)
        reports.append(evaluate_scores(paths, **EVERYTHING))
    single, several = ([*report.rows, *report.leaf_rows] for report in reports)
    assert len(single) == len(several) > 30
    for one, three in zip(single, several, strict=True):
        for a, b in zip(one.cells, three.cells, strict=True):
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                assert b.images == 3 * a.images
                assert (b.value, *b.interval) == pytest.approx((a.value, *a.interval), abs=1e-12), one
                assert (a.gain is None) == (b.gain is None)
                if a.gain is not None and b.gain is not None:
                    assert b.gain.interval == pytest.approx(a.gain.interval, abs=1e-12), one


def test_products_with_different_numbers_of_photos(predicted: Any) -> None:
    """Photos 4 + 1 + 1 are worth 36 / 18 = 2 independent ones."""
    path = predicted("a", [0] * 6, {"leaf": [0, 0, 0, 0, 1, 1]}, products=[0, 0, 0, 0, 1, 2])
    report = evaluate_scores([path])
    assert report.rows[0].cells[0].interval == pytest.approx(wilson_interval(4 / 6, 2))
    assert report.rows[0].images == 6
    note = "3 products, 6 photos: intervals count the photos of a product as one observation; "
    assert note + "--pool-photos counts products." in report.notes
    assert report.as_json()["columns"][0]["runs"][0]["products"] == 3


def test_the_option_that_the_note_names(predicted: Any) -> None:
    """The mean of the photos 0 0 0 0 is right; the products 1 and 2 are wrong."""
    path = predicted("a", [0] * 6, {"leaf": [0, 0, 0, 0, 1, 1]}, products=[0, 0, 0, 0, 1, 2])
    report = evaluate_scores([path], pool_photos=True)
    assert report.rows[0].cells[0].value == pytest.approx(1 / 3) and report.rows[0].images == 3
    assert report.rows[0].cells[0].interval == pytest.approx(wilson_interval(1 / 3, 3))


def test_coverage_when_the_photos_of_a_product_agree() -> None:
    """Of 400 catalogues with 120 products of 1 to 6 photos, the interval contains the accuracy in about 95 of 100."""
    random = np.random.default_rng(0)
    covered, ignored = [], []
    for _ in range(400):
        photos = random.integers(1, 7, 120)
        right = random.random(120) < 0.7
        correct, images = np.array([(photos * right).sum()]), np.array([photos.sum()])
        share = images / (photos**2).sum()
        for hits, scale in ((covered, share), (ignored, np.ones(1))):
            low, high = accuracy_interval(correct * scale, images * scale, np.ones(1))
            hits.append(low <= 0.7 <= high)
    assert np.mean(covered) > 0.93 and np.mean(ignored) < 0.85
