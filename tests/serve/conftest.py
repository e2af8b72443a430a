"""A service whose engine recognises without a network: the result of a photo is its text."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from prodrec.core.base.errors import BadOption, BadPhoto
from prodrec.serve.application import create_app
from prodrec.serve.corrections import Corrections
from prodrec.serve.engine import Answered, Box, Job, Question
from prodrec.serve.limits import ApiKeys, Limits
from prodrec.serve.server import address_of, bind
from prodrec.serve.service import Service

PATHS = [("Shoes", "Boots"), ("Shoes", "Sneakers"), ("Bags", "Backpacks / Rucksacks")]


@dataclass(frozen=True)
class DrawnProduct:
    sku: str
    title: str
    path: tuple[str, ...] = ("Shoes", "Boots")
    tags: tuple[str, ...] = ("red",)
    photos: int = 1


@dataclass(frozen=True)
class DrawnHit:
    product: DrawnProduct
    cosine: float
    photo: int = 0


@dataclass(frozen=True)
class DrawnMatch:
    product: DrawnProduct
    score: float


@dataclass
class DrawnIndex:
    """Three products, of which a search returns the first; `newest` is what `refreshed` returns."""

    version: int = 1
    newest: DrawnIndex | None = None
    products: tuple[DrawnProduct, ...] = (
        DrawnProduct("a/1", "A boot"),
        DrawnProduct("b", "B boot"),
        DrawnProduct("ü?", "C boot"),
    )

    def refreshed(self) -> DrawnIndex:
        return self.newest or self

    def product(self, sku: str) -> DrawnProduct | None:
        return next((product for product in self.products if product.sku == sku), None)

    def similar(self, sku: str, top: int) -> list[DrawnHit]:
        return [DrawnHit(product, 0.8) for product in self.products if product.sku != sku][:top]

    def with_words(self, text: str, top: int) -> list[DrawnMatch]:
        words = text.lower().split()
        counts = [(product, sum(word in words for word in product.title.lower().split())) for product in self.products]
        return [DrawnMatch(product, float(count)) for product, count in counts if count][:top]

    def thumbnail(self, sku: str, photo: int = 0) -> bytes | None:
        return b"\xff\xd8thumbnail" if self.product(sku) and photo == 0 else None


@dataclass
class EchoEngine:
    """Photos are texts; `broken` cannot be decoded, `crash` fails, and `slow` takes `seconds`."""

    index: Any = None
    seconds: float = 0.0
    run: dict[str, str] = field(default_factory=lambda: {"name": "echo", "fingerprint": "f1"})
    levels: tuple[str, ...] = ("root", "leaf")
    batches: list[list[str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def check(self, question: Question) -> None:
        if question.precision is not None:
            raise BadOption("--precision 0.9 needs thresholds; give --min-confidence.")

    def prepare(self, data: bytes, box: Box | None) -> Any:
        if data.startswith(b"broken"):
            raise BadPhoto("the photo cannot be used: undecodable.")
        return data.decode("latin-1"), box

    def answer(self, jobs: Sequence[Job]) -> list[Answered]:
        self.gate.wait(10)
        time.sleep(self.seconds)
        self.batches.append([text for job in jobs for text, _ in job.photos])
        if any(text == "crash" for text in self.batches[-1]):
            raise RuntimeError("out of memory")
        version = None if self.index is None else self.index.version
        return [Answered(self._results(job), version) for job in jobs]

    def _results(self, job: Job) -> list[dict[str, Any]]:
        photos = job.photos[:1] if job.question.pool else job.photos
        products = [] if self.index is None else self.index.products[: job.question.top]
        return [
            {
                "levels": {"leaf": [{"path": ["Shoes", text], "confidence": 0.5}]},
                "attributes": {},
                "answer": {"levels": ["root"], "path": [text], "confidences": [job.question.min_confidence]},
                "box": box,
                "products": [{"sku": product.sku} for product in products],
            }
            for text, box in photos
        ]

    def classes(self, words: str, top: int) -> list[tuple[str, ...]]:
        return [path for path in PATHS if words.lower() in path[-1].lower()][:top]

    def has_class(self, path: Sequence[str]) -> bool:
        return any(tuple(path) == known[: len(path)] for known in PATHS) and bool(path)

    def encode(self, data: bytes, box: Box | None) -> bytes:
        return b"jpeg of " + self.prepare(data, box)[0].encode()

    def refresh(self) -> bool:
        newest = self.index.refreshed()
        is_newer, self.index = newest is not self.index, newest
        return is_newer


@dataclass
class Served:
    """A running service: its client, its engine, and the lines of its log."""

    client: TestClient
    engine: EchoEngine
    service: Service
    log: list[dict[str, Any]]

    def photo(self, text: str = "boot", query: str = "", **options: Any) -> Any:
        headers = {"Content-Type": "image/jpeg", **options.pop("headers", {})}
        return self.client.post(f"/v1/recognise{query}", content=text.encode(), headers=headers, **options)

    def error(self, response: Any, status: int) -> str:
        """Return the sentence of a refusal, after checking that it is one."""
        assert response.status_code == status, response.text
        assert list(response.json()) == ["error"]
        sentence: str = response.json()["error"]
        assert sentence.endswith(".") and "\n" not in sentence, sentence
        return sentence


class RunningService:
    """A service in a thread, at `url`."""

    def __init__(self, engine: EchoEngine, **options: Any) -> None:
        import uvicorn

        self.listener = bind("127.0.0.1", 0)
        self.url = address_of(self.listener)
        keys = options.pop("keys", None)
        app = create_app(Service(engine, Limits(), **options), keys=keys, log=None)
        self.server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(index=…, keys={name: key}, corrections=path, queue=…)` starts a service; the limits are options."""
    with ExitStack() as stack:

        def start(
            *,
            index: Any = None,
            keys: dict[str, str] | None = None,
            corrections: Any = None,
            refresh_seconds: float = 60.0,
            **limits: Any,
        ) -> Served:
            engine, log = EchoEngine(index), []
            kept = None if corrections is None else Corrections(corrections, engine.levels)
            service = Service(engine, replace(Limits(), **limits), corrections=kept, refresh_seconds=refresh_seconds)
            app = create_app(service, keys=None if keys is None else ApiKeys(keys), log=log.append)
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            return Served(client, engine, service, log)

        yield start
