"""Campaigns of most of a minute: random requests from the OpenAPI document, and hostile clients beside honest ones."""

from __future__ import annotations

import gc
import random
import resource
import socket
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from prodrec.serve.corrections import Corrections
from tests.serve.conftest import DrawnIndex, EchoEngine
from tests.serve.test_page import RunningService

pytestmark = pytest.mark.exhaustive
SECONDS = 20.0


def test_random_requests_from_the_document(tmp_path: Path) -> None:
    """No request, however strange, fails the service, or gets a status or a body that the document does not have."""
    schemathesis = pytest.importorskip("schemathesis")
    hypothesis = pytest.importorskip("hypothesis")
    engine = EchoEngine(DrawnIndex())
    service = RunningService(engine, corrections=Corrections(tmp_path / "c.csv", engine.levels))
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.specs.openapi.checks.status_code_conformance,
        schemathesis.specs.openapi.checks.content_type_conformance,
    ]
    seen, statuses = set[str](), set[int]()
    for operation in (result.ok() for result in schema.get_all_operations()):
        seen.add(operation.label)

        @hypothesis.settings(max_examples=60, deadline=None, database=None, derandomize=True)
        @hypothesis.given(case=operation.as_strategy())
        def fuzz(case: Any) -> None:
            statuses.add(case.call_and_validate(checks=checks).status_code)

        fuzz()
    service.stop()
    assert seen >= {"POST /v1/recognise", "POST /v1/search", "POST /v1/corrections", "GET /v1/products/{sku}"}
    assert statuses >= {200, 400, 404} and 503 not in statuses and len(engine.batches) > 10


def hostile(url: str, chance: random.Random) -> None:
    """One misbehaving client: garbage, half a request, a wrong length, or a connection that is cut."""
    host, port = url.removeprefix("http://").split(":")
    kind = chance.randrange(5)
    head = b"POST /v1/recognise HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    texts = [
        bytes(chance.randrange(256) for _ in range(200)),
        head,
        head + b"Content-Length: 100\r\n\r\nshort",
        head + b"Content-Length: -1\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ]
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(texts[kind])
        if chance.random() < 0.5:
            time.sleep(0.05)


def test_hostile_clients_beside_honest_ones() -> None:
    """No answer is lost or crossed while versions change, clients break, and jobs fail; memory stays flat."""
    index = DrawnIndex(version=1)
    engine = EchoEngine(index)
    service = RunningService(engine, refresh_seconds=0.2)
    stop, failures, answered = threading.Event(), list[str](), list[int]()

    def honest(number: int) -> None:
        with httpx2.Client(timeout=20) as client:
            count = 0
            while not stop.is_set():
                text = f"{number}-{count}"
                headers = {"Content-Type": "image/jpeg"}
                answer = client.post(f"{service.url}/v1/recognise", content=text.encode(), headers=headers)
                if answer.status_code != 200 or answer.json()["results"][0]["answer"]["path"] != [text]:
                    failures.append(f"{text}: {answer.status_code} {answer.text[:200]}")
                count += 1
            answered.append(count)

    def wrong(seed: int) -> None:
        chance = random.Random(seed)
        while not stop.is_set():
            try:
                hostile(service.url, chance)
                text = chance.choice([b"broken", b"crash", b""])
                httpx2.post(f"{service.url}/v1/recognise", content=text, headers={"Content-Type": "image/png"})
            except OSError:
                continue

    threads = [threading.Thread(target=honest, args=(number,)) for number in range(6)]
    threads += [threading.Thread(target=wrong, args=(seed,)) for seed in range(2)]
    memory = list[int]()
    for thread in threads:
        thread.start()
    try:
        for version in range(2, 12):
            time.sleep(SECONDS / 10)
            engine.index.newest = DrawnIndex(version=version)
            engine.batches.clear()
            gc.collect()
            memory.append(resident_bytes())
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
        service.stop()
    assert not failures, failures[:3]
    assert len(answered) == 6 and min(answered) > 50 and engine.index.version >= 10
    assert memory[-1] - memory[2] < 30 << 20, memory


def resident_bytes() -> int:
    """Memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return pages * resource.getpagesize()
