"""Map a function over jobs in several processes, which end with the parent: on Ctrl-C, an error, or even kill -9.

Processes are started with spawn. A fork would copy locks that the threads of polars hold.
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

JOBS_PER_WORKER = 4
"""Jobs that are submitted ahead for each worker: no worker waits while the parent uses a result."""

_stop: Event | None = None


class Stopped(Exception):
    """Raised in a worker process whose parent needs no more results."""


def map_in_order(function: Callable[[Job], Result], jobs: Iterable[Job], *, workers: int) -> Iterator[Result]:
    """Yield function(job) for all jobs, in order, computed by `workers` processes. A single worker is this process.

    `function` and the jobs must be picklable. A function that takes long should call `raise_if_stopped` regularly.
    Raise what `function` raises, and ProdrecError if a worker process dies.
    """
    if workers <= 1:
        yield from map(function, jobs)
        return
    import multiprocessing

    remaining = iter(jobs)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_initialize_worker, initargs=(stop,)) as pool:
        try:
            with _sigint_blocked():
                pending = deque(
                    pool.submit(function, job) for job in itertools.islice(remaining, JOBS_PER_WORKER * workers)
                )
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, job) for job in itertools.islice(remaining, 1))
                yield result
        except BrokenProcessPool as error:
            raise ProdrecError(
                "a worker process ended abruptly, most likely for lack of memory; try fewer --workers."
            ) from error
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def choose_processes(workers: int | None, *, many: bool) -> int:
    """Return the number of processes: as requested, or by default one per core for many jobs, else this process."""
    if workers is not None:
        return max(1, workers)
    return (os.cpu_count() or 1) if many else 1


def raise_if_stopped() -> None:
    """Raise Stopped in a worker process whose parent needs no more results."""
    if _stop is not None and _stop.is_set():
        raise Stopped


def _initialize_worker(stop: Event) -> None:
    """Ignore Ctrl-C, which the parent handles, and start a thread that ends this process when the parent ends."""
    import multiprocessing

    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=functools.partial(_exit_after, parent.join), daemon=True).start()


def _exit_after(wait: Callable[[], None]) -> None:
    wait()
    os._exit(1)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block. Processes that are started in the block never receive it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
