"""The embedded example: a small catalogue drawn by code, long-tailed, with the dirt of a real one.

Nothing is downloaded, and nothing is left to chance: the same arguments give the same table and the same photos. Leaves
that look alike (t-shirts, vests, hoodies) also share words, so that words can carry from head to tail.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from prodrec.core.base.errors import BadOption
from prodrec.demo.dirt import DUPLICATES, ODD_PHOTOS, REJECTED, SECOND_PARENT, Row, add_dirt, save_photo
from prodrec.demo.photos import COLOURS, PATTERNS, draw_product
from prodrec.demo.titles import MATERIALS, TREE, write_title

COLUMNS = ("id", "image", "title", "root", "middle", "leaf", "colour", "pattern", "material")
LEVELS, ATTRIBUTES = COLUMNS[3:6], COLUMNS[6:]

_FEWEST = 3
_EACH_NEXT_LEAF = 0.845  # of the photos of the leaf before it
_ATTRIBUTE_GIVEN = 0.85


@dataclass(frozen=True)
class DrawnCatalogue:
    """Where the catalogue lies and what was planted in it.

    rows:       rows of the table, each either kept or rejected; rejected: how many by the reason that `prepare` gives
    leaf_sizes: kept rows by leaf, as the table has them, from head to tail
    duplicate_groups, conflicting_groups: groups of pixel-identical photos, and those of them with different leaves
    leaves_with_two_parents: leaves that a few rows put under another parent
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
    def kept(self) -> int:
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
    """Write products.csv and photos/ into `directory`, which is made where it does not exist.

    products: rows with a photo of their own; dirt adds a few more. leaves: how many of the leaves, from the head.
    size: pixels of the square photos. dirt: also odd formats, broken, missing and duplicate photos, rows without
    category or title, a leaf under two parents. Raises BadOption for what cannot be drawn, such as two photos a leaf.
    """
    if not 1 <= leaves <= len(TREE):
        raise BadOption(f"leaves={leaves} cannot be drawn; expected 1 to {len(TREE)}.")
    if products < _FEWEST * leaves:
        raise BadOption(f"products={products} are too few for {leaves} leaves; expected {_FEWEST} a leaf or more.")
    if dirt and (products < 40 or leaves < 2):
        raise BadOption(f"dirt needs at least 40 products and 2 leaves, not {products} and {leaves}.")
    if size < 16:
        raise BadOption(f"size={size} is too small to see a product; expected at least 16 pixels.")
    directory = Path(directory)
    photos = directory / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    names = list(TREE)[:leaves]
    order = [name for name, count in zip(names, _long_tail(products, leaves), strict=True) for _ in range(count)]
    random.Random(f"order {seed}").shuffle(order)
    rows = []
    for number, leaf in enumerate(order):
        odd = ODD_PHOTOS[number] if dirt and number < len(ODD_PHOTOS) else (".jpg", "RGB")
        rows.append(_draw_row(photos, number, leaf, odd=odd, seed=seed, size=size))
    spoilt = add_dirt(rows, photos, seed=seed) if dirt else set()
    with (directory / "products.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    found = Counter(row["leaf"] for row in rows if row["id"] not in spoilt)
    return DrawnCatalogue(
        table=directory / "products.csv",
        photos=photos,
        rows=len(rows),
        rejected=dict(REJECTED) if dirt else {},
        leaf_sizes={name: found[name] for name in names},
        duplicate_groups=sum(DUPLICATES.values()) if dirt else 0,
        conflicting_groups=DUPLICATES["conflicting"] if dirt else 0,
        leaves_with_two_parents=(SECOND_PARENT[0],) if dirt else (),
    )


def _draw_row(photos: Path, number: int, leaf: str, *, odd: tuple[str, str], seed: int, size: int) -> Row:
    chance = random.Random(f"{seed} {number}")
    place = TREE[leaf]
    colour, pattern = chance.choice(list(COLOURS)), chance.choice(PATTERNS)
    material = chance.choice(MATERIALS[place.root])
    photo = draw_product(leaf, colour, pattern, size=size, seed=chance.getrandbits(32))
    title = write_title(leaf, colour, pattern, material, chance)
    given = {"colour": colour, "pattern": pattern, "material": material}
    return {
        "id": f"P{number:06d}",
        "image": save_photo(photo, photos / f"P{number:06d}", *odd),
        "title": title,
        "root": place.root,
        "middle": place.middle,
        "leaf": leaf,
        **{name: value if chance.random() < _ATTRIBUTE_GIVEN else "" for name, value in given.items()},
    }


def _long_tail(products: int, leaves: int) -> list[int]:
    """Photos of every leaf, falling geometrically to at least three, `products` together."""
    weights = [_EACH_NEXT_LEAF**i for i in range(leaves)]
    counts = [max(_FEWEST, int(products * weight / sum(weights))) for weight in weights]
    for i in range(products - sum(counts)):
        counts[i % leaves] += 1
    while sum(counts) > products:
        counts[counts.count(counts[0]) - 1] -= 1  # the last of the largest, so that they stay in order
    return counts
