"""Products-10K: photos of 10,000 products of JD.com, in groups.

    mkdir products-10k && cd products-10k
    # train.zip, train.csv, test.zip and test_kaggletest.csv, from products-10k.github.io, into this folder; then
    unzip -q train.zip && unzip -q test.zip
    python …/examples/recipes/products_10k.py . --out products.csv
    prodrec prepare products.csv --images . --split-column split
    prodrec train && prodrec score && prodrec report --by-root

Files:

    train.csv              name,class,group; photos are in train/
    test_kaggletest.csv    name,class,Usage; photos are in test/, where the same names occur again

The groups of the test photos are those that train.csv gives their classes. 5 % of the training photos validate. The
training photos alone need no recipe: `prodrec prepare train.csv --images train/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from recipe import Contents, Row, read_records, run, train_or_validation


def read(folder: Path) -> Contents:
    """Return the rows of the training and the test photos."""
    groups: dict[str, str] = dict(read_records(folder / "train.csv", "class", "group"))  # type: ignore[arg-type]
    prepare = ["--images", str(folder), "--split-column", "split"]
    return Contents(("image", "root", "leaf", "split"), rows(folder, groups), prepare)


def rows(folder: Path, groups: dict[str, str]) -> Iterator[Row]:
    for photo, number, group in read_records(folder / "train.csv", "name", "class", "group"):
        yield f"train/{photo}", group, number, train_or_validation(photo)
    for photo, number in read_records(folder / "test_kaggletest.csv", "name", "class"):
        yield f"test/{photo}", groups.get(number, ""), number, "test"


def main(arguments: Sequence[str] | None = None) -> None:
    run(__doc__, read, arguments)


if __name__ == "__main__":
    main()
