"""Intervals: known values, no collapse, and coverage by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.report.intervals import (
    Z,
    accuracy_interval,
    mean_and_interval,
    paired_gain_errors,
    paired_mean_gain_variance,
    unpaired_gain_interval,
    wilson_interval,
)


def paired_gain_error(better_S: Any, worse_S: Any, images_S: Any, weights_S: Any) -> float:
    """Return the standard error of one group."""
    return float(paired_gain_errors(better_S[None], worse_S[None], images_S[None], weights_S[None])[0])


def test_wilson_has_known_values() -> None:
    """The example of Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for right, images, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson_interval(right / images, images) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("right", "images"), [(0, 1), (1, 1), (7, 10), (10, 10), (812, 1000)])
def test_one_stratum_is_wilson(right: int, images: int) -> None:
    interval = accuracy_interval(np.array([right]), np.array([images]), np.ones(1))
    assert interval == pytest.approx(wilson_interval(right / images, images))


def test_newcombe_has_its_published_value() -> None:
    """Newcombe (1998b), table II, method 10: 56/70 - 48/80 is 0.2000 with 0.0524 to 0.3339."""
    low, high = unpaired_gain_interval(48 / 80, wilson_interval(48 / 80, 80), 56 / 70, wilson_interval(56 / 70, 70))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize("right", [0, 1])
def test_the_interval_has_a_width_for_classes_of_one_image(right: int) -> None:
    ones = np.ones(20, dtype=int)
    low, high = accuracy_interval(ones * right, ones, np.full(20, 1 / 20))
    assert 0.05 < high - low < 0.5 and low <= right <= high
    mixed = ones.copy()
    mixed[:10] = 0
    low, high = accuracy_interval(mixed, ones, np.full(20, 1 / 20))
    assert 0.2 < high - low < 0.6


@pytest.mark.parametrize("classes", range(1, 60))
def test_all_right_and_all_wrong_whatever_the_rounding_of_the_weights(classes: int) -> None:
    images, weights = np.arange(1, classes + 1), np.full(classes, 1 / classes)  # e.g. 1/49 · 49 is less than 1
    low, high = accuracy_interval(images, images, weights)
    assert 0 < low < high == 1
    low, high = accuracy_interval(images * 0, images, weights)
    assert 0 == low < high < 1


def test_the_interval_has_a_width_for_runs_that_agree() -> None:
    images = np.array([1, 5, 40])
    assert paired_gain_error(images * 0, images * 0, images, np.full(3, 1 / 3)) > 0


def test_more_images_narrow_the_interval() -> None:
    weights = np.full(2, 0.5)
    widths = [np.ptp(accuracy_interval(np.array([3, 9]) * n, np.array([10, 10]) * n, weights)) for n in (1, 10, 100)]
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


@pytest.mark.parametrize(
    "kind", ["long tail", "long tail, nearly all right", "one image each", "three classes of three"]
)
def test_accuracy_interval_covers(kind: str) -> None:
    random = np.random.default_rng(3)
    classes = 3 if kind.startswith("three") else 60
    images = np.maximum(1, (random.pareto(0.8, classes) * 3).astype(int))
    p = random.beta(8, 1, classes) if "nearly" in kind else random.uniform(0, 1, classes)
    if kind == "one image each":
        images[:] = 1
    if classes == 3:
        images[:] = 3
    weights = np.full(classes, 1 / classes)
    inside = 0
    for _ in range(400):
        low, high = accuracy_interval(random.binomial(images, p), images, weights)
        inside += low <= (weights * p).sum() <= high
    assert inside / 400 >= 0.93


@pytest.mark.parametrize("one_image", [False, True])
def test_paired_interval_covers(one_image: bool) -> None:
    random = np.random.default_rng(4)
    images = np.maximum(1, (random.pareto(0.8, 60) * 3).astype(int))
    if one_image:
        images[:] = 1
    better, worse = random.uniform(0, 0.15, 60), random.uniform(0, 0.1, 60)
    weights = np.full(60, 1 / 60)
    truth, inside = float((weights * (better - worse)).sum()), 0
    for _ in range(300):
        drawn = random.multinomial(images, np.stack([better, worse, 1 - better - worse], axis=1))
        gain = float((weights * (drawn[:, 0] - drawn[:, 1]) / images).sum())
        inside += abs(gain - truth) <= Z * paired_gain_error(drawn[:, 0], drawn[:, 1], images, weights)
    assert inside / 300 >= 0.92


@pytest.mark.parametrize(("right", "images"), [(0, 7), (7, 7), (3, 7), (830, 1000)])
def test_mean_of_two_values_has_wilsons_interval(right: int, images: int) -> None:
    value, interval = mean_and_interval(np.array([images - right, right]), np.array([0.0, 1.0]))
    assert value == pytest.approx(right / images) and interval == pytest.approx(wilson_interval(right / images, images))


def test_mean_does_not_depend_on_the_direction_or_scale_of_its_values() -> None:
    images, values = np.array([60, 20, 15, 5]), np.arange(4) / 3
    value, (low, high) = mean_and_interval(images, values)
    assert value == pytest.approx((20 + 30 + 15) / 300) and low < value < high
    mirrored, ends = mean_and_interval(images, 1 - values)
    assert mirrored == pytest.approx(1 - value) and sorted(ends) == pytest.approx([1 - high, 1 - low])


def test_paired_gain_of_two_values_is_near_that_of_shares() -> None:
    joint = np.array([[100, 40], [25, 835]])
    every = np.array([True, True])
    variance = paired_mean_gain_variance(joint, np.array([0.0, 1.0]), every)
    counts = [np.array([n]) for n in (40, 25, 1000)]
    assert variance**0.5 == pytest.approx(paired_gain_error(*counts, np.ones(1)), abs=1e-4)
    same = paired_mean_gain_variance(np.diag([100, 900]), np.array([0.0, 1.0]), every)
    assert same > 0, "agreement on these images is no proof for others"


@pytest.mark.parametrize("mistakes", [False, True])
def test_means_and_their_paired_gains_cover_the_truth(mistakes: bool) -> None:
    """95 % intervals of simulated distances of two runs contain the true mean and gain about 95 times in 100."""
    random = np.random.default_rng(5)
    joint = np.array([[0.70, 0.04, 0.02, 0.01], [0.06, 0.06, 0.01, 0.01], [0.02, 0.01, 0.02, 0], [0.01, 0.01, 0, 0.02]])
    values, counts = np.arange(4) / 3, np.arange(4) >= int(mistakes)

    def mean(share: Any) -> float:
        return float((share * values)[counts].sum() / share[counts].sum())

    first, gain = mean(joint.sum(axis=1)), mean(joint.sum(axis=0)) - mean(joint.sum(axis=1))
    mean_hits = gain_hits = 0
    for draw in random.multinomial(300, joint.ravel(), size=400).reshape(-1, 4, 4):
        low, high = mean_and_interval(draw.sum(axis=1)[counts], values[counts])[1]
        mean_hits += low <= first <= high
        drawn_gain = mean(draw.sum(axis=0)) - mean(draw.sum(axis=1))
        gain_hits += abs(drawn_gain - gain) <= Z * paired_mean_gain_variance(draw, values, counts) ** 0.5
    assert 0.925 <= mean_hits / 400 <= 0.985 and 0.925 <= gain_hits / 400 <= 0.985
