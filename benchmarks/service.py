"""`prodrec serve` against FastAPI with eager PyTorch, LitServe and mosec: the same photos, weights and requests.

    python benchmarks/service.py mobilenet_v2 [--weights FILE] [--peers-python ENV/bin/python] [--rounds 3]
    python benchmarks/service.py resnet50 --seconds 10 --peers-python ENV/bin/python

ENV is a virtual environment with litserve, mosec, torch, torchvision and safetensors; without it, these two are
skipped. A run of the network is trained for one step on drawn products, since weights do not matter for speed, and
every server has its weights. Servers are started one after another; each round measures all of them in another order.
Every line of results counts: a second call adds rounds to those in OUT, and OUT/tables.md has the medians of all.
On a machine with other work, photos per processor second of the server are more reliable than photos per second.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.measured_process import process_tree, tree_bytes, tree_processor_seconds
from peers.served_network import RUN
from peers.service_table import markdown

import prodrec
from prodrec.demo.catalogue import draw_catalogue

ROOT = Path(__file__).parents[1]
LOAD_TEST = ROOT / "examples" / "service" / "load.py"
SIDES = {"mobilenet_v2": (96, 128), "resnet50": (224, 256)}
"""Sides in pixels of the network's input, and of the photos that clients send."""
SECONDS_TO_START = 180
COMPARED = 8
"""Photos whose answers are compared before the measurement."""
LARGEST_DIFFERENCE = 0.02
"""Of the probability of the best class: decoders and resizing differ by a level or two of 255."""


@dataclass(frozen=True)
class Arm:
    """A server: its name in tables, the command, and the route. `PORT` in the command is a free port."""

    title: str
    command: tuple[str, ...]
    route: str
    needs_peers: bool = False


ARMS = {
    "prodrec": Arm(
        "prodrec serve",
        ("-m", "prodrec", "serve", "RUN", "--port", "PORT", "--operating-point", "plain"),
        "/v1/recognise",
    ),
    "fastapi": Arm("FastAPI + eager PyTorch", ("-m", "peers.serve_fastapi", "PORT"), "/recognise"),
    "litserve": Arm("LitServe", ("-m", "peers.serve_litserve", "PORT"), "/recognise", needs_peers=True),
    "mosec": Arm(
        "mosec",
        ("-m", "peers.serve_mosec", "--address", "127.0.0.1", "--port", "PORT", "--timeout", "60000"),
        "/inference",
        needs_peers=True,
    ),
}


def main() -> None:
    options = read_options()
    out = options.out.resolve() / options.network
    run, photos = make_run(options.network, out, weights=options.weights)
    arms = [name for name in options.arms.split(",") if options.peers_python or not ARMS[name].needs_peers]
    for name in set(options.arms.split(",")) - set(arms):
        print(f"{name}: skipped, because --peers-python is not given", flush=True)
    titles = {name: arm.title for name, arm in ARMS.items()}
    expected = None
    earlier = len(read_results(out))
    for round_ in range(earlier, earlier + options.rounds):
        for name in arms[round_ % len(arms) :] + arms[: round_ % len(arms)]:
            python = options.peers_python if ARMS[name].needs_peers else sys.executable
            with served(ARMS[name], python, run, log=out / f"{name}.log") as (url, process):
                found = [best_probability(url, photo) for photo in sorted(photos.iterdir())[:COMPARED]]
                expected = expected or found
                check_answers(name, found, expected)
                for clients in map(int, options.clients.split(",")):
                    measured = measure(url, process, photos, clients=clients, seconds=options.seconds)
                    line = json.dumps({"arm": name, **measured})
                    with (out / "results.jsonl").open("a", encoding="utf-8") as file:
                        file.write(f"{line}\n")
                    print(line, flush=True)
            (out / "tables.md").write_text(markdown(read_results(out), titles), "utf-8")
    print(markdown(read_results(out), titles))


def read_options() -> argparse.Namespace:
    """Read the command line. Exit if an arm is unknown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=SIDES, help="network of torchvision")
    parser.add_argument("--weights", default="none", help="file of its weights; none is random (none)")
    parser.add_argument("--peers-python", help="Python interpreter that has litserve and mosec")
    parser.add_argument("--arms", default=",".join(ARMS), help=f"any of {', '.join(ARMS)}; all by default")
    parser.add_argument("--clients", default="1,8,64", help="numbers of clients (1,8,64)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each measurement (6)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="measurements of each number of clients; 0 makes the run only (3)"
    )
    parser.add_argument("--out", type=Path, default=Path("service"), help="folder for all results (service)")
    options = parser.parse_args()
    if unknown := set(options.arms.split(",")) - ARMS.keys():
        parser.error(f"--arms: there is no {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}.")
    return options


def make_run(network: str, out: Path, *, weights: str) -> tuple[Path, Path]:
    """Return a run of a network and the folder of the photos to send; both are made if they are missing."""
    side, stored = SIDES[network]
    if not (out / "run" / "model.safetensors").exists():
        drawn = draw_catalogue(out, products=160, leaves=6, size=stored, dirt=False)
        dataset = out / "dataset"
        prodrec.prepare(drawn.table, images=drawn.photos, out=dataset, size=stored, near_duplicates="off", force=True)
        settings = {"backbone": network, "weights": weights, "image_size": side, "epochs": 0.1, "batch_size": 16}
        prodrec.train("visual", dataset, out=out / "run", preset="paper", settings=settings, force=True)
    return out / "run", out / "photos"


@contextmanager
def served(arm: Arm, python: str, run: Path, *, log: Path) -> Iterator[tuple[str, int]]:
    """Start a server, wait until it listens, and yield its address and its process number. Stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [{"PORT": str(port), "RUN": str(run)}.get(word, word) for word in arm.command]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'benchmarks'}:{ROOT}", RUN: str(run)}
    url = f"http://127.0.0.1:{port}{arm.route}"
    with log.open("wb") as stream:
        process = subprocess.Popen([python, *command], stdout=stream, stderr=subprocess.STDOUT, env=environment)
        try:
            wait_until_it_listens(process, port, log)
            yield url, process.pid
        finally:
            workers = process_tree(process.pid)[1:]
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
            for worker in workers:  # those that outlive their parent would slow the next server down
                if Path(f"/proc/{worker}").exists():
                    os.kill(worker, 9)


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Return when a port accepts connections. Exit if the process ends first, or needs more than SECONDS_TO_START."""
    for _ in range(10 * SECONDS_TO_START):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"the server does not listen; all output is in {log}")


def best_probability(url: str, photo: Path) -> float:
    """Return the probability of the best class of a photo. A server that still loads its network may take a minute."""
    body = json.dumps({"photos": [base64.b64encode(photo.read_bytes()).decode("ascii")]}).encode("ascii")
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    for attempt in range(SECONDS_TO_START):
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                values = json.load(answer)
            break
        except OSError as error:
            is_refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if is_refused or attempt == SECONDS_TO_START - 1:
                raise
            time.sleep(1)
    if "results" in values:
        return float(values["results"][0]["levels"]["leaf"][0]["confidence"])
    return float(values["probabilities"][0])


def check_answers(name: str, found: list[float], expected: list[float]) -> None:
    """Exit if a server answers with other probabilities than the first one."""
    difference = max(abs(one - other) for one, other in zip(found, expected, strict=True))
    print(f"{name}: probabilities differ by {difference:.4f} at most", flush=True)
    if difference > LARGEST_DIFFERENCE:
        sys.exit(f"{name} computes something else: {found} instead of {expected}")


def measure(url: str, process: int, photos: Path, *, clients: int, seconds: float) -> dict[str, Any]:
    """Return what the load test reports, run in a process of its own, and what the machine did meanwhile.

    server_cores:    processor seconds of the server and its workers, per second
    other_cores:     processor seconds of everything but server and load test, per second
    waiting_percent: share of the time in which some process of the machine waited for a processor (pressure stall
                     information of Linux)
    """
    before = (time.monotonic(), tree_processor_seconds(process), busy_seconds(), stalled_seconds())
    line = [sys.executable, str(LOAD_TEST), url, str(photos), "--base64", "--json"]
    line += ["--clients", str(clients), "--seconds", str(seconds)]
    result = subprocess.run(line, capture_output=True, text=True, check=True)
    after = (time.monotonic(), tree_processor_seconds(process), busy_seconds(), stalled_seconds())
    elapsed, server, busy, stalled = (now - then for now, then in zip(after, before, strict=True))
    measured = json.loads(result.stdout)
    client = measured["client_processor_seconds"]
    return {
        **measured,
        "server_cores": server / elapsed,
        "other_cores": max(0.0, busy - server - client) / elapsed,
        "waiting_percent": 100 * stalled / elapsed,
        "memory_gb": tree_bytes(process) / 1e9,
    }


def busy_seconds() -> float:
    """Return the processor seconds that all processes of the machine have used."""
    user, nice, system, _, _, interrupts, soft, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def stalled_seconds() -> float:
    """Return the seconds in which some process waited for a processor; 0 where Linux does not count them."""
    file = Path("/proc/pressure/cpu")
    return int(file.read_text().split("total=")[1].split()[0]) / 1e6 if file.exists() else 0.0


def read_results(out: Path) -> list[dict[str, Any]]:
    """Return all measurements of a network."""
    file = out / "results.jsonl"
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


if __name__ == "__main__":
    main()
