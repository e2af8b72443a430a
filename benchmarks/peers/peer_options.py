"""What the `train_…` modules of the peers have in common: their command line and the file of predictions."""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PeerOptions:
    """The command line of a peer.

    step:        train or predict
    photos:      the folder that `export_photos` wrote
    weights:     torchvision's mobilenet_v2, pretrained on ImageNet
    out:         the folder of this training
    predictions: the file that `predict` writes
    recipe:      the recipe of timm; other peers have none
    seconds:     time of the training, from `started`
    started:     time of the start of the command, as time.time() returns it
    image_size:  side of photos in pixels
    workers:     processes that load photos
    epochs:      epochs that AutoGluon plans; None is its default
    """

    step: str
    photos: Path
    weights: Path
    out: Path
    predictions: Path
    recipe: str
    seconds: float
    started: float
    seed: int
    image_size: int
    workers: int
    epochs: int | None

    @property
    def seconds_left(self) -> float:
        """Return the seconds of the training that are left, at least 1."""
        return max(1.0, self.seconds - (time.time() - self.started))

    @property
    def class_folders(self) -> list[str]:
        """Return the names of the folders of all classes, in order of the classes."""
        return (self.photos / "class_map.txt").read_text("utf-8").split()


def read_options() -> PeerOptions:
    """Read the options from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=("train", "predict"))
    for name in ("photos", "weights", "out", "predictions"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--recipe", default="")
    for name in ("seconds", "started"):
        parser.add_argument(f"--{name}", type=float, required=True)
    for name in ("seed", "image-size", "workers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--epochs", type=int)
    return PeerOptions(**vars(parser.parse_args()))


def write_predictions(path: Path, photos: Iterable[str], classes: Iterable[int]) -> None:
    """Write the predicted classes. `photos` are the names of the photos' files, as `export_photos` gave them."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("photo", "class"))
        writer.writerows((Path(photo).stem, leaf) for photo, leaf in zip(photos, classes, strict=True))
