"""Decide which rank prints its error when several ranks fail, and whether the message contains the rank's number.

An error is printed once, with the number of the rank if not all ranks have the same error. A rank that loses the
connection to another one is not the cause: the other rank has failed, and prints its own error, or was killed.
"""

from __future__ import annotations

import time
import zlib

from prodrec.core.base import dist

SECONDS_TO_AGREE = 1.0
"""How long the first rank that fails waits for the others to fail with the same error."""

POLL_SECONDS = 0.02
"""Time between two reads of the number of ranks with the same error."""

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

    The first rank to fail prints. It waits up to SECONDS_TO_AGREE for all ranks to fail with the same error, as they do
    for an invalid option. If some do not, the message starts with the number of the rank. If `name_rank` is false, it
    does not wait, and the message never contains the number.
    """
    if dist.world_size() == 1:
        return error
    failed_ranks = dist.add_to_counter("failures")
    same_error = f"failure {zlib.crc32(error.encode())}"
    ranks_with_same_error = dist.add_to_counter(same_error)
    # The count is 0 if rank 0, the host of the store, has ended. Rank 1 prints then.
    prints = failed_ranks == 1 or (failed_ranks == 0 and dist.rank() == 1)
    if not prints:
        time.sleep(SECONDS_TO_AGREE)  # the rank that prints exits first: torchrun reports the first exit as the cause
        return None
    deadline = time.monotonic() + SECONDS_TO_AGREE
    while name_rank and 0 < ranks_with_same_error < dist.world_size() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        ranks_with_same_error = dist.add_to_counter(same_error, 0)
    if ranks_with_same_error == dist.world_size() or not name_rank:
        return error
    return f"rank {dist.rank()} of {dist.world_size()}: {error}"
