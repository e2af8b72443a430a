"""Weak segments: small samples are not listed, and the order is that of the images that are surely lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.scores.reader import open_scores
from prodrec.eval.page.details import Details
from prodrec.eval.page.segments import Segment, weak_segments
from prodrec.eval.report.intervals import wilson_interval


def find_segments(
    predicted: Callable[..., Path], count_details: Callable[..., Details], parts: list[tuple[int, int, int, int]]
) -> list[Segment]:
    """The segments of images given as (leaf, code of the colour, right, wrong)."""
    truth, best, codes = [], [], []
    for leaf, code, right, wrong in parts:
        truth += [leaf] * (right + wrong)
        best += [leaf] * right + [(leaf + 1) % 5] * wrong
        codes += [code] * (right + wrong)
    with open_scores(predicted("run", truth, {"leaf": best}, attributes={"colour": (codes, None)})) as file:
        details = count_details(file)
    images_C = np.bincount(truth, minlength=5)
    correct_C = np.bincount([t for t, b in zip(truth, best, strict=True) if t == b], minlength=5)
    with np.errstate(invalid="ignore"):
        return weak_segments(details, images_C, correct_C, images_C / images_C)


def test_weak_segments_are_ranked_by_what_they_surely_lose(
    predicted: Callable[..., Path], count_details: Callable[..., Details]
) -> None:
    # leaf 0: red is weak and large; leaf 1: green is weaker and small; leaf 2: one unlucky image
    parts = [(0, 1, 40, 60), (0, 2, 95, 5), (1, 2, 1, 9), (2, 1, 0, 1), (3, 0, 200, 0)]
    segments = find_segments(predicted, count_details, parts)
    assert [(s.leaf, s.state, s.images) for s in segments[:2]] == [(None, "red", 101), (0, "red", 100)]
    assert (1, "green", 10) in [(s.leaf, s.state, s.images) for s in segments]
    assert 2 not in [s.leaf for s in segments], "one image is no evidence"
    red = segments[1]
    overall = (40 + 95 + 1 + 200) / 411
    assert red.accuracy == 0.4 and red.rest == 0.95 and red.different
    assert red.interval == pytest.approx(wilson_interval(0.4, 100))
    assert red.lost == pytest.approx(100 * (overall - red.interval[1]))
    assert [s.lost for s in segments] == sorted((s.lost for s in segments), reverse=True)


def test_no_attributes_no_segments(predicted: Callable[..., Path], count_details: Callable[..., Details]) -> None:
    with open_scores(predicted("run", [0, 1], {"leaf": [1, 1]})) as file:
        details = count_details(file)
    assert weak_segments(details, np.array([1, 1, 0, 0, 0]), np.array([0, 1, 0, 0, 0]), np.ones(5)) == []
