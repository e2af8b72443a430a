"""AliProducts (CVPR 2020 RetailVision): about 3 million photos of 50,030 products, with noise; no titles.

    mkdir aliproducts && cd aliproducts
    # train.json, val.json and train_val.part0.tar.gz to part9, from the page of the challenge, into this folder; then
    for part in train_val.part*.tar.gz; do tar xzf $part; done
    python …/examples/recipes/aliproducts.py . --out products.csv
    prodrec prepare products.csv --images . --split-column split
    prodrec train && prodrec score && prodrec report

Files:

    train.json, val.json   {"images": [{"image_id": "1849756.jpg", "class_id": "00000"}, …]}
    train/CLASS/PHOTO      the photos; val/CLASS/PHOTO

The classes are the products themselves, so there is one level. The form of product_tree.json, which groups them, could
not be verified, and it is not read. Labels of the published test split are withheld: the validation split is the test
split here, and 5 % of the training photos validate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from recipe import Contents, Row, need, read_records, run, train_or_validation


def read(folder: Path) -> Contents:
    """Return the rows of the training and the validation photos."""
    need(folder / "train.json", "the folder of AliProducts")
    prepare = ["--images", str(folder), "--split-column", "split"]
    return Contents(("image", "leaf", "split"), rows(folder), prepare)


def rows(folder: Path) -> Iterator[Row]:
    for split in ("train", "val"):
        for photo, number in read_records(folder / f"{split}.json", "image_id", "class_id"):
            name = f"{split}/{number}/{photo}"
            yield name, number, train_or_validation(name) if split == "train" else "test"


def main(arguments: Sequence[str] | None = None) -> None:
    run(__doc__, read, arguments)


if __name__ == "__main__":
    main()
