"""How well classes without photos are recognised by the words of their titles: a fifth of the classes is hidden.

    python examples/tail/hide_classes.py DATA WEIGHTS [--classes colour] [--seeds 0,1,2] [--bonuses 0,1,2]

DATA and WEIGHTS are those of `tail.py`, and so are the classes. The table without the products of the hidden classes is
prepared and `words` trained on it; then the hidden classes are added to the run by their titles, with
`prodrec add-classes`. Printed are the shares of the test photos of hidden and of known classes whose class is the best,
or among the best five, before the classes are added and afterwards, and by chance.

Every step is a prodrec command, which is printed before it runs. Finished steps are kept: after an interruption, run
the same line again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from tail import CLASSES, make_dataset, run

from prodrec.core.scores.reader import open_scores

HIDDEN_SHARE = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with products.csv and images.tar")
    parser.add_argument("weights", type=Path, help="pretrained weights of mobilenet_v2")
    parser.add_argument("--classes", default="colour", choices=sorted(CLASSES), help="kind of classes (colour)")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated seeds (0,1,2)")
    parser.add_argument("--bonuses", default="0,1,2", help="comma-separated values of --bonus (0,1,2)")
    parser.add_argument("--out", type=Path, default=Path("hidden"), help="folder for all results (hidden)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    extended = make_dataset(options.data, options.classes, options.out)
    table = pl.read_csv(options.out / f"products-{options.classes}.csv", infer_schema_length=0)
    for seed in options.seeds.split(","):
        hidden = hide(table, int(seed))
        dataset = make_dataset_without(table, hidden, options.data, options.out / f"known-{options.classes}-{seed}")
        words = options.out / "runs" / f"{options.classes}-words-{seed}"
        settings = ["--preset=paper", "--config", Path(__file__).with_name("tail.toml")]
        settings += [f"--set=weights={options.weights}", f"--set=seed={seed}"]
        if not (words / "operating_points.json").exists():
            run("train", "words", dataset, "--out", words, *settings, "--auto-resume")
        for point in ("natural", "balanced"):
            scores = options.out / "scores" / f"{words.name}@{point}.h5"
            if not scores.exists():
                run("score", words, dataset, "--split=test", "--operating-point", point, "--out", scores)
            print_shares(f"seed {seed}, {point}, before", scores, hidden)
            for bonus in options.bonuses.split(","):
                added = words.with_name(f"{words.name}-bonus-{bonus}")
                if not (added / "operating_points.json").exists():
                    place = ("--trained-on", dataset, "--out", added, "--bonus", bonus, "--force")
                    run("add-classes", words, extended, *place)
                scores = options.out / "scores" / f"{added.name}@{point}.h5"
                if not scores.exists():
                    run("score", added, extended, "--split=test", "--operating-point", point, "--out", scores)
                print_shares(f"seed {seed}, {point}, bonus {bonus}", scores, hidden)


def hide(table: pl.DataFrame, seed: int) -> set[str]:
    """Return the names of the classes that are hidden."""
    names = table["sku"].unique().sort().to_numpy()
    return {*np.random.default_rng(seed).permutation(names)[: round(HIDDEN_SHARE * len(names))].tolist()}


def make_dataset_without(table: pl.DataFrame, hidden: set[str], data: Path, dataset: Path) -> Path:
    """Prepare the products of the other classes, and return the dataset. Their splits remain the same."""
    if not dataset.exists():
        path = dataset.with_name(f"products-{dataset.name}.csv")
        table.filter(~pl.col("sku").is_in(sorted(hidden))).write_csv(path)
        images = data / "images.tar"
        run("prepare", path, "--images", images, "--levels", "category,sku", "--title", "title", "--out", dataset)
    return dataset


def print_shares(name: str, file: Path, hidden: set[str]) -> None:
    """Print the share of the photos of hidden and of known classes whose class is the best, or among the best five."""
    best, labels = [], []
    with open_scores(file) as scores:
        is_hidden_C = np.array([leaf in hidden for leaf in scores.taxonomy.leaves])
        for chunk in scores.chunks():
            labels.append(chunk.labels_RL[:, -1])
            best.append(np.argsort(-chunk.scores["sku"], axis=1, kind="stable")[:, :5])
    label_N, best_NK = np.concatenate(labels), np.concatenate(best)
    is_right_NK = best_NK == label_N[:, None]
    chance = f"chance {1 / len(is_hidden_C):.2%} and {5 / len(is_hidden_C):.2%}"
    for kind, is_kind_N in (("hidden", is_hidden_C[label_N]), ("known", ~is_hidden_C[label_N])):
        if is_kind_N.any():
            right_NK = is_right_NK[is_kind_N]
            top1, top5 = right_NK[:, 0].mean(), right_NK.any(1).mean()
            print(f"{name}: {kind} classes top-1 {top1:.2%}, top-5 {top5:.2%} of {len(right_NK):,} photos; {chance}")


if __name__ == "__main__":
    main()
