"""A bounded queue whose jobs are computed together: dynamic batching.

One thread computes. While it is busy jobs wait, and when it is free it takes all that wait, up to `batch` photos. A job
therefore never waits for others to come, and batches grow by themselves when there is more to do. (A server that waits
a few milliseconds for a fuller batch makes every lonely request slower by them, and gains nothing under load.)
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

J = TypeVar("J")
R = TypeVar("R")
SMOOTHING = 0.1
"""Weight of the newest batch in the running mean of the seconds of a photo."""


class QueueFull(Exception):
    """The queue has no room. `retry_after` is the number of seconds in which it will be empty, at least 1."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"{retry_after} s")
        self.retry_after = retry_after


@dataclass(eq=False)
class _Waiting(Generic[J, R]):
    job: J
    photos: int
    result: asyncio.Future[R]


class BatchQueue(Generic[J, R]):
    """Computes jobs in batches. `submit` is called in one event loop.

    compute:  computes the results of several jobs, in a thread of its own
    batch:    largest number of photos of a batch; a job with more is computed alone
    limit:    largest number of photos that wait
    on_batch: called with the number of photos of every batch and its seconds
    """

    def __init__(
        self,
        compute: Callable[[Sequence[J]], Sequence[R]],
        *,
        batch: int,
        limit: int,
        on_batch: Callable[[int, float], None] = lambda photos, seconds: None,
    ) -> None:
        self._compute, self._batch, self._limit, self._on_batch = compute, batch, limit, on_batch
        self._waiting: deque[_Waiting[J, R]] = deque()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prodrec-network")
        self._task: asyncio.Task[None] | None = None
        self._seconds_per_photo = 0.0
        self.photos = 0
        """Number of photos that wait."""

    def start(self) -> None:
        """Begin to compute, in the running event loop."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Stop after the batch that is being computed. Jobs that wait are cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for waiting in self._waiting:
            waiting.result.cancel()
        self._thread.shutdown()

    def check_room(self, photos: int = 1) -> None:
        """Raise QueueFull if so many photos do not fit into the queue now."""
        if self.photos + photos > self._limit:
            raise QueueFull(max(1, math.ceil(self.photos * self._seconds_per_photo)))

    async def submit(self, job: J, *, photos: int = 1) -> R:
        """Return the result of a job. Raise QueueFull at once if it does not fit, or what `compute` raises for it.

        A job whose caller is cancelled, as by a time limit, leaves the queue.
        """
        self.check_room(photos)
        waiting = _Waiting[J, R](job, photos, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self.photos += photos
        self._wake.set()
        try:
            return await waiting.result
        finally:
            if waiting in self._waiting:  # it was cancelled
                self._waiting.remove(waiting)
                self.photos -= photos

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            batch = self._take()
            if not batch:
                self._wake.clear()
                continue
            started, photos = loop.time(), sum(one.photos for one in batch)
            await self._settle(batch)
            seconds = loop.time() - started
            last = self._seconds_per_photo or seconds / photos
            self._seconds_per_photo = last + SMOOTHING * (seconds / photos - last)
            self._on_batch(photos, seconds)

    def _take(self) -> list[_Waiting[J, R]]:
        batch: list[_Waiting[J, R]] = []
        photos = 0
        while self._waiting and (not batch or photos + self._waiting[0].photos <= self._batch):
            batch.append(self._waiting.popleft())
            photos += batch[-1].photos
        self.photos -= photos
        return batch

    async def _settle(self, batch: list[_Waiting[J, R]]) -> None:
        """Compute a batch. If that fails, compute each of its jobs alone, so that one does not spoil the others."""
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._thread, self._compute, [one.job for one in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results of {len(batch)} jobs")
        except Exception as error:
            if len(batch) > 1:
                for one in batch:
                    await self._settle([one])
            elif not batch[0].result.done():
                batch[0].result.set_exception(error)
            return
        for one, result in zip(batch, results, strict=True):
            if not one.result.done():
                one.result.set_result(result)
