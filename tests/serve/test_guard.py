"""Around the routes: keys, rates, sizes, times, logs and headers; and the service lives on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serve.conftest import DrawnIndex, Serve

KEY = "0123456789abcdef"


def test_a_key_is_needed(serve: Serve) -> None:
    served = serve(keys={"shop": KEY})
    assert "has no API key" in served.error(served.photo(), 401)
    for headers in ({"Authorization": f"Bearer {KEY}0"}, {"X-API-Key": "é".encode()}, {"Authorization": KEY}):
        assert "key" in served.error(served.photo(headers=headers), 401)
    for headers in ({"Authorization": f"bearer {KEY}"}, {"X-API-Key": KEY}):
        assert served.photo(headers=headers).status_code == 200
        assert served.log[-1]["client"] == "shop"
    get = served.client.get
    assert [get(path).status_code for path in ("/health", "/ready", "/", "/page.js")] == [200] * 4
    assert [get(path).status_code for path in ("/metrics", "/openapi.json", "/v1/classes")] == [401] * 3
    assert KEY not in str(served.log)


def test_a_rate_is_kept(serve: Serve) -> None:
    served = serve(rate=0.01)
    assert served.photo().status_code == 200
    response = served.photo()
    assert "requests per second" in served.error(response, 429)
    assert 90 <= int(response.headers["Retry-After"]) <= 101
    assert served.client.get("/health").status_code == 200


def test_bodies_that_are_too_large(serve: Serve) -> None:
    served = serve(max_upload=1)
    assert "larger than 1 MiB" in served.error(served.photo("x" * (1 << 20) + "y"), 413)
    assert served.log[-1]["bytes"] == 0  # refused before it was read

    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    response = served.client.post("/v1/recognise", content=chunks(), headers={"Content-Type": "image/png"})
    assert "larger than 1 MiB" in served.error(response, 413)
    assert served.photo("x" * (1 << 20)).status_code == 200


def test_a_failure_is_logged_and_the_service_lives_on(serve: Serve) -> None:
    served = serve()
    assert "The service failed" in served.error(served.photo("crash"), 500)
    assert "RuntimeError: out of memory" in served.log[-1]["problem"] and "Traceback" in served.log[-1]["traceback"]
    assert served.photo().status_code == 200


def test_an_answer_that_takes_too_long(serve: Serve) -> None:
    served = serve(seconds=0.2)
    served.engine.gate.clear()
    response = served.photo()
    assert "within 0.2 s" in served.error(response, 503) and response.headers["Retry-After"] == "1"
    served.engine.gate.set()
    assert served.photo("next").json()["results"][0]["answer"]["path"] == ["next"]


def test_a_full_queue(serve: Serve) -> None:
    served = serve(queue=4, max_photos=4, batch=2)
    served.engine.gate.clear()
    with ThreadPoolExecutor(20) as threads:
        responses = [threads.submit(served.photo, str(number)) for number in range(20)]
        time.sleep(0.4)
        served.engine.gate.set()
        statuses = [response.result().status_code for response in responses]
    assert 5 <= statuses.count(200) <= 6 and statuses.count(429) == 20 - statuses.count(200)
    assert "busy" in {line.get("problem", "").split(";")[0].rsplit(" ")[-1] for line in served.log}


def test_no_answer_is_lost_or_crossed(serve: Serve) -> None:
    served = serve()
    served.engine.seconds = 0.002

    def ask(number: int) -> bool:
        answer = served.photo(str(number)).json()
        return bool(answer["results"][0]["answer"]["path"] == [str(number)])

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(300)))
    assert max(map(len, served.engine.batches)) > 1


def test_a_new_version_is_taken_up_without_losing_a_request(serve: Serve) -> None:
    index = DrawnIndex(version=1)
    served = serve(index=index, refresh_seconds=0.05)
    served.engine.seconds = 0.005
    versions, stop = list[int](), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            response = served.photo()
            assert response.status_code == 200
            versions.append(response.json()["index"]["version"])

    with ThreadPoolExecutor(4) as threads:
        clients = [threads.submit(ask) for _ in range(4)]
        time.sleep(0.2)
        index.newest = DrawnIndex(version=2)
        time.sleep(0.4)
        stop.set()
        for client in clients:
            client.result()
    assert set(versions) == {1, 2} and versions[-1] == 2
    assert "prodrec_index_version 2.0" in served.client.get("/metrics").text


def test_an_index_that_cannot_be_read_is_kept(serve: Serve) -> None:
    class Away(DrawnIndex):
        def refreshed(self) -> DrawnIndex:
            raise OSError("storage is away")

    served = serve(index=Away(), refresh_seconds=0.01)
    time.sleep(0.1)
    assert served.photo().json()["index"] == {"version": 1}


def test_headers_and_log(serve: Serve) -> None:
    served = serve()
    response = served.photo("secret content", "?top=3")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    line = served.log[-1]
    assert line["id"] == response.headers["X-Request-ID"] and line["route"] == "/v1/recognise"
    assert line["photos"] == 1 and line["bytes"] == 14 and line["ms"] >= line["batch_ms"]
    assert "secret" not in str(line)


def test_metrics(serve: Serve) -> None:
    served = serve()
    served.photo()
    served.photo("broken")
    served.client.get("/none")
    text = served.client.get("/metrics").text
    for line in (
        'prodrec_requests_total{route="/v1/recognise",status="200"} 1.0',
        'prodrec_requests_total{route="/v1/recognise",status="400"} 1.0',
        'prodrec_requests_total{route="other",status="404"} 1.0',
        "prodrec_photos_total 1.0",
        "prodrec_batch_photos_count 1.0",
        'prodrec_run_info{fingerprint="f1",name="echo"} 1.0',
        "prodrec_active_requests 1.0",
    ):
        assert line in text, line


@pytest.mark.parametrize("route", ["/health", "/ready"])
def test_state(serve: Serve, route: str) -> None:
    served = serve()
    assert served.client.get(route).json() == {
        "status": "ready",
        "run": {"name": "echo", "fingerprint": "f1"},
        "index": None,
        "corrections": False,
    }
