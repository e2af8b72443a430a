"""Small pieces of work beside each other: whole pieces in a few threads, instead of many threads in every operation.

An operation on a piece takes a millisecond or less. Divided among threads it ends with all of them waiting for the
slowest, thousands of times a step; as soon as another process wants a core too (one that loads photos), such a step
takes ten times as long. Whole pieces beside each other wait once, at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

MOST_LANES = 8
"""More threads than these work inside the operations: every lane has sums of its own in memory."""


def lanes(device: torch.device) -> int:
    """How many pieces are worked on at once."""
    return min(MOST_LANES, torch.get_num_threads()) if device.type == "cpu" else 1


def in_lanes(count: int, work: Callable[[int, int], None], *, device: torch.device) -> None:
    """Call work(lane, number) for every number below `count`, in order within a lane; lane l has l, l + lanes, …"""
    wide, threads = lanes(device), torch.get_num_threads()
    if wide == 1 or count < 2:
        for number in range(count):
            work(number % wide, number)
        return

    def one(lane: int) -> None:
        torch.set_num_threads(threads // wide)  # of this thread alone, but for MKL, which knows one number for all
        with torch.no_grad():
            for number in range(lane, count, wide):
                work(lane, number)

    try:
        for done in [_pool(wide).submit(one, lane) for lane in range(wide)]:
            done.result()
    finally:
        torch.set_num_threads(threads)


@functools.lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="lane")
