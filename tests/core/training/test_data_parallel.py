"""Sums over the ranks: gradients, also accumulated and sharded ones, their norm, losses and flags.

That a whole training equals one process is tested with the command (tests/cli/test_train_ranks.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from prodrec.core.base import dist
from prodrec.core.data.batches import Batch
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.training.data_parallel import DataParallelLoss, all_reduce_losses, clip_gradients
from prodrec.core.training.loop import seed_batch
from prodrec.core.training.train_state import make_train_state
from prodrec.core.training.validate import validate

from .conftest import PHOTOS, TRAINING, TinyLosses, TinyNetwork

ROWS = 5


class Divided(nn.Module):
    """The loss Σ (w · x)² + Σ (v_r · x)² over all rows: w is replicated, the rows of V are divided among the ranks."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.alike = nn.Parameter(torch.randn(3, dtype=torch.float64))
        rows_VD = torch.randn(4, 3, dtype=torch.float64)
        self.rows = dist.shard_slice(4)
        self.divided = nn.Parameter(rows_VD[self.rows].clone())
        self.frozen = nn.Parameter(torch.zeros(2, dtype=torch.float64), requires_grad=False)

    def loss(self, batch: Batch) -> TinyLosses:
        own = ((batch.inputs @ self.alike) ** 2).sum()
        everything = torch.from_numpy(np.concatenate(dist.all_gather(batch.inputs.numpy())))
        total = own + ((everything @ self.divided.t()) ** 2).sum()  # its gradient is complete here
        return TinyLosses(total, {"own": own.detach()})

    def shards(self) -> dict[str, dist.Shard]:
        return {"divided": dist.Shard(self.rows.start, 4)}


def batch_of(seed: int) -> Batch:
    """Return this rank's rows of a random batch."""
    torch.manual_seed(seed)
    inputs = torch.randn(ROWS, 3, dtype=torch.float64)[dist.shard_slice(ROWS)]
    nothing = torch.zeros(len(inputs), 1)
    return Batch(torch.arange(len(inputs)), inputs, nothing, nothing, nothing, global_size=ROWS)


def gradients(largest: float) -> dict[str, Any]:
    """Return clipped gradients of two accumulated batches. A first round makes DDP rebuild its buckets."""
    network = Divided()
    loss = DataParallelLoss(network, compiled=False)  # type: ignore[arg-type]
    for start in (0, 2):
        network.zero_grad()
        with loss.no_sync():
            loss(batch_of(start)).total.backward()
        losses = loss(batch_of(start + 1))
        losses.total.backward()
    clip_gradients(network, largest)  # type: ignore[arg-type]
    sums, flags = all_reduce_losses(losses.terms, {"stop": dist.rank() == 1, "save": False})
    divided = np.concatenate(dist.all_gather(network.divided.grad.numpy()))
    network.alike.requires_grad_(False)
    only_divided = DataParallelLoss(network, compiled=False)  # type: ignore[arg-type]  # nothing is left for DDP
    only_divided(batch_of(9)).total.backward()
    return {"alike": network.alike.grad.numpy(), "divided": divided, "losses": sums, "flags": flags}


def random_numbers() -> list[list[float]]:
    numbers = []
    for step, index in ((0, 0), (0, 1), (1, 0), (0, 0)):
        seed_batch(7, step, index)
        numbers.append(torch.rand(2).tolist())
    return numbers


def validation_columns(place: Path) -> dict[str, float] | None:
    data = open_dataset(place)
    torch.manual_seed(3)
    network = TinyNetwork(len(data.taxonomy.leaves), data.taxonomy.leaf_level)
    all_but_one = len(data.rows("validation")) - 1  # the last batch has one row, so some ranks have none
    train_state = make_train_state(network, replace(TRAINING, batch_size=all_but_one), torch.device("cpu"))
    validation = validate(train_state, data, PHOTOS, workers=0)
    return None if validation is None else validation.as_columns()


def compute_all(place: Path) -> dict[str, Any]:
    return {
        "free": gradients(1e9),
        "clipped": gradients(0.1),
        "random": random_numbers(),
        "validated": validation_columns(place),
    }


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_equal_one_process(ranks: int, on_ranks: Callable[..., list[Any]], prepared: Dataset) -> None:
    alone = compute_all(prepared.path)
    results = on_ranks(ranks, compute_all, prepared.path)
    for result in results:
        for name in ("free", "clipped"):
            for part in ("alike", "divided"):
                np.testing.assert_allclose(result[name][part], alone[name][part], rtol=1e-12)
            assert result[name]["losses"] == pytest.approx(alone[name]["losses"])
            assert result[name]["flags"] == {"stop"} and alone[name]["flags"] == frozenset()
        assert result["validated"] == pytest.approx(alone["validated"])
    drawn = [tuple(pair) for result in results for pair in result["random"][:3]]
    assert len(set(drawn)) == len(drawn), "every step, batch and rank draws its own random numbers"
    assert all(result["random"][3] == result["random"][0] for result in results), "and the same ones again"
    norm = np.sqrt(sum((alone["clipped"][part] ** 2).sum() for part in ("alike", "divided")))
    assert norm == pytest.approx(0.1)
