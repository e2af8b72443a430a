"""Print an error once when several ranks fail, with the number of the rank if not all of them have the same error.

A rank that loses the connection to another one is not the cause: the other rank has failed, and prints its own error,
or was killed.
"""

from __future__ import annotations

import time
import zlib

from prodrec.core.base import dist

SECONDS_TO_AGREE = 1.0
"""How long the first rank that fails waits for the others to fail with the same error."""

POLL_SECONDS = 0.02

LOST_CONTACT_PHRASES = (
    "closed by peer",
    "reset by peer",
    "broken pipe",
    "gloo/transport",
    "ncclremoteerror",
    "remote process exited",
)
"""Parts of the messages of gloo and NCCL, in lower case, when another rank cannot be reached any more."""


def is_lost_contact(error: BaseException) -> bool:
    """Return whether `error` means that another rank cannot be reached any more."""
    if dist.world_size() == 1 or not isinstance(error, RuntimeError):
        return False
    import torch.distributed as c10d

    message = str(error).lower()  # gloo raises a plain RuntimeError
    return isinstance(error, c10d.DistNetworkError) or any(phrase in message for phrase in LOST_CONTACT_PHRASES)


def message_to_print(error: str, *, name_rank: bool = True) -> str | None:
    """Return the message that this rank prints for its error, or None if another rank prints one.

    The first rank to fail prints. It waits for up to SECONDS_TO_AGREE until all ranks have the same error, as they have
    for an invalid option. If they do not, its number precedes the message, unless `name_rank` is false.
    """
    if dist.world_size() == 1:
        return error
    failed_ranks = dist.add_to_counter("failures")
    same_error = f"failure {zlib.crc32(error.encode())}"
    ranks_with_same_error = dist.add_to_counter(same_error)
    # The count is 0 if rank 0, the host of the store, has ended. Rank 1 prints then.
    prints = failed_ranks == 1 or (failed_ranks == 0 and dist.rank() == 1)
    if not prints:
        time.sleep(SECONDS_TO_AGREE)  # torchrun takes the first rank that exits for the cause
        return None
    deadline = time.monotonic() + SECONDS_TO_AGREE
    while name_rank and 0 < ranks_with_same_error < dist.world_size() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        ranks_with_same_error = dist.add_to_counter(same_error, 0)
    if ranks_with_same_error == dist.world_size() or not name_rank:
        return error
    return f"rank {dist.rank()} of {dist.world_size()}: {error}"
