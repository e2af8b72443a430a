"""Data parallel training: every rank computes the loss of its share of each batch, and the gradients are summed.

The loss of a rank is its share of the mean over the whole batch (`Batch.global_size`). Losses and gradients are
therefore summed over the ranks and never divided. A parameter of which every rank stores other rows (`Network.shards`)
already sees the rows of all ranks in the loss: its gradient is complete on its rank and is not summed.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as c10d
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from prodrec.core.base import dist
from prodrec.core.training.protocols import Losses, Network

if TYPE_CHECKING:
    from prodrec.core.data.batches import Batch


class DataParallelLoss:
    """The loss of a network, whose backward pass sums the gradients over the ranks."""

    def __init__(self, network: Network, *, compiled: bool) -> None:
        self._loss: Any = _LossModule(network, compiled=compiled)
        self._ddp: DistributedDataParallel | None = None
        shards = network.shards()
        is_replicated = any(p.requires_grad and name not in shards for name, p in network.named_parameters())
        if dist.world_size() > 1 and is_replicated:
            self._ddp = self._loss = _wrap_in_ddp(self._loss, sharded=shards)

    def __call__(self, batch: Batch) -> Losses:
        return cast(Losses, self._loss(batch))

    def no_sync(self) -> AbstractContextManager[None]:
        """Return a context in which backward sums nothing. The next backward outside sums the accumulated gradients."""
        return self._ddp.no_sync() if self._ddp is not None else nullcontext()


class _LossModule(nn.Module):
    """A module whose forward() is the loss, because DistributedDataParallel wraps forward()."""

    def __init__(self, network: Network, *, compiled: bool) -> None:
        super().__init__()
        self.network = cast(nn.Module, network)
        self._loss = torch.compile(network.loss) if compiled else network.loss

    def forward(self, batch: Batch) -> Losses:
        return self._loss(batch)


def _wrap_in_ddp(loss: _LossModule, *, sharded: Iterable[str]) -> DistributedDataParallel:
    """Return `loss` with its gradients summed over the ranks, bucket by bucket during backward.

    DDP broadcasts the initial weights of rank 0. It ignores `sharded` parameters, and the buffers: those of batch norm
    are equal on all ranks (`models/sync_batch_norm.py`).
    """
    ignored = [*(f"network.{name}" for name in sharded), *(name for name, _ in loss.named_buffers())]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(loss, ignored)  # type: ignore[no-untyped-call]
    ddp = DistributedDataParallel(loss, gradient_as_bucket_view=True)
    ddp.register_comm_hook(None, _sum_bucket)
    return ddp


def _sum_bucket(_, bucket):  # type: ignore[no-untyped-def]  # torch checks annotations and refuses strings
    """Return the sum of a bucket of gradients over the ranks, as a future."""
    return c10d.all_reduce(bucket.buffer(), async_op=True).get_future().then(lambda future: future.value()[0])


def clip_gradients(network: Network, max_norm: float) -> Tensor:
    """Scale all gradients to a norm of at most `max_norm`, and return the norm before that (a scalar).

    The norm counts every parameter once, and all rows of sharded ones. It is equal on all ranks.
    """
    shards = network.shards()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    norm = nn.utils.get_total_norm([gradient for name, gradient in gradients.items() if name not in shards])
    if shards:
        local_norm = nn.utils.get_total_norm([gradient for name, gradient in gradients.items() if name in shards])
        norm = (norm**2 + dist.all_reduce_sum(local_norm.to(norm.device) ** 2)).sqrt()
    nn.utils.clip_grads_with_norm_(network.parameters(), max_norm, norm)
    return norm


def all_reduce_losses(losses: dict[str, Tensor], flags: dict[str, bool]) -> tuple[dict[str, float], frozenset[str]]:
    """Return the losses summed over the ranks, and the flags that are set on any rank, from one all-reduce."""
    loss_values = torch.stack([value.double() for value in losses.values()])
    flag_values = loss_values.new_tensor([float(flag) for flag in flags.values()])
    sums = dist.all_reduce_sum(torch.cat([loss_values, flag_values])).tolist()
    set_flags = (name for name, count in zip(flags, sums[len(losses) :], strict=True) if count)
    return dict(zip(losses, sums, strict=False)), frozenset(set_flags)
