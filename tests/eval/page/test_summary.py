"""The summary: every sentence has the numbers of the report, and advice is given where the numbers call for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.scores.reader import open_scores
from prodrec.eval.page.confusions import confused_pairs
from prodrec.eval.page.details import Details
from prodrec.eval.page.summary import Findings, summary_content
from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.leaf_groups import Thresholds


@pytest.fixture
def findings(predicted: Callable[..., Path], count_details: Callable[..., Details]) -> Callable[..., Findings]:
    """Findings on runs given by their predictions for one truth; the last run is the one of interest."""

    calls = itertools.count()

    def find(truth: list[int], *runs: list[int], split: str = "test") -> Findings:
        seed = next(calls)  # each call writes other files
        paths = [predicted(f"run-{i}", truth, {"leaf": best}, seed=seed) for i, best in enumerate(runs)]
        report = evaluate_scores(paths, by_head_tail=True, by_level=True, thresholds=Thresholds(head_from=9))
        with open_scores(paths[-1]) as file:
            details = count_details(file, split)
        images_C = np.bincount(truth, minlength=5)
        pairs = confused_pairs(details, images_C, np.ones(5)) if details.errors else []
        return Findings(report, len(runs) - 1, details, pairs, details.confidence.widest(0.95))

    return find


def test_accuracy_levels_and_certainty(findings: Callable[..., Findings]) -> None:
    truth = [0] * 50 + [1] * 30 + [2] * 20
    content = summary_content(findings(truth, [0] * 80 + [2] * 20))
    text = " ".join(content["sentences"])
    assert "run-0 recognises products in photos, among 5 classes in 2 groups." in text
    assert "its first guess is right for 70 [60–78]." in text
    assert "The broad group (root) is right for 100 [96–100] of 100." in text
    certainty = " ".join(content["certainty"])
    assert "All numbers come from 100 test photos. The model was not trained on them." in certainty
    assert "Nothing is known of 2 classes without test photos." in certainty
    assert content["next"][0].startswith("Look at the confused pairs: 1 and 0 alone are 100 % of all mistakes")


def test_gains_are_certain_or_not(findings: Callable[..., Findings]) -> None:
    truth = [0] * 60 + [1] * 40
    half, better = [0] * 60 + [0] * 40, [0] * 60 + [1] * 30 + [0] * 10
    (gain,) = [text for text in summary_content(findings(truth, half, better))["sentences"] if "run-0" in text]
    assert gain.startswith("It is better than run-0 by 30.0 points over all photos [+")
    assert "better than run-0 by 37.5 points over all classes" in gain
    equal = summary_content(findings(truth, half, [*half[:-1], 1]))["sentences"]
    assert any("not surely different from run-0 over all photos" in text for text in equal)
    assert not any("run-0" in text for text in summary_content(findings(truth, half))["sentences"][1:])
    first = replace(findings(truth, better, half), group=0)
    (gain,) = [text for text in summary_content(first)["sentences"] if "run-1" in text]
    assert gain.startswith("run-1 is worse than run-0 by 30.0 points over all photos [-")


def test_ends_of_an_interval_differ(findings: Callable[..., Findings]) -> None:
    """Whole numbers, or one decimal where both ends would round to the same number."""
    sentences = summary_content(findings([0] * 9000, [0] * 8991 + [1] * 9))["sentences"]
    assert "Of 100 photos, its first guess is right for 99.9 [99.8–99.9]." in sentences


def test_probabilities_that_are_too_high_are_reported(findings: Callable[..., Findings]) -> None:
    content = summary_content(findings([0, 1] * 50, [0, 0] * 50))
    assert any("they are too high, by" in step for step in content["next"])
    assert summary_content(findings([0, 1] * 50, [0, 1] * 50))["next"] == []
