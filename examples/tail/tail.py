"""Where titles help the tail: SKU-like classes that share words, trained with and without titles, scored by photo.

    python examples/tail/tail.py DATA WEIGHTS [--classes brand,colour] [--arms visual,words] [--seeds 0,1,2]

DATA is a folder with products.csv (id, image, title, leaf, gender, baseColour) and images.tar, WEIGHTS a file of
mobilenet_v2 pretrained on ImageNet. Classes are a leaf with a brand (the first word of the title) and a gender, with a
colour and a gender, or with all of them; those with fewer than four products are left out.

Every step is a prodrec command, which is printed before it runs. Finished steps are kept: after an interruption, run
the same line again. `compare_arms.py` writes the tables of all runs that are scored.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import compare_arms
import polars as pl

FEWEST_PRODUCTS = 4
"""Classes with fewer products are left out: they could not be in all three splits."""
CLASSES = {
    "brand": ("brand", "gender"),
    "colour": ("baseColour", "gender"),
    "all": ("brand", "baseColour", "gender"),
}
"""What a class has in addition to its leaf."""
SICOT = {"titles": "bilinear", "title_loss_weight": "0.3", "word_dropout": "0.5"}
ARMS = {
    "visual": ("visual", {}),
    "words": ("words", {}),
    "words-beyond-class": ("words", {"word_targets": "beyond-class"}),
    "words-idf": ("words", {"word_target_weights": "idf"}),
    "sicot": ("sicot", SICOT),
    "sicot-sum": ("sicot", {**SICOT, "mixing": "sum"}),
    "both": ("words", SICOT),
}
"""Family and settings of every way of training."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with products.csv and images.tar")
    parser.add_argument("weights", type=Path, help="pretrained weights of mobilenet_v2")
    parser.add_argument("--classes", default="brand,colour", help=f"any of {', '.join(CLASSES)} (brand,colour)")
    parser.add_argument("--arms", default="visual,words,sicot,both", help=f"any of {', '.join(ARMS)}")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated seeds (0,1,2)")
    parser.add_argument("--out", type=Path, default=Path("tail"), help="folder for all results (tail)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds.split(","):
        for classes in options.classes.split(","):
            dataset = make_dataset(options.data, classes, options.out)
            for arm in options.arms.split(","):
                train(arm, classes, dataset, seed, options.weights, options.out)
                compare_arms.write(options.out)


def make_dataset(data: Path, classes: str, out: Path) -> Path:
    """Write the table of SKU-like classes, prepare it, and return the dataset."""
    dataset = out / f"dataset-{classes}"
    if not dataset.exists():
        table = pl.read_csv(data / "products.csv", infer_schema_length=0)
        table = table.rename({"leaf": "category"}).with_columns(
            pl.col("title").str.split(" ").list.first().alias("brand")
        )
        parts = [pl.col("category"), *map(pl.col, CLASSES[classes])]
        table = table.with_columns(pl.concat_str(parts, separator=" · ").alias("sku")).drop_nulls("sku")
        common = table.group_by("sku").len().filter(pl.col("len") >= FEWEST_PRODUCTS)
        path = out / f"products-{classes}.csv"
        table.join(common, on="sku", how="semi", maintain_order="left").write_csv(path)
        images = data / "images.tar"
        run("prepare", path, "--images", images, "--levels", "category,sku", "--title", "title", "--out", dataset)
    return dataset


def train(arm: str, classes: str, dataset: Path, seed: str, weights: Path, out: Path) -> None:
    """Train and score one network, unless its scores exist."""
    family, settings = ARMS[arm]
    name = f"{classes}-{arm}-{seed}"
    if all(compare_arms.scores_file(out, name, point).exists() for point in compare_arms.POINTS):
        return
    options = ["--preset=paper", "--config", Path(__file__).with_name("tail.toml")]
    options += [f"--set={key}={value}" for key, value in {**settings, "weights": weights, "seed": seed}.items()]
    run_path = out / "runs" / name
    run("train", family, dataset, "--out", run_path, *options, "--auto-resume")
    points = ",".join(compare_arms.POINTS)
    run("score", run_path.absolute(), dataset.absolute(), "--operating-point", points, "--force", folder=out)


def run(*words: object, folder: Path | None = None) -> None:
    """Print and run a command of prodrec, in a folder. Exit if it fails."""
    line = ["prodrec", *map(str, words)]
    print(shlex.join(line), flush=True)
    if code := subprocess.run([sys.executable, "-m", *line], cwd=folder, check=False).returncode:
        sys.exit(code)


if __name__ == "__main__":
    main()
