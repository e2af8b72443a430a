"""Which rank tells what when several fail: the cause once, and in front of it the rank where only that one has it.

A rank whose connection breaks has not caused it: another failed before, and tells its own error, or was killed.
"""

from __future__ import annotations

import time
import zlib

from prodrec.core.base import dist

SECONDS_TO_AGREE = 1.0
LOST = ("closed by peer", "reset by peer", "broken pipe", "gloo/transport", "ncclremoteerror", "remote process exited")


def is_lost_contact(error: BaseException) -> bool:
    """Whether `error` says that another rank can no longer be reached (gloo tells it as a plain RuntimeError)."""
    if dist.world_size() == 1 or not isinstance(error, RuntimeError):
        return False
    import torch.distributed as c10d

    return isinstance(error, c10d.DistNetworkError) or any(words in str(error).lower() for words in LOST)


def to_tell(text: str, *, whose: bool = True) -> str | None:
    """The sentence by which this rank tells its error `text`; None where that is for another rank to do.

    The first rank to fail tells, and waits a second for whether all others find the same, as they do in a bad option;
    if not, its number goes in front, unless `whose` is false.
    """
    if dist.world_size() == 1:
        return text
    count = dist.add_to_counter("failures")
    alike = f"failure {zlib.crc32(text.encode())}"
    find_the_same = dist.add_to_counter(alike)
    if count != 1 and (count != 0 or dist.rank() != 1):  # rank 0 held the store and is gone: the next one speaks
        time.sleep(SECONDS_TO_AGREE)  # who leaves first is taken for the cause by torchrun
        return None
    deadline = time.monotonic() + SECONDS_TO_AGREE
    while whose and 0 < find_the_same < dist.world_size() and time.monotonic() < deadline:
        time.sleep(0.02)
        find_the_same = dist.add_to_counter(alike, times=0)
    return (
        text
        if find_the_same == dist.world_size() or not whose
        else f"rank {dist.rank()} of {dist.world_size()}: {text}"
    )
