"""Write the photos of a prepared dataset into folders of classes, which every peer can read.

    PHOTOS/train/007/123.jpg      the photo of row 123 of the dataset, which belongs to leaf 7; also val/ and test/
    PHOTOS/classes.csv            class, name and training photos of every leaf
    PHOTOS/class_map.txt          the names of the folders, in order of the classes
    PHOTOS/test.csv               photo (its row in the dataset) and class of every test photo

Rows without a leaf are skipped.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prodrec.core.data.dataset import Dataset, open_dataset

FOLDERS = {"train": "train", "validation": "val", "test": "test"}
"""The folder of each split. Ultralytics and timm both know these names."""


def export_photos(path: Path, out: Path) -> None:
    """Write the photos of the dataset at `path` into `out`, unless a finished export is there."""
    if out.exists():
        return
    dataset = open_dataset(path)
    names = [" > ".join(dataset.taxonomy.path(leaf)) for leaf in range(len(dataset.taxonomy.leaves))]
    folders = class_folders(len(names))
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for split, folder in FOLDERS.items():
        for class_folder in folders:  # all peers must see the same classes, also those without photos in a split
            (partial / folder / class_folder).mkdir(parents=True)
        for row in _rows(dataset, split):
            write_photo(dataset, int(row), partial / folder / folders[dataset.labels_NL[row, -1]])
    counts = dataset.train_images.tolist()
    classes = [(leaf, name, count) for leaf, (name, count) in enumerate(zip(names, counts, strict=True))]
    _write_csv(partial / "classes.csv", ("class", "name", "train_photos"), classes)
    test = _rows(dataset, "test")
    _write_csv(partial / "test.csv", ("photo", "class"), np.stack([test, dataset.labels_NL[test, -1]], 1).tolist())
    (partial / "class_map.txt").write_text("\n".join(folders) + "\n", "utf-8")
    partial.rename(out)


def export_table(path: Path, out: Path, *, most_photos: int) -> Path:
    """Write a table of at most `most_photos` photos of the dataset at `path`, drawn at random, and return its file.

    The table has the columns id, image, leaf and split, for `prodrec prepare`. Each split keeps its share.
    """
    dataset = open_dataset(path)
    share = min(1.0, most_photos / len(dataset))
    random = np.random.default_rng(0)
    (out / "photos").mkdir(parents=True, exist_ok=True)
    lines = []
    for split in FOLDERS:
        rows = _rows(dataset, split)
        for row in np.sort(random.choice(rows, int(len(rows) * share), replace=False)).tolist():
            leaf = " > ".join(dataset.taxonomy.path(int(dataset.labels_NL[row, -1])))
            lines.append((row, write_photo(dataset, row, out / "photos").name, leaf, split))
    table = out / "products.csv"
    _write_csv(table, ("id", "image", "leaf", "split"), lines)
    return table


def class_folders(count: int) -> list[str]:
    """Return the names of the folders of `count` classes. Their alphabetical order is that of the classes."""
    return [f"{leaf:0{len(str(count - 1))}d}" for leaf in range(count)]


def write_photo(dataset: Dataset, row: int, folder: Path) -> Path:
    """Write the photo of a row as ROW.jpg, with the bytes that the dataset stores, and return its file.

    A photo that a dataset prepared with --in-place refers to may be rotated or of any format; it becomes ROW.png.
    """
    assert dataset.photos is not None
    if dataset.photos.all_jpeg:
        file = folder / f"{row}.jpg"
        file.write_bytes(dataset.photos.read(row))
    else:
        file, png = folder / f"{row}.png", BytesIO()
        Image.fromarray(dataset.photos.decode(row).transpose(1, 2, 0)).save(png, "PNG")
        file.write_bytes(png.getvalue())
    return file


def _rows(dataset: Dataset, split: str) -> NDArray[np.int64]:
    """Return the rows of a split that have a leaf."""
    rows = dataset.rows(split)
    with_leaf: NDArray[np.int64] = rows[dataset.labels_NL[rows, -1] >= 0]
    return with_leaf


def _write_csv(path: Path, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([columns, *lines])
