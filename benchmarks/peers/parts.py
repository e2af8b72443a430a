"""Train, predict and keep one part of the comparison: an arm with a seed. A finished part is not computed again.

OUT/parts/ARM-SEED/train.log predict.log      the output of the commands
OUT/parts/ARM-SEED/train.json                 minutes and peak_gb of the training
OUT/parts/ARM-SEED/predictions-POINT.csv      photo and class of every test photo, for each row of the table
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from peers.measured_process import Cost, run_measured
from prodrec.core.scores.reader import open_scores

BENCHMARKS = Path(__file__).parents[1]
Steps = tuple[Callable[[], Cost], Callable[[str], object]]
"""A function that trains, and one that predicts for one row of the table."""


@dataclass(frozen=True)
class Arm:
    """A way of training, and the files of its predictions.

    rows:    name of each row of the table, by the name of its predictions
    library: the library that is compared, as in `--LIBRARY-python`; prodrec needs no other interpreter
    module:  the module of `peers` that trains it
    recipe:  its `--recipe`
    """

    rows: dict[str, str]
    library: str
    module: str = ""
    recipe: str = ""


ARMS = {
    "prodrec": Arm(
        {"natural": "prodrec, natural", "balanced": "prodrec, balanced", "plain": "prodrec, plain"}, "prodrec"
    ),
    "timm": Arm({"test": "timm, defaults of train.py"}, "timm", "train_timm", "default"),
    "timm-tuned": Arm({"test": "timm, tuned"}, "timm", "train_timm", "tuned"),
    "ultralytics": Arm({"test": "Ultralytics classify"}, "ultralytics", "train_ultralytics"),
    "autogluon": Arm({"test": "AutoGluon medium_quality"}, "autogluon", "train_autogluon"),
}


@dataclass(frozen=True)
class Comparison:
    """What all parts have in common.

    dataset:          the prepared dataset
    photos:           its photos in folders, see `export_photos`
    weights:          torchvision's mobilenet_v2, pretrained on ImageNet
    out:              the folder for all results
    minutes:          time of each training
    image_size:       side of the peers' photos
    workers:          processes that load the peers' photos
    interpreters:     the Python interpreter of each library
    autogluon_epochs: epochs that AutoGluon plans; None is its default
    """

    dataset: Path
    photos: Path
    weights: Path
    out: Path
    minutes: float
    image_size: int
    workers: int
    interpreters: dict[str, str]
    autogluon_epochs: int | None


def run_part(comparison: Comparison, name: str, seed: int) -> dict[str, Path]:
    """Train and predict what is missing of a part, and return its predictions by name. Raise CommandFailed."""
    arm, folder = ARMS[name], comparison.out / "parts" / f"{name}-{seed}"
    train, predict = _prodrec_steps(comparison, seed, folder)
    if arm.library != "prodrec":
        train, predict = _peer_steps(comparison, arm, seed, folder)
    cost_file = folder / "train.json"
    if not cost_file.exists():
        shutil.rmtree(folder, ignore_errors=True)  # of an interrupted training
        folder.mkdir(parents=True)
        cost_file.write_text(json.dumps(asdict(train())))
    predictions = {point: predictions_file(folder, point) for point in arm.rows}
    for point, file in predictions.items():
        if not file.exists():
            predict(point)
    return predictions


def predictions_file(folder: Path, point: str) -> Path:
    """Return the file of the predictions of a part. `point` is an operating point of prodrec, or `test`."""
    return folder / f"predictions-{point}.csv"


def _prodrec_steps(comparison: Comparison, seed: int, folder: Path) -> Steps:
    """Return the functions that train and predict with prodrec. The weights are the only setting beside the seed."""
    prodrec, dataset, run = [sys.executable, "-m", "prodrec"], str(comparison.dataset), str(folder / "run")

    def train() -> Cost:
        line = ["train", "visual", dataset, "--out", run, "--time", f"{comparison.minutes:g}m"]
        settings = [f"--set=weights={comparison.weights}", f"--set=seed={seed}"]
        return run_measured([*prodrec, *line, *settings], log=folder / "train.log", environment=os.environ)

    def predict(point: str) -> None:
        scores = folder / f"{point}.h5"
        line = ["score", run, dataset, "--split", "test", "--operating-point", point, "--out", str(scores), "--force"]
        run_measured([*prodrec, *line], log=folder / "predict.log", environment=os.environ)
        write_best_classes(scores, predictions_file(folder, point))

    return train, predict


def _peer_steps(comparison: Comparison, arm: Arm, seed: int, folder: Path) -> Steps:
    """Return the functions that train and predict with a peer, in processes of its interpreter."""
    home = comparison.out / "home"
    (home / "ultralytics").mkdir(parents=True, exist_ok=True)
    offline = {"YOLO_OFFLINE": "true", "HF_HUB_OFFLINE": "1", "YOLO_CONFIG_DIR": str(home / "ultralytics")}
    environment = {**os.environ, **offline, "PYTHONPATH": str(BENCHMARKS)}

    def run(step: str) -> Cost:
        values: dict[str, object] = {
            "photos": comparison.photos,
            "weights": comparison.weights,
            "out": folder,
            "predictions": predictions_file(folder, "test"),
            "recipe": arm.recipe,
            "seconds": 60 * comparison.minutes,
            "started": time.time(),
            "seed": seed,
            "image-size": comparison.image_size,
            "workers": comparison.workers,
        }
        if arm.library == "autogluon" and comparison.autogluon_epochs is not None:
            values["epochs"] = comparison.autogluon_epochs
        line = [comparison.interpreters[arm.library], "-m", f"peers.{arm.module}", step]
        line += [f"--{key}={value}" for key, value in values.items()]
        return run_measured(line, log=folder / f"{step}.log", environment=environment)

    return lambda: run("train"), lambda point: run("predict")


def write_best_classes(scores: Path, path: Path) -> None:
    """Write the leaf with the largest score of every test photo of a scores file of prodrec that has a leaf."""
    with open_scores(scores) as opened, path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("photo", "class"))
        leaf = opened.levels[-1]
        for chunk in opened.chunks(split="test", levels=(leaf,)):
            has_leaf_R = chunk.labels_RL[:, -1] >= 0
            classes_R = chunk.scores[leaf].argmax(1)
            writer.writerows(zip(chunk.rows_R[has_leaf_R].tolist(), classes_R[has_leaf_R].tolist(), strict=True))
