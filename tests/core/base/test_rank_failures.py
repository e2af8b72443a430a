"""Which rank tells what, and how fast all end, on real processes: each case in one start of three ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prodrec.core.base import dist, rank_failures


def test_one_process_tells_its_error_as_it_is() -> None:
    assert rank_failures.to_tell("it broke.") == "it broke."
    assert not rank_failures.is_lost_contact(RuntimeError("Connection closed by peer"))


def _fails_alike() -> tuple[str | None, bool]:
    told = rank_failures.to_tell("no such setting.")
    dist.barrier()
    lost = rank_failures.is_lost_contact(RuntimeError("[gloo/pair.cc:525] Connection closed by peer [127.0.0.1]:1"))
    others = ("shapes differ", "NCCL error: invalid usage", "[gloo/allreduce.cc:10] sizes differ")
    return told, lost and not any(rank_failures.is_lost_contact(RuntimeError(text)) for text in others)


def _fails_alone() -> tuple[str | None, ...]:
    if dist.rank() == 1:
        mine = rank_failures.to_tell("photo 7 is gone.")
        dist.barrier()
        return (mine,)
    dist.barrier()
    return (rank_failures.to_tell("lost contact.", whose=False),)


def test_an_error_that_all_find_is_told_once_and_bare(on_ranks: Callable[..., list[Any]]) -> None:
    told = on_ranks(3, _fails_alike)
    assert sorted(map(str, (text for text, _ in told))) == ["None", "None", "no such setting."]
    assert all(lost for _, lost in told)


def test_an_error_of_one_rank_is_told_by_it_with_its_number(on_ranks: Callable[..., list[Any]]) -> None:
    assert on_ranks(3, _fails_alone) == [(None,), ("rank 1 of 3: photo 7 is gone.",), (None,)]
