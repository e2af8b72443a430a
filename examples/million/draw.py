"""Draw a catalogue of very many classes: a table of titles and categories, and a feature vector for every row.

    python draw.py OUT [--classes 1000000] [--rows 2500000] [--features 128] [--seed 0]

A class is a combination of a thing, a make and a style. Things, makes and styles are words of the titles. Each has a
direction in feature space, which the features of all its products share; a class also has a direction of its own. What
a network learns about a word from frequent classes therefore helps with the rare classes whose titles contain it. SICoT
relies on this. Class sizes follow a power law: the largest class has 20,000 training rows, three in four have one.

OUT/products.parquet   id, title, root, middle, leaf, split: training rows by the power law, validation rows from the
                       same distribution, test rows uniform over the classes
OUT/features.npy       float16 [rows, features], a row for each row of the table

Shapes: N rows, R rows of a chunk, C classes, W words of a kind, D numbers of a feature vector.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

ROOTS, THINGS, STYLES = 100, 5_000, 400
CLASSES_PER_MAKE = 5
POWER = 0.75
"""Exponent of the power law of class sizes."""
VALIDATION, TEST = 20_000, 50_000
"""Rows of these splits."""
LENGTHS = {"thing": 1.0, "make": 0.7, "style": 0.7, "own": 0.4, "noise": 0.9}
"""Lengths of the summands of a feature vector; `noise` differs from row to row."""
FILLERS = ("new", "original", "sale", "season", "best", "special", "classic", "quality", "popular", "official")
"""Words that carry no information about the class."""
ROWS_AT_ONCE = 250_000


def draw_words(count: int, *, letters: int, rng: np.random.Generator) -> NDArray[np.str_]:
    """Return distinct pronounceable words."""
    consonants, vowels = np.array(list("bcdfghjklmnprstvwz")), np.array(list("aeiou"))
    words: set[str] = set()
    while len(words) < count:
        columns = [rng.choice(consonants if i % 2 == 0 else vowels, 2 * count) for i in range(letters)]
        words |= {"".join(word) for word in zip(*columns, strict=True)}
    return rng.permutation(np.array(sorted(words)))[:count]


def draw_directions(count: int, features: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return Gaussian vectors of root mean square length 1, [count, features]."""
    return rng.standard_normal((count, features), dtype=np.float32) / np.float32(features**0.5)


def class_sizes(classes: int, rows: int) -> NDArray[np.int64]:
    """Return the training rows of every class, largest first: a power law, at least one each, about `rows` in total."""
    share_C = np.arange(1, classes + 1, dtype=np.float64) ** -POWER
    low, high = 0.0, float(rows)
    for _ in range(60):  # bisection for the scale at which the total is `rows`
        scale = (low + high) / 2
        total = np.maximum(1, scale * share_C).astype(np.int64).sum()
        low, high = (scale, high) if total < rows else (low, scale)
    sizes_C: NDArray[np.int64] = np.maximum(1, low * share_C).astype(np.int64)
    return sizes_C


def draw(out: Path, *, classes: int, rows: int, features: int, seed: int) -> None:
    """Write the catalogue to `out` and print a summary."""
    rng = np.random.default_rng(seed)
    makes = -(-classes // CLASSES_PER_MAKE)
    things, styles = min(THINGS, classes), min(STYLES, classes)
    # Each make has CLASSES_PER_MAKE different (thing, style) pairs, so no two classes have the same three words.
    make_C = np.arange(classes) % makes
    pair_C = (rng.integers(0, things * styles, makes)[make_C] + 7_919 * (np.arange(classes) // makes)) % (
        things * styles
    )
    thing_C, style_C = pair_C // styles, pair_C % styles
    index_of = {"thing": thing_C, "make": make_C, "style": style_C}
    word_of = {
        "thing": draw_words(things, letters=5, rng=rng),
        "make": draw_words(makes, letters=7, rng=rng),
        "style": draw_words(styles, letters=4, rng=rng),
    }
    order = rng.permutation(classes)  # the size of a class is independent of its words
    count_C = np.empty(classes, np.int64)
    count_C[order] = class_sizes(classes, rows)
    class_N = np.concatenate([
        np.repeat(np.arange(classes), count_C),
        rng.choice(classes, VALIDATION, p=count_C / count_C.sum()),
        rng.integers(0, classes, TEST),
    ])  # fmt: skip
    split_N = np.repeat(["train", "validation", "test"], [count_C.sum(), VALIDATION, TEST])
    shuffled = rng.permutation(len(class_N))
    class_N, split_N = class_N[shuffled], split_N[shuffled]

    out.mkdir(parents=True, exist_ok=True)
    make_table(class_N, split_N, index_of, word_of, rng).write_parquet(out / "products.parquet")
    directions = {name: draw_directions(len(word_of[name]), features, rng) for name in word_of}
    own_CD = draw_directions(classes, features, rng)
    vectors = np.lib.format.open_memmap(out / "features.npy", "w+", np.float16, (len(class_N), features))
    for start in range(0, len(class_N), ROWS_AT_ONCE):
        class_R = class_N[start : start + ROWS_AT_ONCE]
        vector_RD = LENGTHS["own"] * own_CD[class_R] + LENGTHS["noise"] * draw_directions(len(class_R), features, rng)
        for name, directions_WD in directions.items():
            vector_RD += LENGTHS[name] * directions_WD[index_of[name][class_R]]
        vectors[start : start + len(class_R)] = vector_RD
    vectors.flush()
    print(
        f"{out}: {len(class_N):,} rows of {classes:,} classes, {(count_C == 1).mean():.0%} of which have one training "
        f"row and the largest {count_C.max():,}; {sum(map(len, word_of.values())) + len(FILLERS):,} words"
    )


def make_table(
    class_N: NDArray[np.int64],
    split_N: NDArray[np.str_],
    index_of: dict[str, NDArray[np.int64]],
    word_of: dict[str, NDArray[np.str_]],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return the rows of the catalogue. A leaf is named by its three words; a title adds two fillers."""
    columns = {name: pl.Series(word_of[name])[index_of[name][class_N]] for name in word_of}
    filler = pl.Series(FILLERS)
    frame = pl.DataFrame(columns).with_columns(
        first=filler[rng.integers(0, len(FILLERS), len(class_N))],
        second=filler[rng.integers(0, len(FILLERS), len(class_N))],
        root=pl.Series(word_of["thing"])[index_of["thing"][class_N] % ROOTS],
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
