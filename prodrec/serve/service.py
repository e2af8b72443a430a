"""The state of a running service, and the way of a photo through it: admission, decoding, queue, answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from prodrec.core.base.errors import BadPhoto
from prodrec.serve.batching import BatchQueue
from prodrec.serve.corrections import Corrections
from prodrec.serve.engine import Answered, Box, Engine, Job, Question, Values
from prodrec.serve.failures import Refused
from prodrec.serve.limits import Limits
from prodrec.serve.metrics import Metrics

T = TypeVar("T")
SECONDS_BETWEEN_REFRESHES = 5.0
"""How soon a new version of the index is taken up."""


class Service:
    """An engine behind a bounded queue.

    decoders: threads that decode photos; Pillow decodes without Python's lock
    """

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        *,
        corrections: Corrections | None = None,
        decoders: int = 2,
        refresh_seconds: float = SECONDS_BETWEEN_REFRESHES,
    ) -> None:
        self.engine, self.limits, self.corrections, self.metrics = engine, limits, corrections, Metrics()
        self._decoders, self._refresh_seconds = decoders, refresh_seconds
        self._threads: ThreadPoolExecutor | None = None
        self._queue: BatchQueue[Job, Answered] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._decoding = 0

    @property
    def is_ready(self) -> bool:
        """Whether photos can be recognised."""
        return self._queue is not None

    async def start(self) -> None:
        """Start the threads, in the event loop of the server."""
        self._threads = ThreadPoolExecutor(self._decoders, thread_name_prefix="prodrec-decode")
        self._queue = BatchQueue(
            self.engine.answer,
            batch=self.limits.batch,
            limit=self.limits.queue,
            on_batch=self.metrics.count_batch,
        )
        self._queue.start()
        self.metrics.run.info(self.engine.run)
        self.metrics.waiting.set_function(lambda: 0 if self._queue is None else self._queue.photos)
        self._set_version()
        if self.engine.index is not None:
            self._refreshing = asyncio.create_task(self._refresh())

    async def stop(self) -> None:
        """Stop the threads; the server has finished its requests."""
        queue, self._queue = self._queue, None
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        if queue is not None:
            await queue.stop()
        if self._threads is not None:
            self._threads.shutdown()

    async def recognise(
        self, photos: Sequence[bytes], question: Question, *, box: Box | None = None
    ) -> tuple[Answered, dict[str, float]]:
        """Return the results of photos, and the milliseconds of the parts of the work.

        Raise QueueFull, Refused after the time limit, BadPhoto, or BadOption for a question that the run cannot answer.
        """
        assert self._queue is not None
        started = time.monotonic()
        self.engine.check(question)
        # Photos that are being decoded will be in the queue soon, so they need room there.
        self._queue.check_room(self._decoding + len(photos))
        try:
            async with asyncio.timeout(self.limits.seconds):
                self._decoding += len(photos)
                try:
                    prepared = await asyncio.gather(
                        *(self.in_thread(partial(self._prepare, data, box, i)) for i, data in enumerate(photos))
                    )
                finally:
                    self._decoding -= len(photos)
                decoded = time.monotonic()
                answered = await self._queue.submit(Job(tuple(prepared), question), photos=len(photos))
        except TimeoutError as error:
            sentence = f"The photos were not recognised within {self.limits.seconds:g} s: try again in 1 s."
            raise Refused(503, sentence, {"Retry-After": "1"}) from error
        finished = time.monotonic()
        times = {"decode_ms": decoded - started, "network_ms": finished - decoded}
        return answered, {name: round(1000 * seconds, 2) for name, seconds in times.items()}

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, computed in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _prepare(self, data: bytes, box: Box | None, number: int) -> Any:
        try:
            return self.engine.prepare(data, box)
        except BadPhoto as error:
            raise BadPhoto(f"photo {number} (from 0): {error}") from error

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_seconds)
            with suppress(Exception):  # the index is being written, or its storage is away: the old version works
                if await self.in_thread(self.engine.refresh):
                    self._set_version()

    def _set_version(self) -> None:
        index = self.engine.index
        self.metrics.index_version.set(0 if index is None else index.version)

    def state(self) -> Values:
        """Return what /health and the page report."""
        index = self.engine.index
        return {
            "status": "ready" if self.is_ready else "stopping",
            "run": self.engine.run,
            "index": None if index is None else {"version": index.version},
            "corrections": self.corrections is not None,
        }
