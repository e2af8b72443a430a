"""`prodrec demo`: draw a small catalogue and run all steps on it, by the commands that a user would type."""

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

import prodrec.demo
from prodrec.core.base import console
from prodrec.core.base.errors import Interrupted, OutputExists, ProdrecError
from prodrec.core.base.streams import MESSAGES, RESULTS

SETTINGS_FILE = "demo.toml"
Setting = str | int | float | list[float]


@dataclass(frozen=True)
class DemoPreset:
    """The catalogue that the demo draws, and the settings of training that it writes to demo.toml.

    products, leaves: numbers of products and of leaves of the catalogue
    pixels:           width and height of a photo
    """

    products: int
    leaves: int
    pixels: int
    settings: dict[str, Setting]


WEIGHTS = Path(prodrec.demo.__file__).with_name("shapes.safetensors")
"""Weights of a small backbone that recognises random shapes, none of them in the demo. `examples/shapes/pretrain.py`
made them. They serve the demo as weights of ImageNet serve real photos."""
COMMON_SETTINGS: dict[str, Setting] = {
    "backbone": "shufflenet_v2_x0_5",
    "weights": str(WEIGHTS),
    "crop_area": [0.6, 1.0],
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "schedule": "cosine",
}
FULL = DemoPreset(
    products=2400,
    leaves=29,
    pixels=96,
    settings={
        **COMMON_SETTINGS,
        "image_size": "64",
        "lr": 0.003,
        "batch_size": 64,
        "epochs": 8,
        "warmup_epochs": 1,
    },
)
QUICK = DemoPreset(
    products=120,
    leaves=6,
    pixels=48,
    settings={**COMMON_SETTINGS, "image_size": "32", "lr": 0.002, "batch_size": 16, "epochs": 4},
)

PREPARE = "prepare products.csv --images photos/ --size 64 --attributes colour,pattern,material"
PRETRAIN = "pretrain-embeddings --deterministic --neighbours handbag --neighbours 运动鞋"
TRAIN = (
    f"train visual --config {SETTINGS_FILE}",
    f"train sicot --config {SETTINGS_FILE} --set weights=runs/visual --set epochs=4 --set lr=0.001",
)
SCORE = "score --operating-point plain,natural,balanced"
FEW = 10
COLUMNS = {
    "plain": "visual@plain.h5",
    "natural": "visual.h5",
    "balanced": "visual@balanced.h5",
    "sicot balanced": "sicot@balanced.h5",
}
"""The columns of the last table, and their scores files. The first one is the classifier alone."""
REPORT = (
    f"report {' '.join(f'scores/{name}' for name in COLUMNS.values())} --by-head-tail --few {FEW} --figures report/"
)
STEPS = (PREPARE, PRETRAIN, *TRAIN, SCORE, REPORT)


def demo(out: Path, *, quick: bool = False, force: bool = False) -> dict[str, Any]:
    """Run the demo in the directory `out` and return its counts, commands, seconds and accuracies.

    quick: draw fewer products and train for a short time only
    force: replace an earlier demo at `out`

    Raise OutputExists if `out` is taken, Interrupted after Ctrl-C, ProdrecError if a command fails.
    """
    from prodrec.demo.catalogue import draw_catalogue

    out, preset = Path(out), QUICK if quick else FULL
    _create_directory(out, force=force)
    started = time.monotonic()
    (out / SETTINGS_FILE).write_text(_settings_file(preset), "utf-8")
    drawn = draw_catalogue(out, products=preset.products, leaves=preset.leaves, size=preset.pixels)
    seconds = {"draw": round(time.monotonic() - started, 1)}
    console.print(
        f"Drew {out}/products.csv, {drawn.rows:,} products of {preset.leaves} leaves, and {out}/photos/.\n"
        f"As in a real catalogue, {sum(drawn.rejected.values())} rows are unusable, {drawn.duplicate_groups} photos "
        f"occur twice, and a leaf has two parents.\n{out}/{SETTINGS_FILE} contains the settings of a small network."
    )
    for step in STEPS:
        step_started = time.monotonic()
        _run(step, out)
        seconds[step] = round(time.monotonic() - step_started, 1)
    seconds["all"] = round(time.monotonic() - started, 1)
    accuracies = _accuracies(out)
    _print_summary(out, accuracies, seconds["all"], quick=quick)
    return {
        "demo": str(out),
        "quick": quick,
        "rows": drawn.rows,
        "rejected": drawn.rejected,
        "commands": [f"prodrec {step}" for step in STEPS],
        "seconds": seconds,
        "top_1": accuracies,
    }


def _create_directory(out: Path, *, force: bool) -> None:
    """Create the empty directory `out`. With `force`, remove an earlier demo; never remove anything else."""
    if out.exists() and not out.is_dir():
        raise OutputExists(f"{out} is a file; give another place with --out.")
    if out.is_dir() and any(out.iterdir()):
        if not (out / SETTINGS_FILE).is_file():
            raise OutputExists(f"{out} is not empty and has no demo; give another place with --out.")
        if not force:
            raise OutputExists(f"{out} has a demo already; add --force to replace it, or give another --out.")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)


def _settings_file(preset: DemoPreset) -> str:
    """Return the text of demo.toml. TOML writes these values as JSON does."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in preset.settings.items()]
    return "\n".join(["# Settings of the demo; `prodrec train visual --settings` explains every key.", *lines, ""])


def _run(step: str, out: Path) -> None:
    """Print a command and run it in `out`. Its output goes to standard output, or with --json to standard error."""
    console.print(f"\n$ prodrec {step}")
    RESULTS.flush()
    MESSAGES.flush()
    source = str(Path(__file__).resolve().parents[2])  # the directory that contains the package
    path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "prodrec", *shlex.split(step)]
    # With --json, standard output contains nothing but one JSON object.
    stdout = 2 if console.json_mode() else None
    process = subprocess.Popen(command, cwd=out, env=os.environ | {"PYTHONPATH": path}, stdout=stdout)
    if (code := _wait(process)) in (130, -signal.SIGINT, -signal.SIGTERM):
        resume = f"prodrec {step}{' --resume' if step.startswith('train') else ''}"
        raise Interrupted(f"the demo was interrupted; continue in {out} with `{resume}`.")
    if code:
        raise ProdrecError(f"`prodrec {step}` in {out} ended with exit code {code}; its error is printed above.")


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the command and return its exit code.

    Ctrl-C reaches the command by itself, and SIGTERM is passed on; the command then saves a checkpoint and exits.
    """
    previous_handler = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
    finally:
        signal.signal(signal.SIGTERM, previous_handler)


def _accuracies(out: Path) -> dict[str, dict[str, Any]]:
    """Return top-1 in percent by group and metric, by the names of COLUMNS, with intervals and the gain over plain."""
    from prodrec.eval.report.evaluate import evaluate_scores
    from prodrec.eval.report.leaf_groups import Thresholds

    report = evaluate_scores(
        [out / "scores" / name for name in COLUMNS.values()],
        tops=[1],
        by_head_tail=True,
        thresholds=Thresholds(few=FEW),
    ).as_json()
    names = dict(zip((column["name"] for column in report["columns"]), COLUMNS, strict=True))
    return {
        f"{row['group']} {row['metric']}": {names[name]: cell for name, cell in row["cells"].items()}
        for row in report["rows"]
        if row["section"] in ("overall", "head and tail") or row["group"].startswith("few")
    }


def _print_summary(out: Path, accuracies: dict[str, dict[str, Any]], seconds: float, *, quick: bool) -> None:
    console.print(
        f"\nDone in {seconds:.0f} s. Titles were used in training only; all models were tested on photos alone.\n"
        "plain is the classifier alone. natural and balanced let the nearest training photos vote as well:\n"
        "natural for photos as they come, balanced where every class matters equally."
    )
    if quick:
        console.print("With --quick training is too short for the results to mean anything.")
    console.print(f"{'top-1 in %':<22}" + "".join(f"{name:>16}" for name in COLUMNS))
    for group, cells in accuracies.items():
        values = (cells[name] for name in COLUMNS)
        texts = ["n/a" if cell is None else f"{cell['value']:.1f}" for cell in values]
        console.print(f"{group:<22}" + "".join(f"{text:>16}" for text in texts))
    console.print(
        f"""
This is one run of each on a small drawn catalogue; the report above has the intervals. README.md has results on real
products.

Next steps: cd {out}
  report/                                            plots of the report
  dataset/long-tail.png                              training images of every leaf
  dataset/rejected.csv                               the rejected rows and the reasons
  prodrec predict sicot photos/P000002.jpg           the class of a photo, with a probability at every level
  prodrec serve sicot                                a page that recognises photos, at http://127.0.0.1:8000
  prodrec inspect dataset                            the summary of the dataset
  prodrec pretrain-embeddings --neighbours handbag   the words nearest to a word
  prodrec report --by-level --by-leaf                every level, every leaf
  prodrec train sicot --settings                     every setting; change them with --set KEY=VALUE --out runs/mine
With your own table: prodrec prepare products.csv --images photos/"""
    )
