"""The choice of operating points against a plain search over the mixture of all classes.

Shapes: B photos of a batch, M validation photos.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from prodrec.inference.neighbours import choose as module
from prodrec.inference.neighbours.choose import choose, limit_rows, observe
from prodrec.inference.neighbours.fused import FusedNetwork, Neighbours, PointNetwork
from prodrec.inference.neighbours.operating_points import DEFAULTS, OperatingPoint, OperatingPoints
from prodrec.inference.neighbours.seen import see

from .linear_network import C, LinearNetwork, VectorBatch, draw_batch, draw_neighbours

NETWORK: Any = LinearNetwork()
NEIGHBOURS = draw_neighbours()


def observations(batches: list[VectorBatch], *, neighbours: bool = True) -> module.Observations:
    seen = see(
        NETWORK,
        iter(batches),  # type: ignore[arg-type]
        own_batches=len(batches),
        column=0,
        neighbours=NEIGHBOURS if neighbours else None,
        total=0,
    )
    found = observe(NETWORK, seen, level="leaf", neighbours=NEIGHBOURS if neighbours else None)
    assert found is not None
    return found


def labelled_by(point: OperatingPoint, rows: int = 400) -> list[VectorBatch]:
    """Return batches whose labels are the predictions at `point`, except every tenth."""
    batch = draw_batch(rows, seed=3)
    labels_B = PointNetwork(FusedNetwork(NETWORK, NEIGHBOURS), point).score(batch).scores["leaf"].argmax(1)  # type: ignore[arg-type]
    labels_B[::10] = (labels_B[::10] + 1) % C
    labels = replace(batch, labels_BL=labels_B.unsqueeze(1))
    return [VectorBatch(labels.inputs[i : i + 64], labels.labels_BL[i : i + 64]) for i in range(0, rows, 64)]


@pytest.mark.parametrize(("neighbours", "unvoted"), [(True, ()), (True, (0, 2)), (False, ())])
def test_predictions_of_all_candidates_are_those_of_the_network(
    neighbours: bool, unvoted: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with classes for which no photo can vote."""
    if unvoted:
        class_N = np.where(np.isin(NEIGHBOURS.features.class_N, unvoted), 1, NEIGHBOURS.features.class_N)
        others = replace(NEIGHBOURS.features, class_N=class_N.astype(np.int32))
        monkeypatch.setitem(globals(), "NEIGHBOURS", Neighbours.load(others, C, torch.device("cpu")))
        assert set(unvoted) <= set(NEIGHBOURS.unvoted_U.tolist())
    batches = labelled_by(DEFAULTS["natural"], rows=100)
    seen = observations(batches, neighbours=neighbours)
    inputs = draw_batch(100, seed=3)
    candidates = list(module._candidates(seen, module.BETAS if neighbours else ()))
    assert len(candidates) == (5 * 6 * 2 * 4 * 5 if neighbours else 5)
    for point, class_M in candidates[:: 37 if neighbours else 1]:
        fused = FusedNetwork(NETWORK, NEIGHBOURS)
        expected_M = PointNetwork(fused, point).score(inputs).scores["leaf"].argmax(1)  # type: ignore[arg-type]
        assert torch.equal(class_M, expected_M), str(point)
        top = fused.top_k(fused.features(inputs, [point]), 1, point)  # type: ignore[arg-type]
        assert torch.equal(top.classes["leaf"][:, 0], expected_M), str(point)


@pytest.mark.parametrize(
    "best",
    [
        OperatingPoint("", 0.5, 0.7, 20, 0.05, 0.5),
        OperatingPoint("", 0.0, 0.5, 10, 0.02, 1.0),
    ],
    ids=str,
)
def test_the_point_that_made_the_labels_is_found(best: OperatingPoint) -> None:
    points = choose(observations(labelled_by(best)), with_neighbours=True)
    natural = points.choose("natural")
    assert (natural.tau, natural.beta) == (best.tau, best.beta)
    by_name = {(row["name"], row["neighbours"]): row for row in points.validation}
    assert by_name["natural", True]["top1"] >= 0.9 - 1e-9
    assert all(by_name["natural", True]["top1"] >= row["top1"] for row in points.validation)
    assert points.photos == 400 and set(points.without_neighbours) == {"natural", "balanced"}


def test_few_photos_leave_the_defaults() -> None:
    points = choose(observations([draw_batch(4, seed=3)]), with_neighbours=True)
    assert points.with_neighbours == DEFAULTS


def test_measures_are_weighted_accuracies() -> None:
    label_M = torch.tensor([0] * 40 + [1] * 10 + [2] * 2)
    class_M = torch.tensor([0] * 30 + [1] * 10 + [1] * 5 + [0] * 5 + [2, 0])
    measured = module._Measures(label_M).accuracies(class_M)
    assert measured["top1"] == pytest.approx(36 / 52)
    assert measured["macc"] == pytest.approx((0.75 + 0.5 + 0.5) / 3)
    near_balanced = (20 * 0.75 + 10 * 0.5 + 2 * 0.5) / 32  # a class counts as at most 20 photos
    assert measured["balanced"] == pytest.approx((near_balanced + measured["macc"]) / 2)


def test_without_neighbours_there_are_no_such_points() -> None:
    points: OperatingPoints = choose(
        observations(labelled_by(DEFAULTS["balanced"]), neighbours=False), with_neighbours=False
    )
    assert points.with_neighbours == {} and points.choose("balanced").beta == 0
    assert [row["name"] for row in points.validation] == ["plain", "natural", "balanced"]


def test_rows_are_limited_when_the_scores_would_be_too_many() -> None:
    rows = np.arange(50_000)
    assert len(limit_rows(rows, 10)) == module.MAX_PHOTOS
    few = limit_rows(rows, 10**7)
    assert len(few) == 200 and (np.diff(few) > 0).all()
    assert limit_rows(rows[:5], 10**12).tolist() == [int(limit_rows(rows[:5], 10**12)[0])]
    assert np.array_equal(limit_rows(rows[:7], 10), rows[:7])


def test_weights_of_a_measure_sum_to_one() -> None:
    weights: dict[str, Tensor] = module._Measures(torch.tensor([0, 0, 0, 4, 4, 2])).weights_M
    assert all(float(weight_M.sum()) == pytest.approx(1) for weight_M in weights.values())
