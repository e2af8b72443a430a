"""`prodrec serve` as a process: it listens, answers, and ends gracefully; and mistakes are one sentence."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from prodrec.cli.app import app
from prodrec.core.data.dataset import open_dataset
from prodrec.serve.corrections import Corrections
from tests.conftest import Journey


def test_it_answers_and_finishes_requests_before_it_ends(journey: Journey, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prodrec", "serve", "sicot", "--port", "0", "--json"]
    command += ["--corrections", str(tmp_path / "corrections.csv")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        command, cwd=journey.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    try:
        listening = json.loads(process.stdout.readline())
        photo = sorted((journey.folder / "photos").iterdir())[0].read_bytes()
        url, kind = listening["url"], {"Content-Type": "image/jpeg"}
        answer = httpx2.post(f"{url}/v1/recognise", content=photo, headers=kind).json()
        assert answer["run"] == listening["run"] and len(answer["results"][0]["answer"]["path"]) == 3
        path = " / ".join(answer["results"][0]["answer"]["path"])
        form = {"data": {"path": path}, "files": {"photo": photo}}
        assert httpx2.post(f"{url}/v1/corrections", **form).status_code == 201
        assert "<title>prodrec</title>" in httpx2.get(url).text

        class Slow(threading.Thread):
            """A client whose photo arrives when the service has been asked to end."""

            status = 0

            def run(self) -> None:
                def body() -> object:
                    yield photo[:100]
                    while "prodrec_active_requests 2.0" not in httpx2.get(f"{url}/metrics").text:
                        threading.Event().wait(0.02)  # until the service has this request, besides that of the metrics
                    process.send_signal(signal.SIGTERM)
                    threading.Event().wait(0.3)
                    yield photo[100:]

                self.status = httpx2.post(f"{url}/v1/recognise", content=body(), headers=kind).status_code

        client = Slow()
        client.start()
        client.join(20)
        assert client.status == 200
        out, log = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, log
    assert json.loads(out) | {"seconds": 0} == listening | {"ended": True, "photos": 2, "seconds": 0}
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [line["status"] for line in lines if line["route"] != "/metrics"] == [200, 201, 200, 200]


def test_corrections_become_a_dataset(journey: Journey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of the how-to: products and corrections in one table, from the folder that contains both."""
    shutil.copytree(journey.folder / "photos", tmp_path / "photos")
    shutil.copy(journey.folder / "products.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    corrections = Corrections(Path("corrections.csv"), ("root", "middle", "leaf"))
    rows = [line.split(",") for line in Path("products.csv").read_text("utf-8").splitlines()[1:]]
    path = rows[0][3:6]
    photo = next(Path("photos").glob("*.jpg")).read_bytes()
    corrections.add(photo, path)
    result = CliRunner().invoke(app, ["prepare", "products.csv", "corrections.csv", "--images", ".", "--json"])
    assert result.exit_code == 0, result.output
    dataset = open_dataset(Path("dataset"))
    assert len(dataset.ids()) == len(rows) + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "none does not exist"),
        (["sicot", "--port", "99999"], "less than or equal to 65535"),
        (["sicot", "--host", "256.1.1.1"], "give another --port"),
        (["sicot", "--queue", "2"], "--queue 2 is smaller than --max-photos 16"),
        (["sicot", "--max-upload", "0"], "greater than or equal to 1"),
        (["sicot", "--api-key-file", "none.txt"], "write a name and a key in each line"),
        (["sicot", "--corrections", "products.csv"], "give another file"),
        (["sicot", "--operating-point", "best"], "expected natural"),
    ],
)
def test_mistakes(journey: Journey, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(journey.folder)
    result = CliRunner().invoke(app, ["serve", "--port", "0", *arguments])
    assert result.exit_code == 2 and message in result.stderr, result.output


def test_a_port_that_is_taken(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(journey.folder)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["serve", "sicot", "--port", port])
    assert result.exit_code == 2
    assert f"--port {port} cannot be served at (address already in use); give another --port" in result.stderr
