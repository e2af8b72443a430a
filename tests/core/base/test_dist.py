"""The collectives, tested with two and three real processes, and with one process that does not import torch."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prodrec.core.base import dist
from prodrec.core.base.errors import NotFound


def _rows(rank: int) -> tuple[list[int], list[list[float]], list[list[float]]]:
    """Gather rows, and sum and scatter them again. Rank r has r rows that contain r; rank 0 has none."""
    own_BD = torch.full((rank, 2), float(rank))
    counts = dist.row_counts(own_BD)
    all_AD = dist.all_gather_rows(own_BD, counts)
    return counts, all_AD.tolist(), dist.reduce_scatter_rows(all_AD * (1 + rank), counts).tolist()


def _run_on_main() -> tuple[int, str]:
    """Return the rank that ran a function with `run_on_main`, and the message of an error that was raised there."""

    def fail() -> None:
        raise NotFound(f"rank {dist.rank()} found nothing.")

    with pytest.raises(NotFound) as caught:
        dist.run_on_main(fail)
    return dist.run_on_main(dist.rank), str(caught.value)


def everything() -> dict[str, Any]:
    import torch.distributed.nn.functional as imported_late

    rank = dist.rank()
    dist.add_to_counter("one by each")
    dist.add_to_counter("two by each", 2)
    dist.barrier()
    return {
        "rank": rank,
        "main": dist.is_main(),
        "sum": dist.all_reduce_sum(torch.tensor([1.0, float(rank)])).tolist(),
        "any": (dist.any_rank(rank == 1), dist.any_rank(False)),
        "broadcast": dist.broadcast({"rank": rank}),
        "run_on_main": _run_on_main(),
        "max": dist.all_reduce_max(torch.tensor([float(rank), -1.0])).tolist(),
        "rows": _rows(rank),
        "all_gather": dist.all_gather(np.full(2, rank)),
        "gather": dist.gather(np.full(2, rank)),
        "shard": dist.shard_slice(5),
        "counters": [dist.add_to_counter(name, 0) for name in ("one by each", "two by each", "none")],
        "default group": imported_late.broadcast.__defaults__,
    }


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_agree(on_ranks: Callable[..., list[Any]], ranks: int) -> None:
    results = on_ranks(ranks, everything)
    assert [result["rank"] for result in results] == list(range(ranks))
    assert [result["main"] for result in results] == [True] + [False] * (ranks - 1)
    for result in results:
        assert result["default group"] == (None,), "torch.distributed.nn must not keep the group"
        assert result["sum"] == [ranks, sum(range(ranks))]
        assert result["any"] == (True, False)
        assert result["broadcast"] == {"rank": 0}
        assert result["run_on_main"] == (0, "rank 0 found nothing.")
        assert result["counters"] == [ranks, 2 * ranks, 0]
        assert result["max"] == [ranks - 1, -1.0]
        counts, all_rows, own_rows = result["rows"]
        assert counts == list(range(ranks))
        assert all_rows == [[r, r] for r in range(ranks) for _ in range(r)]
        assert own_rows == [[result["rank"] * sum(range(1, ranks + 1))] * 2] * result["rank"]
        assert [part.tolist() for part in result["all_gather"]] == [[r, r] for r in range(ranks)]
        on_main = [[r, r] for r in range(ranks)] if result["main"] else []
        assert [part.tolist() for part in result["gather"]] == on_main
    assert list(itertools.chain(*(range(5)[result["shard"]] for result in results))) == list(range(5))


def test_waiting_for_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threading.Timer(0.3, (tmp_path / "late").touch).start()
    dist.wait_for_path(tmp_path / "late")
    assert (tmp_path / "late").exists()
    monkeypatch.setattr(dist, "PATH_TIMEOUT_SECONDS", 0.2)
    dist.wait_for_path(tmp_path / "never")  # returns; opening the path raises


def test_one_process_is_rank_0_of_1() -> None:
    with dist.process_group():
        assert everything() == {
            "rank": 0,
            "main": True,
            "sum": [1.0, 0.0],
            "any": (False, False),
            "broadcast": {"rank": 0},
            "run_on_main": (0, "rank 0 found nothing."),
            "max": [0.0, -1.0],
            "rows": ([0], [], []),
            "all_gather": [pytest.approx([0, 0])],
            "gather": [pytest.approx([0, 0])],
            "shard": slice(0, 5),
            "counters": [0, 0, 0],
            "default group": (None,),
        }


@pytest.mark.parametrize(("count", "shards"), [(0, 3), (1, 3), (7, 3), (9, 3), (2, 5)])
def test_shards_cover_all_items_evenly(count: int, shards: int) -> None:
    parts = [range(count)[dist.shard_slice(count, shards=shards, index=index)] for index in range(shards)]
    assert [i for part in parts for i in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_process_does_not_load_torch() -> None:
    code = """
import sys
from prodrec.core.base import dist
with dist.process_group():
    dist.barrier()
    dist.any_rank(True)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
