"""Runs many small tasks in a few threads: whole tasks side by side, instead of many threads in every operation.

An operation on a chunk takes a millisecond or less. Divided among threads, it ends when the slowest thread is done, and
a step has thousands of operations. If another process needs a core, such as one that loads photos, the step takes ten
times as long. Threads that run whole tasks wait for each other only once, at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

MAX_THREADS = 8
"""Limited because every thread has its own sums in memory. Further threads of torch work inside the operations."""


def thread_count(device: torch.device) -> int:
    """Return the number of tasks that run at once: up to MAX_THREADS on a CPU, one on a GPU."""
    return min(MAX_THREADS, torch.get_num_threads()) if device.type == "cpu" else 1


def run_in_threads(count: int, task: Callable[[int, int], None], *, device: torch.device) -> None:
    """Call task(thread, number) for every number below `count`.

    With n = `thread_count` threads, thread t runs the numbers t, t + n, t + 2n, … in this order, without gradients.
    Raise the first error of a task.
    """
    threads, torch_threads = thread_count(device), torch.get_num_threads()
    if threads == 1 or count < 2:
        for number in range(count):
            task(number % threads, number)
        return

    def run_thread(thread: int) -> None:
        torch.set_num_threads(torch_threads // threads)  # of this thread; MKL's is process-wide, restored below
        with torch.no_grad():
            for number in range(thread, count, threads):
                task(thread, number)

    try:
        for future in [_pool(threads).submit(run_thread, thread) for thread in range(threads)]:
            future.result()
    finally:
        torch.set_num_threads(torch_threads)


@functools.lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="classifier")
