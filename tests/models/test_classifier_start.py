"""Rows that start from their classes: against loops, with missing classes, sharded, and what the scores then are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from prodrec.core.base import dist
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.classifier_start import SCALE, FeatureSums, start_rows


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(4)
    return torch.rand(12, 5), torch.tensor([0, 1, 3, 3, 0, 1, -1, 0, 3, 3, 1, 0])  # class 2 has no row


def test_means_and_lengths_equal_a_loop() -> None:
    features_BD, labels_B = drawn()
    means = FeatureSums(4, 5)
    means.add(features_BD[:7], labels_B[:7])
    means.add(features_BD[7:], labels_B[7:])
    means.reduce(torch.device("cpu"))
    for number in range(4):
        rows = [row for row, label in zip(features_BD, labels_B.tolist(), strict=True) if label == number]
        expected_D = torch.stack(rows).mean(0) if rows else torch.zeros(5)
        torch.testing.assert_close(means.sums_CD[number] / max(1, len(rows)), expected_D)
    assert means.mean_length == pytest.approx(float(np.mean([float(row.norm()) for row in features_BD])))
    assert FeatureSums(4, 5).mean_length == 1.0


def test_scores_are_those_of_a_cosine_classifier() -> None:
    features_BD, labels_B = drawn()
    means = FeatureSums(4, 5)
    means.add(features_BD, labels_B)
    classifier = Classifier(5, 4)
    random_D = classifier.weight[2].detach().clone()
    start_rows(classifier, means.sums_CD, mean_length=means.mean_length)
    assert torch.equal(classifier.weight[2], random_D), "a class without photos keeps its random row"
    scores_BC = classifier.scores(features_BD).detach()
    for row, x_D in enumerate(features_BD):
        for number in (0, 1, 3):
            mean_D = features_BD[labels_B == number].mean(0)
            cosine = torch.dot(mean_D, x_D) / (mean_D.norm() * x_D.norm())
            expected = SCALE * cosine * x_D.norm() / means.mean_length
            assert float(scores_BC[row, number]) == pytest.approx(float(expected), rel=1e-5)


def rows_of_this_rank() -> dict[str, Any]:
    features_BD, labels_B = drawn()
    own = dist.shard_slice(len(labels_B))
    means = FeatureSums(4, 5)
    means.add(features_BD[own], labels_B[own])
    means.reduce(torch.device("cpu"))
    torch.manual_seed(1)
    classifier = Classifier(5, 4, sharded=True)
    start_rows(classifier, means.sums_CD, mean_length=means.mean_length)
    return {"first": classifier.first_class, "weight": classifier.weight.detach().numpy()}


def test_two_ranks_start_as_one_process_does(on_ranks: Callable[..., list[Any]]) -> None:
    features_BD, labels_B = drawn()
    means = FeatureSums(4, 5)
    means.add(features_BD, labels_B)
    torch.manual_seed(1)
    alone = Classifier(5, 4)
    start_rows(alone, means.sums_CD, mean_length=means.mean_length)
    ranks = on_ranks(2, rows_of_this_rank)
    assert [rank["first"] for rank in ranks] == [0, 2]
    together_CD = np.concatenate([rank["weight"] for rank in ranks])
    np.testing.assert_allclose(together_CD, alone.weight.detach().numpy(), rtol=1e-6)
