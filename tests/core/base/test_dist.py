"""What ranks tell each other, on two and three real processes; and that one process needs none of it."""

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
    """Rank r has r rows (none at all on rank 0), which say r."""
    mine_BD = torch.full((rank, 2), float(rank))
    sizes = dist.row_counts(mine_BD)
    all_AD = dist.all_gather_rows(mine_BD, sizes)
    return sizes, all_AD.tolist(), dist.reduce_scatter_rows(all_AD * (1 + rank), sizes).tolist()


def _looked() -> tuple[int, str]:
    """Each rank would find its own number, and an error that names it."""

    def fail() -> None:
        raise NotFound(f"rank {dist.rank()} finds nothing.")

    with pytest.raises(NotFound) as told:
        dist.run_on_main(fail)
    return dist.run_on_main(dist.rank), str(told.value)


def everything() -> dict[str, Any]:
    import torch.distributed.nn.functional as read_late

    rank = dist.rank()
    dist.add_to_counter("once by each")
    dist.add_to_counter("in pairs", 2)
    dist.barrier()
    return {
        "rank": rank,
        "main": dist.is_main(),
        "sum": dist.all_reduce_sum(torch.tensor([1.0, float(rank)])).tolist(),
        "any": (dist.any_rank(rank == 1), dist.any_rank(False)),
        "from_main": dist.broadcast({"said by": rank}),
        "by_main": _looked(),
        "largest": dist.all_reduce_max(torch.tensor([float(rank), -1.0])).tolist(),
        "rows": _rows(rank),
        "gathered": dist.all_gather(np.full(2, rank)),
        "to_main": dist.gather(np.full(2, rank)),
        "share": dist.shard_slice(5),
        "said": [dist.add_to_counter(what, 0) for what in ("once by each", "in pairs", "by nobody")],
        "group kept": read_late.broadcast.__defaults__,
    }


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_agree(on_ranks: Callable[..., list[Any]], ranks: int) -> None:
    found = on_ranks(ranks, everything)
    assert [answer["rank"] for answer in found] == list(range(ranks))
    assert [answer["main"] for answer in found] == [True] + [False] * (ranks - 1)
    for answer in found:
        assert answer["group kept"] == (None,), "nothing of torch's keeps the group beyond the job"
        assert answer["sum"] == [ranks, sum(range(ranks))]
        assert answer["any"] == (True, False)
        assert answer["from_main"] == {"said by": 0}
        assert answer["by_main"] == (0, "rank 0 finds nothing.")
        assert answer["said"] == [ranks, 2 * ranks, 0]
        assert answer["largest"] == [ranks - 1, -1.0]
        sizes, all_rows, own_rows = answer["rows"]
        assert sizes == list(range(ranks))
        assert all_rows == [[r, r] for r in range(ranks) for _ in range(r)]
        assert own_rows == [[answer["rank"] * sum(range(1, ranks + 1))] * 2] * answer["rank"]
        assert [part.tolist() for part in answer["gathered"]] == [[r, r] for r in range(ranks)]
        at_main = [[r, r] for r in range(ranks)] if answer["main"] else []
        assert [part.tolist() for part in answer["to_main"]] == at_main
    assert list(itertools.chain(*(range(5)[answer["share"]] for answer in found))) == list(range(5))


def test_waiting_until_a_place_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threading.Timer(0.3, (tmp_path / "late").touch).start()
    dist.wait_for_path(tmp_path / "late")
    assert (tmp_path / "late").exists()
    monkeypatch.setattr(dist, "SECONDS_UNTIL_SEEN", 0.2)
    dist.wait_for_path(tmp_path / "never")  # whoever opens it says what is missing


def test_one_process_is_rank_0_of_1() -> None:
    with dist.process_group():
        assert everything() == {
            "rank": 0,
            "main": True,
            "sum": [1.0, 0.0],
            "any": (False, False),
            "from_main": {"said by": 0},
            "by_main": (0, "rank 0 finds nothing."),
            "largest": [0.0, -1.0],
            "rows": ([0], [], []),
            "gathered": [pytest.approx([0, 0])],
            "to_main": [pytest.approx([0, 0])],
            "share": slice(0, 5),
            "said": [0, 0, 0],
            "group kept": (None,),
        }


@pytest.mark.parametrize(("count", "of"), [(0, 3), (1, 3), (7, 3), (9, 3), (2, 5)])
def test_shares_cover_everything_once_and_evenly(count: int, of: int) -> None:
    parts = [range(count)[dist.shard_slice(count, of=of, number=number)] for number in range(of)]
    assert [i for part in parts for i in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_process_does_not_load_torch() -> None:
    code = "import sys; from prodrec.core import dist\nwith dist.process_group(): dist.barrier(); dist.any_rank(True)\n"
    subprocess.run([sys.executable, "-c", f"{code}assert 'torch' not in sys.modules"], check=True)
