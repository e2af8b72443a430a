"""A load test of the service: clients that each send one photo after another, and how long the answers take.

    python load.py http://127.0.0.1:8000/v1/recognise photos/ --clients 8 --seconds 10
    python load.py http://127.0.0.1:8000/v1/recognise photos/ --clients 64 --key KEY --json

Each client keeps its connection, and sends the next photo when it has the answer to the last one. The photos of the
folder are read before the test. Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
TIMEOUT = 120
"""Seconds to wait for an answer."""


def main() -> None:
    options = read_options()
    files = sorted(file for file in options.photos.rglob("*") if file.suffix.lower() in ENDINGS)
    if not files:
        raise SystemExit(
            f"{options.photos} contains no photo; give a folder with files that end in {' '.join(ENDINGS)}"
        )
    headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
    bodies, headers["Content-Type"] = read_bodies(files, as_json=options.base64)
    result = measure(
        options.url, bodies, headers, clients=options.clients, seconds=options.seconds, warm_up=options.warm_up
    )
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['photos_per_second']:.1f} photos/s, by status: {result['statuses']}")
    print(" · ".join(f"{name} {result[name]:.1f} ms" for name in ("p50", "p95", "p99", "longest")))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of the route, such as http://127.0.0.1:8000/v1/recognise")
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--clients", type=int, default=8, help="clients that send photos at the same time (8)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the test (10)")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds before it, which do not count (1)")
    parser.add_argument("--key", help="API key, if the service needs one")
    parser.add_argument("--base64", action="store_true", help='send JSON, {"photos": ["base64…"]}, instead of bytes')
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def read_bodies(files: Sequence[Path], *, as_json: bool) -> tuple[list[bytes], str]:
    """Return the body of the request with each photo, and their content type."""
    photos = [file.read_bytes() for file in files]
    if not as_json:
        return photos, "application/octet-stream"
    texts = (base64.b64encode(photo).decode("ascii") for photo in photos)
    return [json.dumps({"photos": [text]}).encode("ascii") for text in texts], "application/json"


def measure(
    url: str,
    bodies: list[bytes],
    headers: dict[str, str],
    *,
    clients: int,
    seconds: float,
    warm_up: float = 0.0,
) -> dict[str, Any]:
    """Send requests for `warm_up` + `seconds`, and return photos per second and the milliseconds of the answers.

    Answers count if they arrive in the last `seconds`. Percentiles are those of answers with status 200.
    """
    begins = time.perf_counter() + warm_up
    ends = begins + seconds
    answers: list[tuple[str, float]] = []
    threads = [
        threading.Thread(target=_send, args=(url, bodies[number:] + bodies[:number], headers, begins, ends, answers))
        for number in (client * len(bodies) // clients for client in range(clients))
    ]
    processor = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = sorted(milliseconds for status, milliseconds in answers if status == "200")
    return {
        "clients": clients,
        "photos_per_second": len(good) / seconds,
        "statuses": dict(Counter(status for status, _ in answers)),
        **{f"p{share}": percentile(good, share) for share in (50, 95, 99)},
        "longest": good[-1] if good else math.nan,
        "client_processor_seconds": time.process_time() - processor,
    }


def _send(
    url: str,
    bodies: list[bytes],
    headers: dict[str, str],
    begins: float,
    ends: float,
    answers: list[tuple[str, float]],
) -> None:
    """Send one body after another until `ends`; append status and milliseconds of each answer between the two times."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)
    target, number = f"{parts.path}?{parts.query}" if parts.query else parts.path, 0
    while time.perf_counter() < ends:
        started = time.perf_counter()
        try:
            connection.request("POST", target, bodies[number % len(bodies)], headers)
            answer = connection.getresponse()
            answer.read()
            status = str(answer.status)
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
            connection.close()
        arrived, number = time.perf_counter(), number + 1
        if begins <= arrived <= ends:
            answers.append((status, 1000 * (arrived - started)))
    connection.close()


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` per cent of the values do not exceed."""
    return ascending[max(0, math.ceil(share / 100 * len(ascending)) - 1)] if ascending else math.nan


if __name__ == "__main__":
    main()
