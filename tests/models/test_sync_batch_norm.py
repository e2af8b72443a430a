"""Batch norm on ranks computes what one process computes for the whole batch: outputs, statistics and gradients."""

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
KINDS = [
    (nn.BatchNorm2d, (7, 4, 3, 2), {}),
    (nn.BatchNorm1d, (7, 4), {"momentum": None}),
    (nn.BatchNorm2d, (7, 4, 1, 1), {"affine": False}),
]


def through(kind: int, rows: slice, convert: bool) -> dict[str, np.ndarray]:
    """Two steps of a network with batch norm on some rows of a drawn batch, the sum of squares being the loss."""
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
    found = {"y": y, "dx": x.grad, **dict(network[1].named_buffers())}
    gradients = {f"d{name}": parameter.grad for name, parameter in network[1].named_parameters()}
    network.eval()
    found["evaluated"] = network(inputs[0])
    return {name: value.detach().numpy() for name, value in (found | gradients).items()}


def on_a_rank() -> list[dict[str, np.ndarray]]:
    sizes = ROWS[dist.world_size()]
    first = sum(sizes[: dist.rank()])
    return [through(kind, slice(first, first + sizes[dist.rank()]), True) for kind in range(len(KINDS))]


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_equal_one_process(on_ranks: Callable[..., list[Any]], ranks: int) -> None:
    """In float64, with uneven shares, one of them a single value a channel."""
    answers = on_ranks(ranks, on_a_rank)
    for kind in range(len(KINDS)):
        alone = through(kind, slice(None), convert=False)
        found = [answer[kind] for answer in answers]
        for name, value in alone.items():
            if name in ("y", "dx"):  # rows of the ranks, one after the other
                together = [np.concatenate([of_rank[name] for of_rank in found])]
            elif name.startswith("d"):  # gradients of parameters add up
                together = [sum(of_rank[name] for of_rank in found)]
            else:
                together = [of_rank[name] for of_rank in found]
            for each in together:
                np.testing.assert_allclose(each, value, rtol=1e-11, atol=1e-11, err_msg=f"{kind} {name}")


def test_frozen_ones_stay_as_they_are() -> None:
    network = nn.Sequential(nn.Sequential(nn.BatchNorm2d(3)), nn.BatchNorm2d(3))
    inner = network[0]
    inner.train = lambda mode=True: inner[0].eval() and inner  # type: ignore[method-assign]
    weight, names = network[1].weight, list(network.state_dict())
    convert_sync_batch_norm(network, CPU)
    assert type(network[0][0]) is nn.BatchNorm2d and type(network[1]) is PortableSyncBatchNorm
    assert network[1].weight is weight and list(network.state_dict()) == names
    of_torch = nn.Sequential(nn.BatchNorm2d(3))
    convert_sync_batch_norm(of_torch, torch.device("cuda"))
    assert type(of_torch[0]) is nn.SyncBatchNorm


def test_one_process_computes_as_before() -> None:
    norm = nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 2, 2)
    torch.testing.assert_close(PortableSyncBatchNorm.from_batch_norm(norm)(x), nn.BatchNorm2d(3)(x))
