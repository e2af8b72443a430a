"""The ranks of one job, as `torchrun` starts them, and what they tell each other. One process alone is rank 0 of 1.

Everything here is a no-op in one process and imports torch only where there are several. Work is divided by rank, and
rank 0 alone talks to the user and writes what exists once.
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

LONGEST_WAIT = timedelta(hours=12)
"""Ranks wait for each other while rank 0 works alone (tables of millions of rows); a dead rank is noticed at once."""

SECONDS_UNTIL_SEEN = 120.0

_store: Store | None = None


def world_size() -> int:
    """How many processes work on this job."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return int(os.environ["RANK"]) if world_size() > 1 else 0


def local_rank() -> int:
    """Which of the processes on this machine this is, from 0; it is the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def local_world_size() -> int:
    """How many of the processes work on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size() > 1 else 1


def is_main() -> bool:
    """Whether this is the process that talks to the user."""
    return rank() == 0


@contextmanager
def process_group() -> Iterator[None]:
    """Connect the ranks (gloo between CPUs, NCCL between GPUs) for as long as the work takes."""
    global _store
    if world_size() == 1:
        yield
        return
    import torch
    import torch.distributed as c10d

    # Its functions keep the group that there is when they are read in as a default, for ever; a group that outlives the
    # job has threads that still let go of tensors while Python ends, and such a process dies of SIGABRT.
    import torch.distributed.nn.functional

    _store, number, count = next(c10d.rendezvous("env://", timeout=LONGEST_WAIT))  # type: ignore[attr-defined]
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
    store = c10d.PrefixStore("prodrec", _store)  # type: ignore[attr-defined]
    c10d.init_process_group(backend, store=store, rank=number, world_size=count, timeout=LONGEST_WAIT)
    yield  # after an error nothing is waited for: that the process ends tells the others
    c10d.destroy_process_group()


def add_to_counter(what: str, times: int = 1) -> int:
    """Say `what` so many `times` to all ranks, without waiting for any; how often it has been said in all.

    0 where nobody can be asked any more: the store went with the process that held it.
    """
    if _store is None:
        return times
    try:
        return int(_store.add(f"prodrec {what}", times))
    except RuntimeError:
        return 0


def barrier() -> None:
    """Wait until all ranks are here."""
    if world_size() > 1:
        any_rank(False)


def wait_for_path(path: Path) -> None:
    """Wait until this machine sees `path`, which another made: some file systems remember that nothing was there."""
    patience = time.monotonic() + SECONDS_UNTIL_SEEN
    while not path.exists() and time.monotonic() < patience:
        time.sleep(0.1)


@contextmanager
def local_rank_zero_first() -> Iterator[None]:
    """The work within is done by one rank of every machine first, and by the others when that is done."""
    if local_rank() > 0:
        barrier()
    yield
    if local_rank() == 0:
        barrier()


def any_rank(flag: bool) -> bool:
    """Whether `flag` is true on any rank; all of them ask."""
    if world_size() == 1:
        return flag
    import torch

    return bool(all_reduce_sum(torch.tensor(int(flag))))


def all_reduce_sum(values: Tensor) -> Tensor:
    """The sum of `values` over the ranks, in place, on every rank."""
    if world_size() > 1:
        import torch.distributed as c10d

        c10d.all_reduce(values)
    return values


def all_reduce_max(values: Tensor) -> Tensor:
    """The largest of `values` over the ranks, element by element and in place, on every rank."""
    if world_size() > 1:
        import torch.distributed as c10d

        c10d.all_reduce(values, op=c10d.ReduceOp.MAX)
    return values


def row_counts(values: Tensor) -> list[int]:
    """How many rows `values` has on every rank."""
    if world_size() == 1:
        return [len(values)]
    import torch
    import torch.distributed as c10d

    sizes = torch.empty(world_size(), dtype=torch.int64, device=values.device)
    c10d.all_gather_into_tensor(sizes, torch.tensor([len(values)], device=values.device))
    return sizes.tolist()


def all_gather_rows(values: Tensor, sizes: list[int]) -> Tensor:
    """The rows of every rank, one rank after the other, on every rank; `sizes` as `row_counts` has them."""
    if world_size() == 1:
        return values
    import torch
    import torch.distributed as c10d

    most = max(sizes)
    mine = values.contiguous() if len(values) == most else _padded(values, most)
    everything = values.new_empty((world_size() * most, *values.shape[1:]))
    c10d.all_gather_into_tensor(everything, mine)
    if min(sizes) == most:
        return everything
    parts = everything.view(world_size(), most, *values.shape[1:])
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def reduce_scatter_rows(values: Tensor, sizes: list[int]) -> Tensor:
    """Sum `values`, rows of all ranks as `all_gather_rows` gives them, over the ranks; this rank's rows of it."""
    if world_size() == 1:
        return values
    import torch
    import torch.distributed as c10d

    most = max(sizes)
    if min(sizes) < most:
        values = torch.cat([_padded(part, most) for part in torch.split(values, sizes)])
    mine = values.new_empty((most, *values.shape[1:]))
    c10d.reduce_scatter_tensor(mine, values.contiguous())
    return mine[: sizes[rank()]]


def _padded(values: Tensor, rows: int) -> Tensor:
    whole = values.new_zeros((rows, *values.shape[1:]))
    whole[: len(values)] = values
    return whole


def broadcast(value: T) -> T:
    """Rank 0's `value` on every rank (anything that can be pickled)."""
    if world_size() == 1:
        return value
    import torch.distributed as c10d

    values = [value]
    c10d.broadcast_object_list(values, src=0)
    return values[0]


def run_on_main(work: Callable[[], T]) -> T:
    """What `work` gives on rank 0, which alone does it, on every rank; a ProdrecError of it is raised on every rank."""
    answer: T | None = None
    problem: ProdrecError | None = None
    if is_main():
        try:
            answer = work()
        except ProdrecError as error:
            problem = error
    answer, problem = broadcast((answer, problem))
    if problem is not None:
        raise problem
    return answer  # type: ignore[return-value]


def scatter(values: Sequence[T] | None) -> T:
    """Of rank 0's `values`, one for every rank, the one for this rank; the others give None."""
    if world_size() == 1:
        assert values is not None
        return values[0]
    import torch.distributed as c10d

    own: list[Any] = [None]
    c10d.scatter_object_list(own, None if values is None else list(values), src=0)
    return own[0]  # type: ignore[no-any-return]


def all_gather(value: T) -> list[T]:
    """Every rank's `value`, by rank, on every rank."""
    if world_size() == 1:
        return [value]
    import torch.distributed as c10d

    values: list[Any] = [None] * world_size()
    c10d.all_gather_object(values, value)
    return values


def gather(value: T) -> list[T]:
    """Every rank's `value`, by rank, on rank 0; nothing on the others."""
    if world_size() == 1:
        return [value]
    import torch.distributed as c10d

    values: list[Any] = [None] * world_size()
    c10d.gather_object(value, values if is_main() else None)
    return [value, *values[1:]] if is_main() else []


def shard_slice(count: int, *, of: int | None = None, number: int | None = None) -> slice:
    """The part of `count` things, in order, that belongs to rank `number` of `of` (this one of all unless given).

    Parts differ by one at most; the first ones are the larger, and the last ones empty where there are fewer things.
    """
    of, number = of or world_size(), rank() if number is None else number
    each, left = divmod(count, of)
    start = number * each + min(number, left)
    return slice(start, start + each + (number < left))


@dataclass(frozen=True)
class Shard:
    """The rows of a tensor of `rows` rows that this rank holds: those from `first` on, as many as its part has."""

    first: int
    rows: int
