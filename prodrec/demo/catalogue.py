"""The example catalogue: a small, long-tailed table of products with drawn photos and the defects of a real catalogue.

Nothing is downloaded. The same arguments give the same table and the same photos. Leaves with similar shapes (t-shirts,
vests, hoodies) also share words, which can transfer knowledge from the head to the tail.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from prodrec.core.base.errors import BadOption
from prodrec.demo.dirt import DUPLICATES, PHOTO_FORMATS, REJECTED, SECOND_PARENT, Row, add_dirt, save_photo
from prodrec.demo.photos import COLOURS, PATTERNS, draw_product
from prodrec.demo.titles import MATERIALS, TREE, write_title

COLUMNS = ("id", "image", "title", "root", "middle", "leaf", "colour", "pattern", "material")
LEVELS, ATTRIBUTES = COLUMNS[3:6], COLUMNS[6:]

_MIN_LEAF_PRODUCTS = 3
"""Products of the smallest leaf, enough to train and to test on."""
_SIZE_RATIO = 0.845
"""Products of a leaf as a share of those of the next larger leaf."""
_ATTRIBUTE_SHARE = 0.85
"""Share of the attribute values that are not empty."""


@dataclass(frozen=True)
class DrawnCatalogue:
    """A drawn catalogue: its files and the numbers that `prodrec prepare` must find in it.

    rows:             rows of the table
    rejected:         rows that `prepare` rejects, by reason
    leaf_sizes:       usable rows of each leaf of the table, from head to tail
    duplicate_groups: groups of pixel-identical photos
    conflicting_groups: groups of pixel-identical photos with different leaves
    leaves_with_two_parents: leaves that a few rows put under a second parent
    """

    table: Path
    photos: Path
    rows: int
    rejected: dict[str, int]
    leaf_sizes: dict[str, int]
    duplicate_groups: int
    conflicting_groups: int
    leaves_with_two_parents: tuple[str, ...]

    @property
    def usable_rows(self) -> int:
        return self.rows - sum(self.rejected.values())


def draw_catalogue(
    directory: Path,
    *,
    products: int = 2400,
    leaves: int = len(TREE),
    seed: int = 0,
    size: int = 96,
    dirt: bool = True,
) -> DrawnCatalogue:
    """Write products.csv and photos/ into `directory`, which is created if it does not exist.

    products: rows with a photo of their own; dirt adds a few rows
    leaves:   number of leaves, counted from the head
    size:     width and height of the photos in pixels
    dirt:     add unusual formats, broken, missing and duplicate photos, rows without category or title, and a leaf
              with two parents

    Raise BadOption for arguments that give no catalogue, such as two products for each leaf.
    """
    if not 1 <= leaves <= len(TREE):
        raise BadOption(f"leaves={leaves} cannot be drawn; expected 1 to {len(TREE)}.")
    if products < _MIN_LEAF_PRODUCTS * leaves:
        raise BadOption(
            f"products={products} are too few for {leaves} leaves; expected {_MIN_LEAF_PRODUCTS} a leaf or more."
        )
    if dirt and (products < 40 or leaves < 2):
        raise BadOption(f"dirt needs at least 40 products and 2 leaves, not {products} and {leaves}.")
    if size < 16:
        raise BadOption(f"size={size} is too small to see a product; expected at least 16 pixels.")
    directory = Path(directory)
    photos = directory / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    names = list(TREE)[:leaves]
    sizes = _long_tail(products, leaves)
    leaf_by_product = [name for name, count in zip(names, sizes, strict=True) for _ in range(count)]
    random.Random(f"order {seed}").shuffle(leaf_by_product)
    rows = []
    for number, leaf in enumerate(leaf_by_product):
        photo_format = PHOTO_FORMATS[number] if dirt and number < len(PHOTO_FORMATS) else (".jpg", "RGB")
        rows.append(_draw_row(photos, number, leaf, photo_format=photo_format, seed=seed, size=size))
    unusable = add_dirt(rows, photos, seed=seed) if dirt else set()
    with (directory / "products.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    usable = Counter(row["leaf"] for row in rows if row["id"] not in unusable)
    return DrawnCatalogue(
        table=directory / "products.csv",
        photos=photos,
        rows=len(rows),
        rejected=dict(REJECTED) if dirt else {},
        leaf_sizes={name: usable[name] for name in names},
        duplicate_groups=sum(DUPLICATES.values()) if dirt else 0,
        conflicting_groups=DUPLICATES["conflicting"] if dirt else 0,
        leaves_with_two_parents=(SECOND_PARENT[0],) if dirt else (),
    )


def _draw_row(photos: Path, number: int, leaf: str, *, photo_format: tuple[str, str], seed: int, size: int) -> Row:
    """Draw one product: save its photo and return its row."""
    rng = random.Random(f"{seed} {number}")
    category = TREE[leaf]
    colour, pattern = rng.choice(list(COLOURS)), rng.choice(PATTERNS)
    material = rng.choice(MATERIALS[category.root])
    photo = draw_product(leaf, colour, pattern, size=size, seed=rng.getrandbits(32))
    title = write_title(leaf, colour, pattern, material, rng)
    attributes = {"colour": colour, "pattern": pattern, "material": material}
    return {
        "id": f"P{number:06d}",
        "image": save_photo(photo, photos / f"P{number:06d}", *photo_format),
        "title": title,
        "root": category.root,
        "middle": category.middle,
        "leaf": leaf,
        **{name: value if rng.random() < _ATTRIBUTE_SHARE else "" for name, value in attributes.items()},
    }


def _long_tail(products: int, leaves: int) -> list[int]:
    """Return the products of each leaf: geometrically decreasing, at least _MIN_LEAF_PRODUCTS, `products` in total."""
    weights = [_SIZE_RATIO**i for i in range(leaves)]
    counts = [max(_MIN_LEAF_PRODUCTS, int(products * weight / sum(weights))) for weight in weights]
    for i in range(products - sum(counts)):
        counts[i % leaves] += 1
    while sum(counts) > products:
        counts[counts.count(counts[0]) - 1] -= 1  # the last of the largest leaves, which keeps the order
    return counts
