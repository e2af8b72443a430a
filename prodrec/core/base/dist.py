"""Collective functions over the ranks of a job that `torchrun` started. A single process is rank 0 of 1.

All ranks must call a collective function, in the same order. With a world size of 1 it returns at once and does not
import torch. Functions of tensors call the collective of torch.distributed with the same name, where there is one;
functions of any other values pickle them.

Rank 0 is the main rank: it prints, and writes the files that exist once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prodrec.core.base.errors import ProdrecError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import Store  # type: ignore[attr-defined]

T = TypeVar("T")

TIMEOUT = timedelta(hours=12)
"""How long a rank waits in a collective: rank 0 may work alone for hours, on tables of millions of rows. If a rank
ends, the others fail at once and do not wait for the timeout."""

PATH_TIMEOUT_SECONDS = 120.0
"""How long a rank waits until its machine sees a path. Network file systems remember for a while that a path does not
exist."""

_store: Store | None = None


def world_size() -> int:
    """Return the number of processes of the job."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def rank() -> int:
    """Return the rank of this process: 0 … world_size() - 1."""
    return int(os.environ["RANK"]) if world_size() > 1 else 0


def local_rank() -> int:
    """Return the rank of this process among those on this machine. It is also the index of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def local_world_size() -> int:
    """Return the number of processes of the job on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size() > 1 else 1


def is_main() -> bool:
    """Return whether this process is rank 0."""
    return rank() == 0


@contextmanager
def process_group() -> Iterator[None]:
    """Initialize the process group (gloo on CPUs, NCCL on GPUs), and destroy it after the block.

    After an error in the block the group is not destroyed, because that would wait for the other ranks. They notice the
    error when this process ends.
    """
    global _store
    if world_size() == 1:
        yield
        return
    import torch
    import torch.distributed as c10d

    # When this module is imported, it stores the current group in default arguments. It is imported before the group
    # exists: a stored group would never be destroyed, its threads would release tensors while Python shuts down, and
    # the process would die of SIGABRT.
    import torch.distributed.nn.functional

    _store, rank_number, ranks = next(c10d.rendezvous("env://", timeout=TIMEOUT))  # type: ignore[attr-defined]
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
    store = c10d.PrefixStore("prodrec", _store)  # type: ignore[attr-defined]
    c10d.init_process_group(backend, store=store, rank=rank_number, world_size=ranks, timeout=TIMEOUT)
    yield
    c10d.destroy_process_group()


def barrier() -> None:
    """Block until all ranks have called this function."""
    if world_size() > 1:
        any_rank(False)


def any_rank(flag: bool) -> bool:
    """Return whether `flag` is true on any rank."""
    if world_size() == 1:
        return flag
    import torch

    return bool(all_reduce_sum(torch.tensor(int(flag))))


def add_to_counter(name: str, amount: int = 1) -> int:
    """Add `amount` to a counter that all ranks share, and return its new value. An amount of 0 reads the counter.

    This is no collective: it does not wait for other ranks, and works even when some of them have failed. Return 0 if
    rank 0, which hosts the counters, has ended. Return `amount` if there is one process.
    """
    if _store is None:
        return amount
    try:
        return int(_store.add(f"prodrec {name}", amount))
    except RuntimeError:
        return 0


def wait_for_path(path: Path) -> None:
    """Wait until this machine sees `path`, which another rank has created, but not longer than PATH_TIMEOUT_SECONDS."""
    deadline = time.monotonic() + PATH_TIMEOUT_SECONDS
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)


@contextmanager
def local_rank_zero_first() -> Iterator[None]:
    """Run the block on local rank 0 of every machine first, and then on the other ranks."""
    if local_rank() > 0:
        barrier()
    yield
    if local_rank() == 0:
        barrier()


def all_reduce_sum(values: Tensor) -> Tensor:
    """Sum `values` over the ranks, elementwise and in place. Return `values`."""
    if world_size() > 1:
        import torch.distributed as c10d

        c10d.all_reduce(values)
    return values


def all_reduce_max(values: Tensor) -> Tensor:
    """Take the maximum of `values` over the ranks, elementwise and in place. Return `values`."""
    if world_size() > 1:
        import torch.distributed as c10d

        c10d.all_reduce(values, op=c10d.ReduceOp.MAX)
    return values


def row_counts(values: Tensor) -> list[int]:
    """Return the number of rows of `values` on every rank, in the order of the ranks."""
    if world_size() == 1:
        return [len(values)]
    import torch
    import torch.distributed as c10d

    counts = torch.empty(world_size(), dtype=torch.int64, device=values.device)
    c10d.all_gather_into_tensor(counts, torch.tensor([len(values)], device=values.device))
    return counts.tolist()


def all_gather_rows(values: Tensor, counts: list[int]) -> Tensor:
    """Return the rows of all ranks, in the order of the ranks: [sum(counts), …]. `counts` comes from `row_counts`."""
    if world_size() == 1:
        return values
    import torch
    import torch.distributed as c10d

    largest = max(counts)
    padded = values.contiguous() if len(values) == largest else _pad_rows(values, largest)
    gathered = values.new_empty((world_size() * largest, *values.shape[1:]))
    c10d.all_gather_into_tensor(gathered, padded)
    if min(counts) == largest:
        return gathered
    parts = gathered.view(world_size(), largest, *values.shape[1:])
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def reduce_scatter_rows(values: Tensor, counts: list[int]) -> Tensor:
    """Sum `values` over the ranks, and return the rows of the sum that belong to this rank: [counts[rank()], …].

    This is the reverse of `all_gather_rows`: `values` [sum(counts), …] has the rows of all ranks in their order.
    """
    if world_size() == 1:
        return values
    import torch
    import torch.distributed as c10d

    largest = max(counts)
    if min(counts) < largest:
        values = torch.cat([_pad_rows(part, largest) for part in torch.split(values, counts)])
    own = values.new_empty((largest, *values.shape[1:]))
    c10d.reduce_scatter_tensor(own, values.contiguous())
    return own[: counts[rank()]]


def _pad_rows(values: Tensor, count: int) -> Tensor:
    """Return `values` with zeros appended up to `count` rows."""
    padded = values.new_zeros((count, *values.shape[1:]))
    padded[: len(values)] = values
    return padded


def broadcast(value: T) -> T:
    """Return the `value` of rank 0 on all ranks."""
    if world_size() == 1:
        return value
    import torch.distributed as c10d

    values = [value]
    c10d.broadcast_object_list(values, src=0)
    return values[0]


def run_on_main(function: Callable[[], T]) -> T:
    """Call `function` on rank 0 only, and return its result on all ranks. If it raises a ProdrecError, all ranks do."""
    result: T | None = None
    error: ProdrecError | None = None
    if is_main():
        try:
            result = function()
        except ProdrecError as raised:
            error = raised
    result, error = broadcast((result, error))
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def scatter(values: Sequence[T] | None) -> T:
    """Return values[i] of rank 0 on rank i. Rank 0 passes one value for each rank, the other ranks pass None."""
    if world_size() == 1:
        assert values is not None
        return values[0]
    import torch.distributed as c10d

    output: list[Any] = [None]
    c10d.scatter_object_list(output, None if values is None else list(values), src=0)
    return output[0]  # type: ignore[no-any-return]


def all_gather(value: T) -> list[T]:
    """Return the `value` of every rank, in the order of the ranks."""
    if world_size() == 1:
        return [value]
    import torch.distributed as c10d

    values: list[Any] = [None] * world_size()
    c10d.all_gather_object(values, value)
    return values


def gather(value: T) -> list[T]:
    """Return the `value` of every rank on rank 0, in the order of the ranks, and an empty list on the other ranks."""
    if world_size() == 1:
        return [value]
    import torch.distributed as c10d

    values: list[Any] = [None] * world_size()
    c10d.gather_object(value, values if is_main() else None)
    return [value, *values[1:]] if is_main() else []


def shard_slice(count: int, *, shards: int | None = None, index: int | None = None) -> slice:
    """Return the slice of `count` items that forms shard number `index` of `shards`.

    By default there is one shard for each rank, and the result is the shard of this rank. Shards are consecutive. Their
    sizes differ by at most one, and the first shards are the larger ones.
    """
    shards, index = shards or world_size(), rank() if index is None else index
    size, remainder = divmod(count, shards)
    start = index * size + min(index, remainder)
    return slice(start, start + size + (index < remainder))


@dataclass(frozen=True)
class Shard:
    """The position of this rank's rows in a tensor whose rows are divided among the ranks.

    first: index, in the whole tensor, of the first row of this rank; the local tensor has all rows of this rank
    rows:  number of rows of the whole tensor
    """

    first: int
    rows: int
