"""ALISC, the image search challenge of Alibaba in 2015: a million photos of Taobao with two levels and attributes.

It is the dataset of paper S. Register on Tianchi (race 231510) for train_image.zip and train_label.zip.

    unzip -q train_image.zip -d photos && unzip -q train_label.zip -d labels
    python …/examples/recipes/alisc.py labels/FILE --out products.csv       # FILE has a line for each photo
    prodrec prepare products.csv --images photos/ --min-leaf-images 1000 …  # with --attributes as the recipe prints it
    prodrec train ssmtl-ca && prodrec score && prodrec report --by-root

The documented fields of a line are

    imgid    the name of the photo without its ending
    cid      the number of the category, which is the root
    subcid   the number of the subcategory, which is the leaf
    pid:vid;pid:vid;…    the attributes by the numbers of attribute and state; may be empty

The name of the list and what separates its fields are not documented and could not be verified: tabs, commas and
blanks are understood. Names of categories and attributes are in mapping files whose form is not documented, so the
numbers stay. The column of the attribute 7 is `attribute_7`. Of several states of one attribute the first is taken.

As in paper S, `prepare` splits the photos anew, 7:2:1 in every leaf; `--min-leaf-images 1000` makes its full dataset,
and `--only-with-attributes --min-attribute-images 10000` its core dataset.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from recipe import Contents, Row, need, run

from prodrec.core.base.errors import BadTable

SEPARATORS = ("\t", ",", None)
"""What may be between two fields, in the order of trial; None is blanks."""


def read(path: Path) -> Contents:
    """Return the rows of the list of labels."""
    need(path, "the list in train_label.zip")
    if not path.is_file():
        raise BadTable(f"{path} is a folder; expected the list in it with a line for each photo.")
    numbers = sorted({number for *_, states in records(path) for number in states}, key=lambda text: (len(text), text))
    columns = [f"attribute_{number}" for number in numbers]
    prepare = ["--images", "photos/", *(["--attributes", ",".join(columns)] if columns else [])]
    return Contents(("image", "root", "leaf", *columns), rows(path, numbers), prepare)


def rows(path: Path, numbers: Sequence[str]) -> Iterator[Row]:
    for photo, root, leaf, states in records(path):
        yield photo, root, leaf, *(states.get(number, "") for number in numbers)


def records(path: Path) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    """Yield photo, root, leaf and the states by attribute. Raise BadTable for a line with fewer than three fields."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or (number == 1 and text.startswith("imgid")):
                continue
            separator = next(sign for sign in SEPARATORS if sign is None or sign in text)
            fields = [field.strip() for field in text.split(separator, 3)]
            if len(fields) < 3:
                raise BadTable(f"{path}, line {number} has {len(fields)} fields; expected imgid, cid, subcid.")
            pairs = [pair.strip().partition(":") for pair in "".join(fields[3:]).split(";") if ":" in pair]
            yield *fields[:3], {name: state for name, _, state in reversed(pairs) if state}  # type: ignore[misc]


def main(arguments: Sequence[str] | None = None) -> None:
    run(__doc__, read, arguments)


if __name__ == "__main__":
    main()
