"""Work shared by processes, results in order, and ended at once: by Ctrl-C, an error, even by kill -9 of the parent.

Processes are started afresh (spawn): a fork would copy the threads' locks that polars holds.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from prodrec.core.base.errors import ProdrecError

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

Job = TypeVar("Job")
Result = TypeVar("Result")

_AHEAD = 4

_stop: Event | None = None


class Stopped(Exception):
    """Raised in a worker process whose parent wants no more results."""


def map_in_order(work: Callable[[Job], Result], jobs: Iterable[Job], *, workers: int) -> Iterator[Result]:
    """`work` of every job, in order, by `workers` processes (1: in this one). Raises what `work` raises.

    `work` must be known by its name in a module. Long work calls `raise_if_stopped` now and then.
    """
    if workers <= 1:
        yield from map(work, jobs)
        return
    import multiprocessing

    remaining = iter(jobs)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(stop,)) as pool:
        try:
            with _without_ctrl_c():
                waiting = deque(pool.submit(work, job) for job in itertools.islice(remaining, _AHEAD * workers))
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(pool.submit(work, job) for job in itertools.islice(remaining, 1))
                yield done
        except BrokenProcessPool as error:
            raise ProdrecError(
                "a process beside this one ended abruptly, most likely for lack of memory; try fewer --workers."
            ) from error
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def raise_if_stopped() -> None:
    """Raise Stopped in a worker process whose parent wants no more results."""
    if _stop is not None and _stop.is_set():
        raise Stopped


def _start(stop: Event) -> None:
    """Ctrl-C is the parent's to handle; a worker ends with its parent, however that ends."""
    import multiprocessing

    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=functools.partial(_end_with, parent.join), daemon=True).start()


def _end_with(join: Callable[[], None]) -> None:
    join()
    os._exit(1)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Processes that start here never see the Ctrl-C of the terminal; the parent sees it at the end of the block."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
