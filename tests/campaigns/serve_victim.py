"""The process of `victim.py`, as tests use it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py

from prodrec.index.product_index import ProductIndex
from prodrec.index.table import WITHOUT_CONTENT

SETTINGS = "backbone=squeezenet1_1 weights=none image_size=32 batch_size=8 lr=0.02 epochs=3"
TRAIN = "train sicot --preset paper --workers 0 --out {out}/run " + " ".join(f"--set {one}" for one in SETTINGS.split())
COMMANDS = {
    "prepare products.csv --images photos --out {out}/dataset --workers 1": "dataset/dataset.json",
    TRAIN: "run/run.json",
    "score runs/sicot dataset --out {out}/s.h5 --workers 0": "s.h5",
    "refine-mcr scores/sicot.h5 --levels leaf --lambda 10 --out {out}/s.h5": "s.h5",
}
"""Commands that write into a folder, and the file in it whose fingerprint is that of all that they make."""
BUILD = "index build runs/sicot dataset --workers 0"
UPDATE = "index update index changes.csv --images photos --remove P000005 --workers 0"
"""Commands that write into index/; `indexed` has the table of changes."""


class Victim:
    """The process in whose children the commands run. `close` it at the end."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.campaigns.victim"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"  # so that the first command takes no longer than others

    def run(self, line: str, folder: Path, **options: Any) -> tuple[int, str]:
        """Run a command in `folder`, and return its exit code and what it printed on standard error.

        A command that a signal has ended has the negative number of the signal as its code.
        """
        streams = {name: str(self.place / name) for name in ("stdout", "stderr")}
        assert self.process.stdin is not None and self.process.stdout is not None
        request = {"cwd": str(folder), "argv": shlex.split(line), **streams, **options}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["code"], Path(streams["stderr"]).read_text("utf-8", "replace")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def problem(code: int, messages: str) -> str | None:
    """Return what is wrong about the end of a command, or None."""
    errors = [line for line in messages.splitlines() if line.startswith("error: ")]
    if code < 0:
        return f"it was ended by signal {-code}"
    if code not in (0, 1, 2):
        return f"its exit code is {code}"
    if "Traceback" in messages or "--debug" in messages:
        return "it does not know the error"
    if code and len(errors) != 1:
        return f"it printed {len(errors)} errors"
    return None


def made_at(file: Path) -> str:
    """Return the fingerprint of an artefact from its main file."""
    if file.suffix == ".json":
        return str(json.loads(file.read_text("utf-8"))["fingerprint"])
    with h5py.File(file, locking=False) as opened:
        return str(opened.attrs["fingerprint"])


def content_of(index: ProductIndex) -> str:
    """Return a hash of all that an index has, except for the number of its build and the order of its rows."""
    frame, vectors_Nd = index.table.frame_and_vectors(*WITHOUT_CONTENT, "thumbnail", "text_hash")
    rows = sorted(zip(frame.rows(), (vector_d.tobytes() for vector_d in vectors_Nd), strict=True))
    header = {key: value for key, value in vars(index.header).items() if key not in ("build", "projection")}
    return hashlib.sha256(repr((index.header.fingerprint, header, rows)).encode()).hexdigest()


def leftovers(folder: Path) -> list[Path]:
    """Return temporary outputs that a command has not removed."""
    return [path for path in folder.rglob(".*") if ".partial-" in path.name or ".replaced-" in path.name]
