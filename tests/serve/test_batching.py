"""The bounded queue: whole batches, no waiting for others, no lost and no crossed result."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from prodrec.serve.batching import BatchQueue, QueueFull


class Doubler:
    """Doubles numbers when its gate is open, and keeps the batches."""

    def __init__(self) -> None:
        self.gate, self.batches = threading.Event(), list[list[int]]()
        self.gate.set()

    def __call__(self, jobs: Sequence[int]) -> list[int]:
        assert self.gate.wait(10)
        self.batches.append(list(jobs))
        if any(job < 0 for job in jobs):
            raise ValueError("negative")
        return [2 * job for job in jobs]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


def test_jobs_that_wait_are_computed_together() -> None:
    async def run() -> None:
        double = Doubler()
        queue = BatchQueue(double, batch=4, limit=100)
        queue.start()
        assert await queue.submit(1) == 2
        double.gate.clear()
        jobs = [asyncio.create_task(queue.submit(number)) for number in range(10, 20)]
        await settle()
        assert queue.photos == 6  # the first four are being computed
        double.gate.set()
        assert await asyncio.gather(*jobs) == [2 * number for number in range(10, 20)]
        assert double.batches == [[1], [10, 11, 12, 13], [14, 15, 16, 17], [18, 19]] and queue.photos == 0
        await queue.stop()

    asyncio.run(run())


def test_a_batch_counts_photos_and_a_large_job_is_alone() -> None:
    async def run() -> list[list[int]]:
        double = Doubler()
        queue = BatchQueue(double, batch=4, limit=100)
        queue.start()
        double.gate.clear()
        jobs = [asyncio.create_task(queue.submit(n, photos=n)) for n in (1, 3, 2, 9, 1)]
        await settle()
        double.gate.set()
        await asyncio.gather(*jobs)
        await queue.stop()
        return double.batches

    assert asyncio.run(run()) == [[1, 3], [2], [9], [1]]


def test_a_full_queue_refuses_at_once_and_estimates_the_wait() -> None:
    async def run() -> None:
        double = Doubler()
        queue = BatchQueue(double, batch=1, limit=3)
        queue.start()
        double.gate.clear()
        jobs = [asyncio.create_task(queue.submit(0))]
        await settle()  # it is being computed
        jobs += [asyncio.create_task(queue.submit(number)) for number in (1, 2, 3)]
        await settle()
        queue._seconds_per_photo = 2.0
        with pytest.raises(QueueFull) as refused:
            await queue.submit(5)
        assert refused.value.retry_after == 6  # three wait, two seconds each
        double.gate.set()
        assert await asyncio.gather(*jobs) == [0, 2, 4, 6]
        await queue.stop()

    asyncio.run(run())


def test_a_cancelled_job_leaves_the_queue() -> None:
    async def run() -> None:
        double = Doubler()
        queue = BatchQueue(double, batch=1, limit=3)
        queue.start()
        double.gate.clear()
        first = asyncio.create_task(queue.submit(1))
        await settle()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await queue.submit(2)
        assert queue.photos == 0
        double.gate.set()
        assert await first == 2 and double.batches == [[1]]
        await queue.stop()

    asyncio.run(run())


def test_a_job_that_fails_does_not_spoil_its_batch() -> None:
    async def run() -> list[object]:
        double = Doubler()
        queue = BatchQueue(double, batch=8, limit=8)
        queue.start()
        double.gate.clear()
        jobs = [asyncio.create_task(queue.submit(number)) for number in (7, 1, -1, 3)]
        await settle()
        double.gate.set()
        results = await asyncio.gather(*jobs, return_exceptions=True)
        await queue.stop()
        return results

    *good, failed, last = asyncio.run(run())
    assert good == [14, 2] and isinstance(failed, ValueError) and last == 6


def test_too_few_results_are_an_error() -> None:
    async def run() -> None:
        queue: BatchQueue[int, int] = BatchQueue(lambda jobs: [], batch=8, limit=8)
        queue.start()
        with pytest.raises(RuntimeError, match="0 results of 1 jobs"):
            await queue.submit(1)
        await queue.stop()

    asyncio.run(run())


def test_a_lonely_job_does_not_wait_for_others() -> None:
    async def run() -> float:
        queue = BatchQueue(Doubler(), batch=32, limit=64)
        queue.start()
        await queue.submit(1)
        started = time.perf_counter()
        for number in range(50):
            await queue.submit(number)
        seconds = time.perf_counter() - started
        await queue.stop()
        return seconds

    assert asyncio.run(run()) / 50 < 0.005
