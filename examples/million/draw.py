"""Draws a catalogue of very many classes: a table of titles and categories, and a feature vector for every row.

    python draw.py OUT [--classes 1000000] [--rows 2500000] [--features 128] [--seed 0]

Every class is a thing of a make and a style. Things, makes and styles are words of the titles, and each stands for a
direction that the features of its products share; a class also has a direction of its own. So what a frequent class
teaches about a word holds for the rare classes whose titles have it, which is the ground that SICoT stands on. Classes
follow a power law: the first has 20,000 training rows, three in four have one.

OUT/products.parquet   id, title, root, middle, leaf, split: training rows by the power law, validation rows like them,
                       test rows evenly over the classes
OUT/features.npy       float16 [rows, features], a row for each row of the table
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

ROOTS, THINGS, STYLES = 100, 5_000, 400
CLASSES_OF_A_MAKE = 5
POWER = 0.75
VALIDATION, TEST = 20_000, 50_000
PARTS = {"thing": 1.0, "make": 0.7, "style": 0.7, "own": 0.4, "noise": 0.9}
"""Lengths of what a feature is the sum of; `noise` differs from row to row."""
FILLERS = ("new", "original", "sale", "season", "best", "special", "classic", "quality", "popular", "official")
ROWS_AT_ONCE = 250_000


def words(count: int, *, letters: int, random: np.random.Generator) -> NDArray[np.str_]:
    """Distinct words that can be said."""
    consonants, vowels = np.array(list("bcdfghjklmnprstvwz")), np.array(list("aeiou"))
    found: set[str] = set()
    while len(found) < count:
        sounds = [random.choice(consonants if at % 2 == 0 else vowels, 2 * count) for at in range(letters)]
        found |= {"".join(letters) for letters in zip(*sounds, strict=True)}
    return random.permutation(sorted(found))[:count]


def directions(count: int, features: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Vectors of length 1 on average."""
    return random.standard_normal((count, features), dtype=np.float32) / np.float32(features**0.5)


def training_rows(classes: int, rows: int) -> NDArray[np.int64]:
    """Rows of every class, the most frequent first: a power law, and at least one."""
    share = np.arange(1, classes + 1) ** -POWER
    low, high = 0.0, float(rows)
    for _ in range(60):  # the scale at which they are `rows` in all
        scale = (low + high) / 2
        low, high = (scale, high) if np.maximum(1, scale * share).astype(np.int64).sum() < rows else (low, scale)
    return np.maximum(1, low * share).astype(np.int64)


def draw(out: Path, *, classes: int, rows: int, features: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    makes = -(-classes // CLASSES_OF_A_MAKE)
    things, styles = min(THINGS, classes), min(STYLES, classes)
    # distinct triples: make number i has its handful of (thing, style) pairs, drawn without repetition
    make_C = np.arange(classes) % makes
    pair_C = (random.integers(0, things * styles, makes)[make_C] + 7_919 * (np.arange(classes) // makes)) % (
        things * styles
    )
    thing_C, style_C = pair_C // styles, pair_C % styles
    number_of = {"thing": thing_C, "make": make_C, "style": style_C}
    word_of = {
        "thing": words(things, letters=5, random=random),
        "make": words(makes, letters=7, random=random),
        "style": words(styles, letters=4, random=random),
    }
    order = random.permutation(classes)  # how frequent a class is has nothing to do with what it is
    count_C = np.empty(classes, np.int64)
    count_C[order] = training_rows(classes, rows)
    class_N = np.concatenate([
        np.repeat(np.arange(classes), count_C),
        random.choice(classes, VALIDATION, p=count_C / count_C.sum()),
        random.integers(0, classes, TEST),
    ])  # fmt: skip
    split_N = np.repeat(["train", "validation", "test"], [count_C.sum(), VALIDATION, TEST])
    shuffled = random.permutation(len(class_N))
    class_N, split_N = class_N[shuffled], split_N[shuffled]

    out.mkdir(parents=True, exist_ok=True)
    table(class_N, split_N, number_of, word_of, random).write_parquet(out / "products.parquet")
    parts = {name: directions(len(word_of[name]), features, random) for name in word_of}
    own_CD = directions(classes, features, random)
    vectors = np.lib.format.open_memmap(out / "features.npy", "w+", np.float16, (len(class_N), features))
    for start in range(0, len(class_N), ROWS_AT_ONCE):
        class_R = class_N[start : start + ROWS_AT_ONCE]
        vector_RD = PARTS["own"] * own_CD[class_R] + PARTS["noise"] * directions(len(class_R), features, random)
        for name, direction_ND in parts.items():
            vector_RD += PARTS[name] * direction_ND[number_of[name][class_R]]
        vectors[start : start + len(class_R)] = vector_RD
    vectors.flush()
    print(
        f"{out}: {len(class_N):,} rows of {classes:,} classes, {(count_C == 1).mean():.0%} of which have one training "
        f"row and the largest {count_C.max():,}; {sum(map(len, word_of.values())) + len(FILLERS):,} words"
    )


def table(
    class_N: NDArray[np.int64],
    split_N: NDArray[np.str_],
    number_of: dict[str, NDArray[np.int64]],
    word_of: dict[str, NDArray[np.str_]],
    random: np.random.Generator,
) -> pl.DataFrame:
    """Titles are the three words of the class and two that say nothing; leaves are called by theirs."""
    named = {name: pl.Series(word_of[name])[number_of[name][class_N]] for name in word_of}
    filler = pl.Series(FILLERS)
    frame = pl.DataFrame(named).with_columns(
        first=filler[random.integers(0, len(FILLERS), len(class_N))],
        second=filler[random.integers(0, len(FILLERS), len(class_N))],
        root=pl.Series(word_of["thing"])[number_of["thing"][class_N] % ROOTS],
        split=pl.Series(split_N),
    )
    return frame.select(
        id=pl.format("p{}", pl.int_range(pl.len())),
        title=pl.format("{} {} {} {} {}", "first", "make", "style", "thing", "second"),
        root=pl.format("all {}", "root"),
        middle=pl.col("thing"),
        leaf=pl.format("{} {} {}", "make", "style", "thing"),
        split=pl.col("split"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--classes", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=2_500_000, help="training rows")
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw(options.out, classes=options.classes, rows=options.rows, features=options.features, seed=options.seed)


if __name__ == "__main__":
    main()
