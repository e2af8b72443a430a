"""How much a leaking split flatters: products with three photos each, split by product and split by photo.

    python examples/leak/leak.py OUT [--seeds 5]

Draws a catalogue and two further views of every photo. `prodrec prepare` keeps the photos of a product in one split.
With `--group-by none` it does not know products, and most test photos show a product that is also in the training
split. The same model, one hidden layer over reduced photos, is trained on both datasets.
"""

from __future__ import annotations

import argparse
import csv
import random
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

import prodrec
from prodrec.core.data.tables.columns import AUTO_GROUPS, NO_GROUPS
from prodrec.demo.catalogue import draw_catalogue

SIDE = 20
"""Side in pixels of the reduced photos that are the feature vectors: training then takes seconds."""

SETTINGS = {
    "embed": 512,
    "operating_points": "none",  # the classifier alone
    "optimizer": "adamw",
    "lr": 0.002,
    "weight_decay": 0.05,
    "schedule": "cosine",
    "batch_size": 64,
    "epochs": 40,
}
DATASETS = {"by product": AUTO_GROUPS, "by photo": NO_GROUPS}


def draw_views(photo: Path, seed: str) -> list[str]:
    """Write two further views of a photo, nearer and in another light. Return the names of all three."""
    names = [photo.name]
    with Image.open(photo) as image:
        for number in (2, 3):
            rng = random.Random(f"{seed} {photo.name} {number}")
            side = round(image.width * rng.uniform(0.7, 0.85))
            left, top = rng.randint(0, image.width - side), rng.randint(0, image.height - side)
            view = image.convert("RGB").crop((left, top, left + side, top + side)).resize(image.size)
            view = ImageEnhance.Brightness(view).enhance(rng.uniform(0.75, 1.2))
            names.append(f"{photo.stem}-{number}.jpg")
            view.save(photo.with_name(names[-1]), quality=88)
    return names


def draw(directory: Path, products: int) -> Path:
    """Draw a catalogue in which every product has three rows, one for each photo, and return its table."""
    drawn = draw_catalogue(directory, products=products, leaves=29, size=96, dirt=False)
    with drawn.table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows = [{**row, "image": name} for row in rows for name in draw_views(drawn.photos / row["image"], row["id"])]
    with drawn.table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return drawn.table


def reduced_photos(table: Path, photos: Path) -> NDArray[np.float32]:
    """Return the vectors of the rows of a table: their photos at SIDE × SIDE pixels, float32 [rows, SIDE² · 3]."""
    with table.open(encoding="utf-8", newline="") as stream:
        names = [row["image"] for row in csv.DictReader(stream)]
    vectors = []
    for name in names:
        with Image.open(photos / name) as image:
            vectors.append(np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)).ravel())
    pixels: NDArray[np.float32] = np.stack(vectors).astype(np.float32)
    return (pixels - np.float32(128)) / np.float32(64)


def accuracies(scores: Path) -> dict[str, float]:
    """Return ACC and MACC of the leaf on the test split, top-1 in percent."""
    rows = prodrec.report(scores, top=[1]).as_json()["rows"]
    return {
        row["metric"]: next(iter(row["cells"].values()))["value"]
        for row in rows
        if row["section"] == "overall" and row["top"] == 1
    }


def main() -> None:
    """Draw, prepare twice, train for every seed, and print the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--products", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    out: Path = arguments.out
    table = draw(out / "catalogue", arguments.products)
    np.save(out / "vectors.npy", reduced_photos(table, out / "catalogue" / "photos"))
    for name, group_by in DATASETS.items():
        directory = out / name.replace(" ", "-")
        prodrec.prepare(table, features=out / "vectors.npy", out=directory / "dataset", group_by=group_by)
        results = []
        for seed in range(arguments.seeds):
            run = directory / f"seed-{seed}"
            prodrec.train("visual", directory / "dataset", out=run, settings={**SETTINGS, "seed": seed}, preset="paper")
            prodrec.score(run, directory / "dataset", out=directory / f"seed-{seed}.h5")
            results.append(accuracies(directory / f"seed-{seed}.h5"))
        for metric in results[0]:
            values = [result[metric] for result in results]
            spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
            print(f"split {name}: {metric} {mean(values):.1f}{spread}", flush=True)


if __name__ == "__main__":
    main()
