"""WebVision 2.0: 16 million photos of 5,000 classes that were found by queries, with the titles of their pages.

    mkdir webvision && cd webvision
    # into this folder, from data.vision.ee.ethz.ch: aeirikur/webvision2018/webvision_train_00.tar to _32.tar, and
    # cvl/webvision2018/val_images_resized.tar, val_filelist.txt, info.tar and, for titles, the meta information; then
    for archive in *.tar; do tar xf $archive; done; mv val_filelist.txt info/
    python …/examples/recipes/webvision.py . --out products.csv
    prodrec prepare products.csv --images . --in-place --split-column split
    prodrec train && prodrec score && prodrec report

Files:

    info/synsets.txt              a class a line, `n01440764 tench, Tinca tinca`; the first line is class 0
    info/train_filelist_all.txt   `PHOTO CLASS` a line; photos are named from this folder
    info/val_filelist.txt         the same; photos are in val_images_resized/
    info/train_meta_list_all.txt  optional: for every line of the file list the place of its meta information,
                                  `google/q0001.json 1`: the first object of the array in this file, which is in
                                  google/ or google_json/ (flickr/ or flickr_json/); its `title` is used

The meta lists have the form that published code reads for version 1.0; that those of 2.0 have the same could not be
verified. Without them there are no titles. Labels of the published test split are withheld: the validation split, which
people checked, is the test split here, and 5 % of the training photos validate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from recipe import Contents, Row, look_up, need, read_json, read_lines, run, train_or_validation

from prodrec.core.base import console
from prodrec.core.base.errors import BadTable

META_LIST = "train_meta_list_all.txt"


def read(folder: Path) -> Contents:
    """Return the rows of the training and the validation photos."""
    need(folder / "info", "the folder of WebVision with info/")
    classes = read_classes(folder / "info/synsets.txt")
    prepare = ["--images", str(folder), "--in-place", "--split-column", "split"]
    return Contents(("image", "title", "leaf", "split"), rows(folder, classes), prepare)


def rows(folder: Path, classes: Sequence[str]) -> Iterator[Row]:
    train, meta, val = (folder / "info" / name for name in ("train_filelist_all.txt", META_LIST, "val_filelist.txt"))
    titles = read_titles(folder) if meta.exists() else None
    if titles is None:
        console.warn(f"{meta} does not exist, so the table has no titles")
    for photo, number in read_lines(train, 2):
        title = "" if titles is None else next(titles, None)
        if title is None:
            raise BadTable(f"{meta} has fewer lines than {train.name}; download the meta information again.")
        yield photo, title, look_up(classes, number, train), train_or_validation(photo)
    if titles is not None and next(titles, None) is not None:
        raise BadTable(f"{meta} has more lines than {train.name}; download the meta information again.")
    for photo, number in read_lines(val, 2):
        yield f"val_images_resized/{photo}", "", look_up(classes, number, val), "test"


def read_classes(path: Path) -> list[str]:
    """Return the words of every class; two classes with the same words also have their WordNet id."""
    lines = [line.partition(" ") for line in need(path, "the classes").read_text("utf-8").splitlines() if line.strip()]
    count = Counter(words.strip() for _, _, words in lines)
    return [words.strip() if count[words.strip()] == 1 else f"{words.strip()} ({synset})" for synset, _, words in lines]


def read_titles(folder: Path) -> Iterator[str]:
    """Yield the title of every training photo; an empty text if it has none."""
    path = folder / "info" / META_LIST
    query, records = "", list[Any]()
    for name, number in read_lines(path, 2):
        if name != query:  # photos of a query follow one another
            query, records = name, read_meta(folder, name)
        if not number.isdecimal() or not 0 < int(number) <= len(records):
            raise BadTable(f"{path} contains `{name} {number}`; expected a number from 1 to {len(records)}.")
        record = records[int(number) - 1]
        title = record.get("title") if isinstance(record, dict) else None
        yield " ".join(title.split()) if isinstance(title, str) else ""


def read_meta(folder: Path, name: str) -> list[Any]:
    """Return the meta information of a query. Raise NotFound or BadTable."""
    path = folder / name
    if not path.exists():
        source, _, file = name.partition("/")
        path = need(folder / f"{source}_json" / file, "meta information of a query")
    return read_json(
        path,
        list,
        expected="an object for each photo of the query",
        remedy="download the meta information again",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    run(__doc__, read, arguments)


if __name__ == "__main__":
    main()
