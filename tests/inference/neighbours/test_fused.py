"""A network at operating points: which scores change, dense and top k alike.

Shapes: B photos, C classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.base.top_k_options import TopKOptions
from prodrec.inference.neighbours.fused import FusedNetwork, Neighbours, PointNetwork
from prodrec.inference.neighbours.operating_points import PLAIN_POINT, OperatingPoint
from prodrec.inference.neighbours.tree_scores import TreeScores
from prodrec.inference.neighbours.vote import mix_all

from .linear_network import C, LinearNetwork, N, draw_batch, draw_neighbours

POINTS = [
    PLAIN_POINT,
    OperatingPoint("adjusted", tau=1.0),
    OperatingPoint("natural", tau=0.0, beta=0.3, neighbours=5, temperature=0.1, rho=0.0),
    OperatingPoint("balanced", tau=1.0, beta=0.7, neighbours=50, temperature=0.05, rho=0.9),
]
BATCH = draw_batch(9, seed=1)
FUSED = FusedNetwork(LinearNetwork(), draw_neighbours())  # type: ignore[arg-type]
TREE = Taxonomy(("root", "leaf"), (("r", "s"), [*"abcdef"]), ((-1, -1), (1, 0, 1, 0, 0, 1)))
UNVOTED = [0, 2, 4]
FEATURES = draw_neighbours().features
FEW_VOTED = replace(
    FUSED,
    neighbours=Neighbours.load(
        replace(FEATURES, class_N=np.where(np.isin(FEATURES.class_N, UNVOTED), 1, FEATURES.class_N).astype(np.int32)),
        C,
        torch.device("cpu"),
    ),
)
WITH_TREE = replace(FUSED, tree=TreeScores.of_levels(TREE, TREE.levels, 0.7))


@pytest.mark.parametrize("point", POINTS, ids=str)
@pytest.mark.parametrize("k", [1, 3, 99])
@pytest.mark.parametrize(
    "fused", [FUSED, WITH_TREE, FEW_VOTED], ids=["levels alone", "with the tree", "classes without photos"]
)
def test_top_k_and_all_scores_agree(fused: FusedNetwork, point: OperatingPoint, k: int) -> None:
    features = fused.features(BATCH, POINTS)  # type: ignore[arg-type]
    scored, best = fused.score(features, point), fused.top_k(features, k, point)
    for level, scores_BC in scored.scores.items():
        expected = scores_BC.topk(min(k, scores_BC.shape[1]))
        torch.testing.assert_close(best.scores[level], expected.values)
        assert torch.equal(best.classes[level], expected.indices)


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_one_pass_for_several_points_scores_as_one_for_each(point: OperatingPoint) -> None:
    together = FUSED.score(FUSED.features(BATCH, POINTS), point)  # type: ignore[arg-type]
    alone = PointNetwork(FUSED, point).score(BATCH)  # type: ignore[arg-type]
    assert all(torch.equal(scores, alone.scores[level]) for level, scores in together.scores.items())


def test_classes_without_photos_take_no_memory_for_each_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network returns the best of them, and no score of each: there may be a million."""
    requested: list[TopKOptions] = []
    real = LinearNetwork.top_k_of

    def record(self: LinearNetwork, features_BD: torch.Tensor, k: int, *, tau: Any, options: TopKOptions) -> Any:
        requested.append(options)
        return real(self, features_BD, k, tau=tau, options=options)

    monkeypatch.setattr(LinearNetwork, "top_k_of", record)
    neighbours = FEW_VOTED.neighbours
    assert neighbours is not None and set(UNVOTED) <= set(neighbours.unvoted_U.tolist())
    FEW_VOTED.top_k(FEW_VOTED.features(BATCH, [POINTS[2]]), 2, POINTS[2])  # type: ignore[arg-type]
    (options,) = requested
    assert options.also_BJ is not None and options.also_BJ.shape == (len(BATCH), POINTS[2].neighbours)
    assert options.among_C is not None
    assert options.among_C.nonzero()[:, 0].tolist() == neighbours.unvoted_U.tolist()


def test_the_deepest_level_is_mixed_and_the_others_are_adjusted_only() -> None:
    network, neighbours, point = LinearNetwork(), draw_neighbours(), POINTS[3]
    features = FUSED.features(BATCH, [point])  # type: ignore[arg-type]
    assert features.nearest is not None
    adjusted = network.scores_of(BATCH.inputs, tau=1.0)
    scored = FUSED.score(features, point)
    assert torch.equal(scored.scores["root"], adjusted.scores["root"])
    expected = mix_all(adjusted.scores["leaf"], neighbours.vote(features.nearest, point), point.beta)
    assert torch.equal(scored.scores["leaf"], expected)
    torch.testing.assert_close(scored.scores["leaf"].exp().sum(1), torch.ones(len(BATCH)))
    assert not torch.equal(scored.scores["leaf"].argmax(1), adjusted.scores["leaf"].argmax(1))


def test_ancestors_count_before_neighbours_vote() -> None:
    network, neighbours, point = LinearNetwork(), draw_neighbours(), POINTS[3]
    features = WITH_TREE.features(BATCH, [point])  # type: ignore[arg-type]
    assert features.nearest is not None
    scores = network.scores_of(BATCH.inputs, tau=1.0).scores
    by_hand_BC = scores["leaf"] + 0.7 * scores["root"].log_softmax(1)[:, [1, 0, 1, 0, 0, 1]]
    scored = WITH_TREE.score(features, point)
    assert torch.equal(scored.scores["root"], scores["root"])
    expected_BC = mix_all(by_hand_BC, neighbours.vote(features.nearest, point), point.beta)
    torch.testing.assert_close(scored.scores["leaf"], expected_BC)
    alone = WITH_TREE.score(features, POINTS[1]).scores["leaf"]
    torch.testing.assert_close(alone, by_hand_BC)
    assert not torch.equal(alone.argmax(1), scores["leaf"].argmax(1))


def test_points_without_neighbours_do_not_search() -> None:
    fused = FusedNetwork(LinearNetwork())  # type: ignore[arg-type]
    features = fused.features(BATCH, POINTS[:2])  # type: ignore[arg-type]
    assert features.nearest is None
    plain, adjusted = (fused.score(features, point).scores["leaf"] for point in POINTS[:2])
    torch.testing.assert_close(plain - adjusted, 0.5 * LinearNetwork().log_prior_C.repeat(len(BATCH), 1))
    assert plain.shape == (9, C)
    network = PointNetwork(fused, PLAIN_POINT)
    assert network.recognise(BATCH).voters is None and network.voters_level is None  # type: ignore[arg-type]


def test_voters_are_the_nearest_photos_by_their_share() -> None:
    network = PointNetwork(FUSED, POINTS[3])
    scored, vectors_BD, voters, products = network.recognise(BATCH)  # type: ignore[arg-type]
    assert (
        vectors_BD is not None and torch.allclose(vectors_BD.norm(dim=1), torch.ones(len(BATCH))) and products is None
    )
    assert torch.equal(scored.scores["leaf"], network.score(BATCH).scores["leaf"])  # type: ignore[arg-type]
    assert voters is not None and network.voters_level == "leaf" and len(voters) == len(BATCH)
    for row in voters:
        shares = [voter.share for voter in row]
        assert len(row) == N and shares == sorted(shares, reverse=True) and abs(sum(shares) - 1) < 1e-5
        assert {voter.id for voter in row} == {f"P{i}" for i in range(N)}


def test_titles_change_the_scores_but_not_who_votes() -> None:
    point = PointNetwork(FUSED, POINTS[2])
    with_titles, without = (point.score(BATCH, with_titles=flag).scores["leaf"] for flag in (True, False))  # type: ignore[arg-type]
    assert not torch.equal(with_titles, without)
    titled = PointNetwork(FUSED, POINTS[3], titled_point=POINTS[2])
    assert torch.equal(titled.score(BATCH, with_titles=True).scores["leaf"], with_titles)  # type: ignore[arg-type]
    assert torch.equal(titled.score(BATCH).scores["leaf"], PointNetwork(FUSED, POINTS[3]).score(BATCH).scores["leaf"])  # type: ignore[arg-type]
