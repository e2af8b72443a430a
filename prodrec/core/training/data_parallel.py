"""Data parallel training: every rank takes its share of each batch, and what the ranks find is added up.

Losses are shares of the mean over the whole batch (`Batch.global_size`), so that losses and gradients of the ranks are
summed and nothing is divided. A parameter of which every rank holds other rows (`Network.shards`) sees the rows of all
ranks in the loss itself: its gradient is complete where it is.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as c10d
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from prodrec.core.base import dist

if TYPE_CHECKING:
    from prodrec.core.data.batches import Batch
    from prodrec.core.training.loop import Losses, Network


class SummedLoss:
    """The loss of a network; its backward pass leaves the gradients of all ranks' rows in every rank's parameters."""

    def __init__(self, network: Network, *, compiled: bool) -> None:
        self._loss: Any = _Loss(network, compiled=compiled)
        self._parallel: DistributedDataParallel | None = None
        shards = network.shards()
        if dist.world_size() > 1 and any(p.requires_grad and name not in shards for name, p in _named(network)):
            self._parallel = self._loss = _summing(self._loss, shards)

    def __call__(self, batch: Batch) -> Losses:
        return cast("Losses", self._loss(batch))

    def gradients_stay(self) -> AbstractContextManager[None]:
        """Within it gradients stay on their ranks; the next ones outside of it are added up together with them."""
        return self._parallel.no_sync() if self._parallel is not None else nullcontext()


class _Loss(nn.Module):
    def __init__(self, network: Network, *, compiled: bool) -> None:
        super().__init__()
        self.network = cast(nn.Module, network)
        self._of = torch.compile(network.loss) if compiled else network.loss

    def forward(self, batch: Batch) -> Losses:
        return self._of(batch)


def _summing(loss: nn.Module, shards: Any) -> DistributedDataParallel:
    """`loss` with the gradients of its parameters added up over the ranks, in buckets, while backward goes on.

    Weights begin as rank 0 has them. Buffers are left alone: batch norm's are alike anyhow (`models/sync_batch_norm.py`).
    """
    left_out = [*(f"network.{name}" for name in shards), *(name for name, _ in loss.named_buffers())]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(loss, left_out)  # type: ignore[no-untyped-call]
    parallel = DistributedDataParallel(loss, gradient_as_bucket_view=True)
    parallel.register_comm_hook(None, _sum)
    return parallel


def _sum(_, bucket):  # type: ignore[no-untyped-def]  # torch refuses annotations that are text
    """The sum of a bucket of gradients over the ranks, as a future."""
    return c10d.all_reduce(bucket.buffer(), async_op=True).get_future().then(lambda future: future.value()[0])


def clip_gradients(network: Network, largest: float) -> None:
    """Scale all gradients so that their norm, over all rows of all ranks, is `largest` at most."""
    shards = network.shards()
    here = [p.grad for name, p in _named(network) if name in shards and p.grad is not None]
    alike = [p.grad for name, p in _named(network) if name not in shards and p.grad is not None]
    norm = nn.utils.get_total_norm(alike)
    if shards:
        of_shards = dist.all_reduce_sum(nn.utils.get_total_norm(here).to(norm.device) ** 2)
        norm = (norm**2 + of_shards).sqrt()
    nn.utils.clip_grads_with_norm_(network.parameters(), largest, norm)


def add_up_losses(losses: dict[str, Tensor], flags: dict[str, bool]) -> tuple[dict[str, float], frozenset[str]]:
    """The losses summed over the ranks, and the flags that are raised on any of them, in one message."""
    values = torch.stack([value.double() for value in losses.values()])
    raised = values.new_tensor([float(flag) for flag in flags.values()])
    found = dist.all_reduce_sum(torch.cat([values, raised])).tolist()
    up = (name for name, count in zip(flags, found[len(losses) :], strict=True) if count)
    return dict(zip(losses, found, strict=False)), frozenset(up)


def _named(network: Network) -> list[tuple[str, nn.Parameter]]:
    return list(cast(nn.Module, network).named_parameters())
