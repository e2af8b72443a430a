from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prodrec.core.base import dist
from prodrec.core.base.turns import gather_in_turn


def gather(own: list[int] | None) -> list[str]:
    results = (f"rank {dist.rank()}, {number}" for number in range(3))
    return list(gather_in_turn(results, own=None if own is None else own[dist.rank()]))


def test_ranks_take_turns_and_late_results_are_dropped(on_ranks: Callable[..., list[Any]]) -> None:
    first, second = on_ranks(2, gather, [3, 2])
    assert first == ["rank 0, 0", "rank 1, 0", "rank 0, 1", "rank 1, 1", "rank 0, 2"]
    assert second == []


def test_one_process() -> None:
    assert gather([2]) == ["rank 0, 0", "rank 0, 1"]
    assert gather(None) == ["rank 0, 0", "rank 0, 1", "rank 0, 2"]
