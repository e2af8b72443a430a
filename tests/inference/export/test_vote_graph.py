"""The vote as a part of a graph is that of `Neighbours`, for groups, conflicting labels and classes without votes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from prodrec.core.base.texts import Texts
from prodrec.inference.export.vote_graph import VoteGraph, first_of_identical
from prodrec.inference.neighbours.fused import Neighbours
from prodrec.inference.neighbours.operating_points import OperatingPoint
from prodrec.inference.neighbours.projection import Projection
from prodrec.inference.neighbours.training_features import TrainingFeatures
from prodrec.inference.neighbours.vote import mix_all

CLASSES, WIDTH = 7, 6
POINT = OperatingPoint("natural", tau=0.0, beta=0.4, neighbours=5, temperature=0.1, rho=0.5)


@pytest.fixture
def features() -> Callable[..., TrainingFeatures]:
    """`features(photos, groups)`: class 6 has no photo, and photos 1 and 2 differ in class alone."""

    def draw(photos: int, groups: int) -> TrainingFeatures:
        random = np.random.default_rng(photos)
        vectors_Nd = random.normal(size=(photos, WIDTH)).astype(np.float32)
        vectors_Nd /= np.linalg.norm(vectors_Nd, axis=1, keepdims=True)
        group_N = random.integers(0, groups, photos) if groups < photos else np.arange(photos)
        class_N = random.integers(0, CLASSES - 1, photos).astype(np.int32)
        if photos > 2:
            vectors_Nd[2], group_N[2], class_N[2] = vectors_Nd[1], group_N[1], (class_N[1] + 1) % (CLASSES - 1)
        return TrainingFeatures(
            level="leaf",
            projection=Projection(torch.zeros(WIDTH), torch.eye(WIDTH)),
            vectors_Nd=vectors_Nd.astype(np.float16),
            class_N=class_N,
            group_N=group_N.astype(np.int64),
            row_N=np.arange(photos),
            ids=Texts.from_strings(str(i) for i in range(photos)),
            fingerprint="f",
        )

    return draw


@pytest.mark.parametrize(("photos", "groups"), [(60, 60), (60, 11), (60, 3), (4, 4), (1, 1)])
def test_the_vote_is_that_of_the_run(features: Callable[..., TrainingFeatures], photos: int, groups: int) -> None:
    neighbours = Neighbours.load(features(photos, groups), CLASSES, torch.device("cpu"))
    torch.manual_seed(0)
    vector_BD = F.normalize(torch.randn(40, WIDTH), dim=1)
    vector_BD[:2] = torch.from_numpy(neighbours.features.vectors_Nd[-1]).float()
    scores_BC = 4 * torch.randn(40, CLASSES)
    votes = neighbours.vote(neighbours.searcher.nearest(vector_BD, POINT.neighbours), POINT)
    expected_BC = mix_all(scores_BC, votes, POINT.beta, neighbours.unvoted_U)
    found_BC = VoteGraph(neighbours, POINT)(vector_BD, scores_BC)
    torch.testing.assert_close(found_BC.exp(), expected_BC.exp(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found_BC.exp().sum(1), torch.ones(40))


def test_a_small_probability_is_no_infinite_score(features: Callable[..., TrainingFeatures]) -> None:
    graph = VoteGraph(Neighbours.load(features(60, 60), CLASSES, torch.device("cpu")), POINT)
    scores_BC = torch.tensor([[300.0, 0, 0, 0, 0, 0, 0]])
    found_BC = graph(F.normalize(torch.ones(1, WIDTH), dim=1), scores_BC)
    assert torch.isfinite(found_BC).all() and float(found_BC[0, 6]) == -300


def test_of_identical_photos_of_a_group_the_first_stays() -> None:
    vectors_Nd = np.array([[1, 0], [0, 1], [1, 0], [1, 0], [0, 1]], np.float16)
    assert first_of_identical(vectors_Nd, np.array([5, 5, 5, 6, 5])).tolist() == [0, 1, 3]
