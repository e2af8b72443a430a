"""iMaterialist Product 2019: a million photos of 2,019 product categories in a tree of four levels, without titles.

    mkdir imaterialist && cd imaterialist
    # into this folder, from github.com/msight-tech/imaterialist-product-2019: train.json, val.json, product_tree.json
    python …/examples/recipes/imaterialist.py . --out products.csv
    python …/examples/recipes/addresses.py products.csv --out addresses.txt
    curl --config addresses.txt --output-dir photos --create-dirs --parallel --retry 3
    prodrec prepare products.csv --images photos/ --split-column split
    prodrec train && prodrec score && prodrec report --by-root

Files:

    train.json, val.json   {"images": [{"id": "…", "url": "https://…", "class": 5}, …]}; a photo is called like its id
    product_tree.json      {"level1_node4": {"level2_node5": {"level3_node1": ["1784", "1785"]}}}: names of nodes are
                           unique below their parent only, so the categories here are called 4, 4.5, 4.5.1 and 1784

Many addresses of 2019 are gone; `prepare` lists the photos that are missing. Labels of the published test split are
withheld: the validation split, which people checked, is the test split here, and 5 % of the training photos validate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from recipe import Contents, Row, need, read_json, read_records, run, train_or_validation

from prodrec.core.base.errors import BadTable

LEVELS = ("category_1", "category_2", "category_3", "category_4")


def read(folder: Path) -> Contents:
    """Return the rows of the training and the validation photos."""
    paths = read_tree(need(folder / "product_tree.json", "the tree of iMaterialist Product 2019"))
    prepare = ["--images", "photos/", "--split-column", "split"]
    return Contents(("image", "url", *LEVELS, "split"), rows(folder, paths), prepare)


def rows(folder: Path, paths: dict[str, tuple[str, ...]]) -> Iterator[Row]:
    for name in ("train.json", "val.json"):
        for photo, address, number in read_records(folder / name, "id", "url", "class"):
            if number not in paths:
                raise BadTable(f"{folder / name} contains the class {number!r}, which product_tree.json does not.")
            split = train_or_validation(photo) if name == "train.json" else "test"
            yield photo, address, *paths[number], split


def read_tree(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the path of every class from the root. Raise BadTable if the file has another form."""
    found: dict[str, tuple[str, ...]] = {}

    def visit(node: Any, above: tuple[str, ...]) -> None:
        if isinstance(node, dict) and len(above) < len(LEVELS) - 1:
            for name, child in node.items():
                number = name.rpartition("node")[2]
                visit(child, (*above, f"{above[-1]}.{number}" if above else number))
        elif isinstance(node, list) and len(above) == len(LEVELS) - 1:
            found.update({str(leaf): (*above, str(leaf)) for leaf in node})
        else:
            raise BadTable(f"{path} is no tree of {len(LEVELS)} levels; expected three of nodes, and lists of classes.")

    visit(read_json(path, object, expected="a tree", remedy="download it again"), ())
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    run(__doc__, read, arguments)


if __name__ == "__main__":
    main()
