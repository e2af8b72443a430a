"""What was seen gives the scores of the network itself, at every operating point."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from prodrec.inference.neighbours.fused import FusedNetwork
from prodrec.inference.neighbours.operating_points import OperatingPoint
from prodrec.inference.neighbours.seen import see

from .linear_network import LinearNetwork, VectorBatch, draw_batch, draw_neighbours

POINTS = (
    OperatingPoint("", 0.5, 0.7, 20, 0.05, 0.5),
    OperatingPoint("", 0.0, 0.5, 10, 0.02, 1.0),
    OperatingPoint("", 0.25),
)


@pytest.mark.parametrize("has_neighbours", [True, False])
def test_scores_are_those_of_the_network(has_neighbours: bool) -> None:
    network: Any = LinearNetwork()
    neighbours = draw_neighbours() if has_neighbours else None
    drawn = draw_batch(50, seed=4)
    batches: Any = [VectorBatch(drawn.inputs[i : i + 16], drawn.labels_BL[i : i + 16]) for i in range(0, 50, 16)]
    seen = see(network, batches, own_batches=3, column=0, neighbours=neighbours, total=50)
    assert [len(batch) for batch in seen] == [16, 16, 16, 2] and [batch.is_own for batch in seen] == [True] * 3 + [
        False
    ]
    fused = FusedNetwork(network, neighbours)
    for batch, one in zip(batches, seen, strict=True):
        assert torch.equal(one.label_B, batch.labels_BL[:, 0])
        for point in POINTS if has_neighbours else POINTS[2:]:
            expected: Any = fused.top_k(fused.features(batch, [point]), 3, point)
            found: Any = fused.top_k(one.fused, 3, point)
            assert torch.equal(found.classes["leaf"], expected.classes["leaf"])
            torch.testing.assert_close(found.scores["leaf"], expected.scores["leaf"])
