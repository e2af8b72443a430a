"""Where titles help: a map over photos a class, words that classes share, and what titles say beyond the class.

    python examples/tail/draw_map.py [--arms words,sicot] [--seeds 0,1,2] [--out map]

Every point is a drawn catalogue of 200 classes. A class is a combination of three words; each word has a direction in a
latent space, which the products of all its classes share, and a class has a direction of its own. A product also has
three properties that do not depend on its class; its title names `beyond` of them. A photo is a feature vector: the
latent vector after a fixed random network, plus noise. A network with one hidden layer learns to recognise the class
from the vector alone, as `visual` and with the titles in training.

OUT/map.md has the gain over `visual` at every point, in points of top-1 on a test split of ten photos a class: mean ±
standard deviation over the seeds, the classifier alone. Finished points are kept: after an interruption, run the same
line again.

Shapes: N rows, C classes, D numbers of the latent vector, F of a feature vector.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import prodrec
from prodrec.core.scores.reader import open_scores

CLASSES, WORDS_OF_A_CLASS, PROPERTIES, STATES = 200, 3, 3, 10
"""Classes, words that a class combines, properties of a product, and words that name the states of a property."""
LATENT, FEATURES = 64, 128
LENGTHS = {"word": 0.5, "own": 0.3, "property": 1.0, "noise": 1.2}
"""Lengths of the summands of a latent vector; `noise` differs from row to row."""
VALIDATION, TEST = 5, 10
"""Photos of a class in these splits."""
PHOTOS, SHARED, BEYOND = (2, 5, 20, 80), (1, 4, 20), (0, 1, 3)
"""Training photos of a class, classes with the same word, and properties that a title names: the axes of the map."""
USUAL_SHARED, USUAL_BEYOND = 20, 3
STEPS, BATCH_SIZE, SMALLEST_BATCH, MAX_EPOCHS = 1000, 128, 16, 30
SETTINGS: dict[str, Any] = {
    "embed_hidden": 256,
    "embed": 128,
    "dropout": 0.2,
    "optimizer": "adamw",
    "lr": 0.002,
    "weight_decay": 0.02,
    "schedule": "cosine",
    "warmup_epochs": 0.5,
    "operating_points": "none",
}
TITLES = {"titles": "bilinear", "word_vectors": "random", "title_loss_weight": 0.3, "word_dropout": 0.5}
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "visual": ("visual", {}),
    "words": ("words", {}),
    "sicot": ("sicot", TITLES),
    "both": ("words", TITLES),
}
"""Family and settings of every way of training."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", default="words,sicot", help=f"any of {', '.join(ARMS)} (words,sicot)")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated seeds (0,1,2)")
    parser.add_argument("--out", type=Path, default=Path("map"), help="folder for the results (map)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    arms = ["visual", *options.arms.split(",")]
    for seed, arm in itertools.product(options.seeds.split(","), arms):
        for photos, shared, beyond in points():
            measure(options.out, arm, int(seed), photos, shared, beyond)
            write_map(options.out)


def points() -> list[tuple[int, int, int]]:
    """Return the points of both maps, as photos, shared and beyond."""
    over_shared = itertools.product(PHOTOS, SHARED, (USUAL_BEYOND,))
    over_beyond = itertools.product(PHOTOS, (USUAL_SHARED,), BEYOND)
    return list(dict.fromkeys([*over_shared, *over_beyond]))


def measure(out: Path, arm: str, seed: int, photos: int, shared: int, beyond: int) -> None:
    """Train and test one network, and add a line to results.csv, unless it is there."""
    key = (arm, seed, photos, shared, beyond)
    if key in read_results(out):
        return
    folder = out / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    draw(folder, photos=photos, shared=shared, beyond=beyond, seed=seed)
    prodrec.prepare(folder / "products.csv", features=folder / "features.npy", out=folder / "dataset")
    family, settings = ARMS[arm]
    rows = photos * CLASSES
    batch_size = max(SMALLEST_BATCH, min(BATCH_SIZE, rows * MAX_EPOCHS // STEPS))
    epochs = float(min(MAX_EPOCHS, np.ceil(STEPS * batch_size / rows)))
    settings = {**SETTINGS, **settings, "batch_size": batch_size, "epochs": epochs, "seed": seed}
    prodrec.train(family, folder / "dataset", out=folder / "run", settings=settings, preset="paper", workers=0)
    (file,) = prodrec.score(folder / "run", folder / "dataset", out=folder / "scores.h5", split="test", workers=0).files
    with open_scores(file) as scores:
        correct = [chunk.scores["leaf"].argmax(1) == chunk.labels_RL[:, -1] for chunk in scores.chunks()]
    with (out / "results.csv").open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerow([*key, f"{np.concatenate(correct).mean():.5f}"])


def draw(folder: Path, *, photos: int, shared: int, beyond: int, seed: int) -> None:
    """Write products.csv (id, title, leaf, split) and features.npy of a catalogue."""
    rng = np.random.default_rng([seed, shared])
    word_CW = np.stack([rng.permutation(CLASSES) // shared for _ in range(WORDS_OF_A_CLASS)], 1)
    directions_WVD = draw_directions(rng, WORDS_OF_A_CLASS, CLASSES)
    latent_CD = LENGTHS["word"] * sum(directions_WVD[w, word_CW[:, w]] for w in range(WORDS_OF_A_CLASS))
    latent_CD = latent_CD + LENGTHS["own"] * draw_directions(rng, CLASSES)
    state_directions = draw_directions(rng, PROPERTIES, STATES)
    first_DF, second_FF = rng.standard_normal((LATENT, FEATURES)), rng.standard_normal((FEATURES, FEATURES))

    counts = {"train": photos, "validation": VALIDATION, "test": TEST}
    class_N = np.concatenate([np.repeat(np.arange(CLASSES), count) for count in counts.values()])
    split_N = np.repeat(list(counts), [count * CLASSES for count in counts.values()])
    state_NP = rng.integers(0, STATES, (len(class_N), PROPERTIES))
    latent_ND = latent_CD[class_N] + LENGTHS["noise"] * draw_directions(rng, len(class_N))
    latent_ND += LENGTHS["property"] * sum(state_directions[p, state_NP[:, p]] for p in range(PROPERTIES))
    vector_NF = np.tanh(1.5 * latent_ND @ first_DF) @ second_FF / FEATURES**0.5
    np.save(folder / "features.npy", vector_NF.astype(np.float16))
    titles = [
        " ".join([
            *(f"w{w}x{word_CW[label, w]}" for w in range(WORDS_OF_A_CLASS)),
            *(f"p{p}x{state_NP[row, p]}" for p in range(beyond)),
        ])
        for row, label in enumerate(class_N)
    ]  # fmt: skip
    leaves = [f"class {label}" for label in class_N]
    rows = {"id": np.arange(len(class_N)), "title": titles, "leaf": leaves, "split": split_N}
    pl.DataFrame(rows).write_csv(folder / "products.csv")


def draw_directions(rng: np.random.Generator, *counts: int) -> NDArray[np.float64]:
    """Return Gaussian vectors of root mean square length 1, [*counts, D]."""
    return rng.standard_normal((*counts, LATENT)) / math.sqrt(LATENT)


def read_results(out: Path) -> dict[tuple[str, int, int, int, int], float]:
    """Return the top-1 accuracies measured so far, by arm, seed, photos, shared and beyond."""
    path = out / "results.csv"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as stream:
        return {(arm, *map(int, key)): float(top1) for arm, *key, top1 in csv.reader(stream)}  # type: ignore[misc]


def write_map(out: Path) -> None:
    """Write map.md: for every arm a table of its gains over `visual`."""
    results = read_results(out)
    lines = ["# Where titles help, on drawn catalogues\n"]
    for arm in ("visual", *(arm for arm in ARMS if arm != "visual" and any(key[0] == arm for key in results))):
        what = "Top-1 in % of `visual`" if arm == "visual" else f"Gain of `{arm}` over `visual`, in points of top-1"
        lines += [f"{what}:\n", f"| | {' | '.join(f'{photos} photos a class' for photos in PHOTOS)} |"]
        lines.append("| --- |" + " --- |" * len(PHOTOS))
        rows = [(shared, USUAL_BEYOND) for shared in SHARED] + [(USUAL_SHARED, b) for b in BEYOND if b != USUAL_BEYOND]
        for shared, beyond in rows:
            cells = [cell(results, arm, (photos, shared, beyond)) for photos in PHOTOS]
            named = f"{shared} classes share a word, titles name {beyond} of {PROPERTIES} properties"
            lines.append(f"| {named} | {' | '.join(cells)} |")
        lines.append("")
    (out / "map.md").write_text("\n".join(lines), "utf-8")


def cell(results: dict[tuple[str, int, int, int, int], float], arm: str, point: tuple[int, int, int]) -> str:
    """Return the accuracy of `visual`, or the gain of another arm, at a point of the map."""
    values = []
    for (its_arm, seed, *its_point), top1 in results.items():
        baseline = results.get(("visual", seed, *point))
        if its_arm == arm and tuple(its_point) == point and baseline is not None:
            values.append(100 * (top1 if arm == "visual" else top1 - baseline))
    if not values:
        return ""
    sign = "" if arm == "visual" else "+"
    return f"{np.mean(values):{sign}.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
