"""The tests: known values, agreement with simpler tests, and false positive rates by simulation.

Shapes: K seeds, N photos.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from prodrec.eval.report.intervals import paired_gain_errors
from prodrec.eval.report.seed_intervals import gain_test


def test_one_run_each_is_the_normal_test_over_photos() -> None:
    test = gain_test([0.80], [0.83], image_error=0.01)
    assert test.p == pytest.approx(2 * stats.norm.sf(3))
    assert test.interval == test.image_interval == pytest.approx((0.03 - 0.0196, 0.03 + 0.0196), abs=1e-5)
    assert test.seed_error == 0


def test_without_variance_over_photos_it_is_students_test_over_seeds() -> None:
    first, second = [0.80, 0.82, 0.81], [0.84, 0.83, 0.88]
    test = gain_test(first, second, image_error=0.0)
    expected = stats.ttest_ind(second, first)
    assert test.p == pytest.approx(expected.pvalue)
    assert test.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_both_errors_are_those_of_clark() -> None:
    first, second, image_error = [0.80, 0.82], [0.84, 0.83, 0.88], 0.012
    test = gain_test(first, second, image_error=image_error)
    f_photos, f_seeds = (test.gain / image_error) ** 2, stats.ttest_ind(second, first).statistic ** 2
    min_f = f_photos * f_seeds / (f_photos + f_seeds)
    df = (f_photos + f_seeds) ** 2 / (f_photos**2 / (len(first) + len(second) - 2))
    assert test.p == pytest.approx(stats.f.sf(min_f, 1, df))


def test_a_column_with_one_run_takes_the_variance_of_the_other() -> None:
    test = gain_test([0.80, 0.82, 0.84], [0.90], image_error=0.0)
    assert test.seed_error == pytest.approx(0.02 * math.sqrt(1 + 1 / 3))


def test_the_same_networks_are_compared_seed_by_seed() -> None:
    first, second = [0.70, 0.80, 0.90], [0.72, 0.81, 0.93]
    test = gain_test(first, second, image_error=0.0, same_networks=True)
    expected = stats.ttest_rel(second, first)
    assert test.p == pytest.approx(expected.pvalue)
    assert test.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert gain_test([0.7], [0.8], image_error=0.1, same_networks=True).seed_error == 0


def test_equal_runs_do_not_differ() -> None:
    test = gain_test([0.8, 0.8], [0.8, 0.8], image_error=0.01)
    assert test.p == 1 and not test.is_shown


def draw_runs(random: np.random.Generator, *, photos: int, seeds: int, seed_spread: float) -> Any:
    """Draw two columns of equal recipes, bool [K, N] each: photos differ in difficulty, seeds in quality."""
    difficulty_N = random.normal(0, 2, photos)
    columns = []
    for _ in range(2):
        recipe_N, quality_K = random.normal(0, 1, photos), random.normal(0, seed_spread, seeds)
        noise_KN = random.normal(0, 2, (seeds, photos))
        columns.append(1 + difficulty_N + recipe_N + quality_K[:, None] + noise_KN > 0)
    return columns


def false_positive_rates(*, seeds: int, seed_spread: float, trials: int, photos: int = 400) -> tuple[float, float]:
    """Return how often the test, and the one over photos alone, claims a difference of equal recipes."""
    random, claimed, by_images = np.random.default_rng(6), 0, 0
    for _ in range(trials):
        first_KN, second_KN = draw_runs(random, photos=photos, seeds=seeds, seed_spread=seed_spread)
        d_N = second_KN.mean(0) - first_KN.mean(0)
        better, worse = (np.array([[((d_N**2) + sign * d_N).sum() / 2]]) for sign in (1, -1))
        error = float(paired_gain_errors(better, worse, np.array([[photos]]), np.ones((1, 1)))[0])
        test = gain_test(first_KN.mean(1).tolist(), second_KN.mean(1).tolist(), image_error=error)
        claimed += test.is_shown
        by_images += test.image_interval[0] > 0 or test.image_interval[1] < 0
    return claimed / trials, by_images / trials


def test_equal_recipes_are_rarely_told_apart() -> None:
    rate, by_images = false_positive_rates(seeds=3, seed_spread=0.3, trials=400)
    assert rate <= 0.08, "5 % with three errors of 1.1 % from 400 trials"
    assert by_images > 0.15, "seeds must be counted"


def test_one_run_each_has_the_level_of_the_reports_interval() -> None:
    rate, by_images = false_positive_rates(seeds=1, seed_spread=0.0, trials=400)
    assert 0.02 <= rate == by_images <= 0.08


@pytest.mark.exhaustive
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("seed_spread", [0.0, 0.05, 0.15, 0.3])
def test_false_positive_rate(seeds: int, seed_spread: float) -> None:
    rate, _ = false_positive_rates(seeds=seeds, seed_spread=seed_spread, trials=3000, photos=1000)
    assert rate <= 0.07, "5 % with its error of 0.4 %, and what Satterthwaite's approximation adds"
