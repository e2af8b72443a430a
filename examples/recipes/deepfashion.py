"""DeepFashion, the benchmark of categories and attributes: 289,222 photos of 50 kinds of clothes.

    mkdir deepfashion && cd deepfashion
    # Anno_fine/ or Anno_coarse/, Eval/ and Img/ with img.zip, from the page of DeepFashion, into this folder; then
    (cd Img && unzip -q img.zip)
    python …/examples/recipes/deepfashion.py Anno_fine --out products.csv
    prodrec prepare products.csv --images Img/ --split-column split \\
        --attributes texture,sleeve,length,neckline,fabric,fit
    prodrec train && prodrec score && prodrec report --by-root

Files of Anno_coarse/ (1,000 attributes of five types) and Anno_fine/ (26 of six types, whose names are ours); the first
line is a count, and the second has the names of the columns:

    list_category_cloth.txt   `Blouse 1` a line: a category and its type; the first one is category 1
    list_category_img.txt     `img/Sheer_Pleated-Front_Blouse/img_00000001.jpg 3` a line: photo and category
    list_attr_cloth.txt       `abstract chevron 1` a line: an attribute and its type
    list_attr_img.txt         `img/….jpg -1 1 0 …` a line: 1 has the attribute, -1 has not, 0 is unknown
    Eval/list_eval_partition.txt   beside the folder: `img/….jpg train`, or val, or test

If Anno_fine/ has no list of categories, that of Anno_coarse/ is read. A column has an attribute type, and its state is
the attribute of the photo. Of several attributes of one type it is the first in list_attr_cloth.txt; the others are in
the column `further_attributes`, which `prepare` does not use. The title is the name of the photo's folder, which often
ends in the words of its category.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from recipe import Contents, Row, look_up, need, read_lines, run

from prodrec.core.base.errors import BadTable

ROOTS = {"1": "upper body", "2": "lower body", "3": "full body"}
COARSE_TYPES = ("texture", "fabric", "shape", "part", "style")
FINE_TYPES = ("texture", "sleeve", "length", "neckline", "fabric", "fit")
SPLITS = {"train": "train", "val": "validation", "test": "test"}


def read(folder: Path) -> Contents:
    """Return the rows of the photos in list_attr_img.txt."""
    attributes = list(read_lines(need(folder, "Anno_coarse or Anno_fine") / "list_attr_cloth.txt", 2, skip=2))
    types = FINE_TYPES if any(number == "6" for _, number in attributes) else COARSE_TYPES
    wrong = [number for _, number in attributes if number not in map(str, range(1, len(types) + 1))]
    if wrong:
        raise BadTable(f"{folder}/list_attr_cloth.txt contains the type {wrong[0]!r}; expected 1 to {len(types)}.")
    images = os.path.relpath(folder.resolve().parent / "Img")
    prepare = ["--images", images, "--split-column", "split", "--attributes", ",".join(types)]
    columns = ("image", "title", "root", "leaf", *types, "further_attributes", "split")
    return Contents(
        columns, rows(folder, [(name, int(number) - 1) for name, number in attributes], len(types)), prepare
    )


def rows(folder: Path, attributes: Sequence[tuple[str, int]], types: int) -> Iterator[Row]:
    categories = read_categories(folder)
    partition = folder.resolve().parent / "Eval/list_eval_partition.txt"
    splits = dict(read_lines(partition, 2, skip=2))
    for photo, *marks in read_lines(folder / "list_attr_img.txt", len(attributes) + 1, skip=2):
        states, further = [""] * types, []
        for (name, number), mark in zip(attributes, marks, strict=True):
            if mark == "1" and states[number]:
                further.append(name)
            elif mark == "1":
                states[number] = name
        title = Path(photo).parent.name.replace("_", " ")
        root, leaf = categories.get(photo, ("", ""))  # `prepare` rejects a photo without a category
        split = splits.get(photo)
        if split not in SPLITS:
            raise BadTable(f"{partition} has the status {split!r} for {photo}; expected train, val or test.")
        yield photo, title, root, leaf, *states, " | ".join(further), SPLITS[split]


def read_categories(folder: Path) -> dict[str, tuple[str, str]]:
    """Return the type and the category of every photo."""
    if not (folder / "list_category_img.txt").exists():
        folder = folder.resolve().parent / "Anno_coarse"
    names, roots = zip(*read_lines(folder / "list_category_cloth.txt", 2, skip=2), strict=True)
    path = folder / "list_category_img.txt"
    categories: dict[str, tuple[str, str]] = {}
    for photo, number in read_lines(path, 2, skip=2):
        leaf = look_up(("", *names), number, path)
        categories[photo] = (ROOTS.get(roots[int(number) - 1], ""), leaf) if leaf else ("", "")
    return categories


def main(arguments: Sequence[str] | None = None) -> None:
    run(__doc__, read, arguments)


if __name__ == "__main__":
    main()
