"""Results that the ranks compute in turns, such as those of batches, in their order on rank 0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from prodrec.core.base import dist

T = TypeVar("T")


def gather_in_turn(results: Iterable[T], *, own: int | None = None) -> Iterator[T]:
    """Yield on rank 0 the first result of every rank, in the order of the ranks, then the second ones, and so on.

    On the other ranks this yields nothing, but it must be iterated to the end: all ranks compute equally many results.

    results: those of this rank, computed one by one
    own:     the number of results that are yielded; by default all. Later ones only keep pace with other ranks
    """
    for number, result in enumerate(results):
        for one in dist.gather(result if own is None or number < own else None):
            if one is not None:
                yield one
