"""Which rank prints its message, tested with three real processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prodrec.core.base import dist, rank_failures


def test_one_process_prints_its_error_unchanged() -> None:
    assert rank_failures.message_to_print("it broke.") == "it broke."
    assert not rank_failures.is_lost_contact(RuntimeError("Connection closed by peer"))


def _fail_with_the_same_error() -> tuple[str | None, bool]:
    message = rank_failures.message_to_print("no such setting.")
    dist.barrier()
    lost = rank_failures.is_lost_contact(RuntimeError("[gloo/pair.cc:525] Connection closed by peer [127.0.0.1]:1"))
    others = ("shapes differ", "NCCL error: invalid usage", "[gloo/allreduce.cc:10] sizes differ")
    return message, lost and not any(rank_failures.is_lost_contact(RuntimeError(text)) for text in others)


def _fail_alone() -> tuple[str | None, ...]:
    if dist.rank() == 1:
        message = rank_failures.message_to_print("photo 7 is gone.")
        dist.barrier()
        return (message,)
    dist.barrier()
    return (rank_failures.message_to_print("lost contact.", name_rank=False),)


def test_an_error_of_all_ranks_is_printed_once_without_rank(on_ranks: Callable[..., list[Any]]) -> None:
    results = on_ranks(3, _fail_with_the_same_error)
    assert sorted(map(str, (message for message, _ in results))) == ["None", "None", "no such setting."]
    assert all(lost for _, lost in results)


def test_an_error_of_one_rank_is_printed_with_its_number(on_ranks: Callable[..., list[Any]]) -> None:
    assert on_ranks(3, _fail_alone) == [(None,), ("rank 1 of 3: photo 7 is gone.",), (None,)]
