"""Batch norm on several ranks equals that of one process with the whole batch: outputs, statistics and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from prodrec.core.base import dist
from prodrec.models.sync_batch_norm import PortableSyncBatchNorm, convert_sync_batch_norm

CPU = torch.device("cpu")
ROWS = {2: (5, 2), 3: (4, 1, 2)}


class NormAndReLU(nn.BatchNorm2d):
    """A batch norm with its activation in one module, as timm has them."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(super().forward(x))


KINDS = [
    (NormAndReLU, (7, 4, 3, 2), {}),
    (nn.BatchNorm2d, (7, 4, 3, 2), {}),
    (nn.BatchNorm1d, (7, 4), {"momentum": None}),
    (nn.BatchNorm2d, (7, 4, 1, 1), {"affine": False}),
]


def train_steps(kind: int, rows: slice, convert: bool) -> dict[str, np.ndarray]:
    """Return the results of two steps of a network with batch norm, on some rows of a random batch."""
    make, shape, settings = KINDS[kind]
    torch.manual_seed(kind)
    network = nn.Sequential(nn.Identity(), make(shape[1], **settings)).double()
    wanted = torch.randn(shape, dtype=torch.float64)
    inputs = [torch.randn(shape, dtype=torch.float64) * 3 + 5 for _ in range(2)]
    if network[1].affine:
        nn.init.uniform_(network[1].weight, 0.5, 2.0)
        nn.init.normal_(network[1].bias)
    if convert:
        convert_sync_batch_norm(network, CPU)
    for x in inputs:
        x = x[rows].clone().requires_grad_()
        y = network(x)
        ((y - wanted[rows]) ** 2 * y).sum().backward()
    results = {"y": y, "dx": x.grad, **dict(network[1].named_buffers())}
    gradients = {f"d{name}": parameter.grad for name, parameter in network[1].named_parameters()}
    network.eval()
    results["evaluated"] = network(inputs[0])
    return {name: value.detach().numpy() for name, value in (results | gradients).items()}


def run_on_each_rank() -> list[dict[str, np.ndarray]]:
    sizes = ROWS[dist.world_size()]
    first = sum(sizes[: dist.rank()])
    return [train_steps(kind, slice(first, first + sizes[dist.rank()]), True) for kind in range(len(KINDS))]


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_equal_one_process(on_ranks: Callable[..., list[Any]], ranks: int) -> None:
    """In float64, with different numbers of rows on the ranks; in some cases a rank has a single value per channel."""
    results_of_ranks = on_ranks(ranks, run_on_each_rank)
    for kind in range(len(KINDS)):
        alone = train_steps(kind, slice(None), convert=False)
        by_rank = [results[kind] for results in results_of_ranks]
        for name, value in alone.items():
            if name in ("y", "dx"):  # rows of the ranks, one after the other
                together = [np.concatenate([results[name] for results in by_rank])]
            elif name.startswith("d"):  # gradients of parameters add up
                together = [sum(results[name] for results in by_rank)]
            else:
                together = [results[name] for results in by_rank]
            for each in together:
                np.testing.assert_allclose(each, value, rtol=1e-11, atol=1e-11, err_msg=f"{kind} {name}")


def test_frozen_batch_norms_stay() -> None:
    network = nn.Sequential(nn.Sequential(nn.BatchNorm2d(3)), nn.BatchNorm2d(3))
    inner = network[0]
    inner.train = lambda mode=True: inner[0].eval() and inner  # type: ignore[method-assign]
    weight, names = network[1].weight, list(network.state_dict())
    convert_sync_batch_norm(network, CPU)
    assert type(network[0][0]) is nn.BatchNorm2d and type(network[1]) is PortableSyncBatchNorm
    assert network[1].weight is weight and list(network.state_dict()) == names
    converted = nn.Sequential(nn.BatchNorm2d(3))
    convert_sync_batch_norm(converted, torch.device("cuda"))
    assert type(converted[0]) is nn.SyncBatchNorm


def test_in_one_process_it_is_plain_batch_norm() -> None:
    norm = nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 2, 2)
    torch.testing.assert_close(PortableSyncBatchNorm.from_batch_norm(norm)(x), nn.BatchNorm2d(3)(x))
