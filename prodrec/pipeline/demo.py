"""`prodrec demo`: take a small drawn catalogue the whole way, by the commands that a user would type."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodrec.core.base import console
from prodrec.core.base.errors import Interrupted, OutputExists, ProdrecError

SETTINGS = "demo.toml"
Setting = str | int | float | list[float]


@dataclass(frozen=True)
class DemoSize:
    """What the demo draws, and the settings of training that it writes to demo.toml."""

    products: int
    leaves: int
    pixels: int
    settings: dict[str, Setting]


_SETTINGS: dict[str, Setting] = {
    "backbone": "shufflenet_v2_x1_0",
    "weights": "none",
    "crop_area": [0.6, 1.0],
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "schedule": "cosine",
}
FULL = DemoSize(
    2400, 29, 96, {**_SETTINGS, "image_size": "64", "lr": 0.004, "batch_size": 64, "epochs": 16, "warmup_epochs": 1}
)
QUICK = DemoSize(120, 6, 48, {**_SETTINGS, "image_size": "32", "lr": 0.002, "batch_size": 16, "epochs": 4})

PREPARE = "prepare products.csv --images photos/ --size 64 --attributes colour,pattern,material"
PRETRAIN = "pretrain-embeddings --deterministic --neighbours handbag --neighbours 运动鞋"
TRAIN = (f"train visual --config {SETTINGS}", f"train sicot --config {SETTINGS}")
SCORE = "score"
REPORT = "report --by-head-tail --by-root --figures report/"
STEPS = (PREPARE, PRETRAIN, *TRAIN, SCORE, REPORT)


def demo(out: Path, *, quick: bool = False, force: bool = False) -> dict[str, Any]:
    """Run the demo in the directory `out`; what was made, what came out, and the seconds of every step.

    Raises OutputExists where `out` is taken, Interrupted, and ProdrecError where a command failed.
    """
    from prodrec.demo.catalogue import draw_catalogue

    out, size = Path(out), QUICK if quick else FULL
    _make_room(out, force=force)
    started = time.monotonic()
    (out / SETTINGS).write_text(_settings_file(size), "utf-8")
    drawn = draw_catalogue(out, products=size.products, leaves=size.leaves, size=size.pixels)
    seconds = {"draw": round(time.monotonic() - started, 1)}
    console.print(
        f"Drew {out}/products.csv, {drawn.rows:,} products of {size.leaves} kinds, and {out}/photos/, with the dirt of "
        f"a real catalogue: {sum(drawn.rejected.values())} unusable rows, {drawn.duplicate_groups} photos that occur "
        f"twice, a kind under two parents.\n{out}/{SETTINGS} has the settings of a small network."
    )
    for step in STEPS:
        began = time.monotonic()
        _run(step, out)
        seconds[step] = round(time.monotonic() - began, 1)
    seconds["all"] = round(time.monotonic() - started, 1)
    accuracies = _accuracies(out)
    _print_end(out, accuracies, seconds["all"], quick=quick)
    return {
        "demo": str(out),
        "quick": quick,
        "rows": drawn.rows,
        "rejected": drawn.rejected,
        "commands": [f"prodrec {step}" for step in STEPS],
        "seconds": seconds,
        "top_1": accuracies,
    }


def _make_room(out: Path, *, force: bool) -> None:
    """An empty directory at `out`; with `force` an earlier demo is removed, and nothing else ever is."""
    if out.exists() and not out.is_dir():
        raise OutputExists(f"{out} is a file; give another place with --out.")
    if out.is_dir() and any(out.iterdir()):
        if not (out / SETTINGS).is_file():
            raise OutputExists(f"{out} is not empty and has no demo; give another place with --out.")
        if not force:
            raise OutputExists(f"{out} has a demo already; add --force to replace it, or give another --out.")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)


def _settings_file(size: DemoSize) -> str:
    """As TOML, which writes these values as JSON does."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in size.settings.items()]
    return "\n".join(["# Settings of the demo; `prodrec train visual --settings` explains every key.", *lines, ""])


def _run(step: str, out: Path) -> None:
    """Print a command and run it in `out`, with its output where ours goes."""
    console.print(f"\n$ prodrec {step}")
    sys.stdout.flush()
    sys.stderr.flush()
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "prodrec", *shlex.split(step)]
    # With --json our standard output has one object alone: the output of the commands goes to standard error.
    stdout = 2 if console.json_mode() else None
    process = subprocess.Popen(command, cwd=out, env=os.environ | {"PYTHONPATH": path}, stdout=stdout)
    if (code := _wait(process)) in (130, -signal.SIGINT, -signal.SIGTERM):
        again = f"prodrec {step}{' --resume' if step.startswith('train') else ''}"
        raise Interrupted(f"the demo was interrupted; continue in {out} with `{again}`.")
    if code:
        raise ProdrecError(f"`prodrec {step}` in {out} ended with exit code {code}; its own message is above.")


def _wait(process: subprocess.Popen[bytes]) -> int:
    """The command's exit code. Ctrl-C reaches the command by itself and SIGTERM is handed on: it saves what it has."""
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
    finally:
        signal.signal(signal.SIGTERM, before)


def _accuracies(out: Path) -> dict[str, dict[str, Any]]:
    """Return top-1 in percent by group, metric and run, with intervals and the gain of sicot over visual."""
    from prodrec.eval.report.evaluate import evaluate_scores

    report = evaluate_scores(
        [out / "scores" / "visual.h5", out / "scores" / "sicot.h5"], tops=[1], by_head_tail=True
    ).as_json()
    return {
        f"{row['group']} {row['metric']}": row["cells"]
        for row in report["rows"]
        if row["section"] in ("overall", "head and tail")
    }


def _print_end(out: Path, accuracies: dict[str, dict[str, Any]], seconds: float, *, quick: bool) -> None:
    console.print(
        f"\nDone in {seconds:.0f} s. Titles were used in training only; both models were tested on photos alone."
    )
    if quick:
        console.print("--quick trains too briefly for the results to mean anything.")
    for name, cells in accuracies.items():
        visual, sicot = cells["visual"], cells["sicot"]
        if visual is None or sicot is None:
            continue
        gain = sicot["gain"]
        clear = gain["low"] > 0 or gain["high"] < 0
        console.print(
            f"{name:<18} visual {visual['value']:5.1f} %  sicot {sicot['value']:5.1f} %  gain {gain['value']:+5.1f} "
            f"[{gain['low']:+.1f}, {gain['high']:+.1f}]{'' if clear else ', which may be chance'}"
        )
    console.print(
        f"""
One run of each on a small drawn catalogue shows the way, not the worth of a method: README.md has measured results.

Go on by yourself: cd {out}
  report/ has the figures, dataset/long-tail.png the long tail, dataset/rejected.csv what was wrong with the table
  prodrec inspect dataset                        what is in the dataset
  prodrec pretrain-embeddings --neighbours cup   which words are near to each other
  prodrec report --by-level --by-leaf            every level, every kind
  prodrec train sicot --settings                 every setting, then --set KEY=VALUE and --out runs/mine
With your own table: prodrec prepare products.csv --images photos/"""
    )
