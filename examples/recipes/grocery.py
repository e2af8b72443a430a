"""Grocery Store: 5,125 photos of 81 fruits, vegetables and cartons in 42 coarser classes, taken with phones in shops.

    git clone https://github.com/marcusklasson/GroceryStoreDataset.git
    python …/examples/recipes/grocery.py GroceryStoreDataset/dataset --out products.csv
    prodrec prepare products.csv --images GroceryStoreDataset/dataset --split-column split
    prodrec train && prodrec score && prodrec report --by-root

Files:

    classes.csv                    Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),…
    train.txt, val.txt, test.txt   `train/Fruit/Apple/Granny-Smith/Granny-Smith_001.jpg, 1, 0` a line: photo, number of
                                   the class, number of the coarse class

The root is the folder below the split: Fruit, Packages or Vegetables. The published split is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from recipe import Contents, Row, need, read_lines, read_records, run

from prodrec.core.base.errors import BadTable

SPLITS = {"train": "train", "val": "validation", "test": "test"}
CLASS, COARSE_CLASS = "Class Name (str)", "Coarse Class Name (str)"


def read(folder: Path) -> Contents:
    """Return the rows of all photos."""
    path = need(folder / "classes.csv", "the folder dataset/ of GroceryStoreDataset")
    classes = {number: names for number, *names in read_records(path, "Class ID (int)", COARSE_CLASS, CLASS)}
    prepare = ["--images", str(folder), "--split-column", "split"]
    return Contents(("image", "root", "middle", "leaf", "split"), rows(folder, classes), prepare)


def rows(folder: Path, classes: dict[str, list[str]]) -> Iterator[Row]:
    for name, split in SPLITS.items():
        path = folder / f"{name}.txt"
        for photo, number, _ in read_lines(path, 3, separator=","):
            parts = photo.split("/")
            if number not in classes or len(parts) < 3:
                raise BadTable(f"{path} contains `{photo}, {number}`; expected a photo in folders, and a known class.")
            yield photo, parts[1], *classes[number], split


def main(arguments: Sequence[str] | None = None) -> None:
    run(__doc__, read, arguments)


if __name__ == "__main__":
    main()
