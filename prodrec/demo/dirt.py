"""Add the defects of a real catalogue: unusual, broken, missing or duplicate photos, rows without category or title."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from PIL import Image

from prodrec.demo.titles import TREE

Row = dict[str, str]

PHOTO_FORMATS = (
    (".JPG", "RGB"),
    (".Jpeg", "RGB"),
    (".jpg", "CMYK"),
    (".jpg", "L"),
    (".jpg", "rotated"),
    (".png", "RGBA"),
    (".PNG", "P"),
    (".webp", "RGB"),
)
"""File extension and mode of the first photos of a catalogue with dirt; the others are RGB .jpg files."""
REJECTED = {"missing photo": 4, "undecodable": 3, "truncated": 3, "no category": 4}
"""Rows that `prodrec prepare` rejects, by reason."""
DUPLICATES = {"copied": 6, "other format": 2, "conflicting": 2}
"""Rows whose photo is identical to that of another row, by kind; the leaf differs if `conflicting`."""
WITHOUT_TITLE = ("", "", "！！！ ~ ！！！", " ")
"""Titles without words, one row each."""
SECOND_PARENT = ("Sneakers", "Clothing", "Sportswear", 2)
"""A leaf, another root and middle category, and the number of its rows that are moved there."""

_EXIF_ORIENTATION = 0x0112
_ROTATE_RIGHT = 6
"""EXIF orientation: viewers rotate the photo by 90° clockwise."""


def save_photo(photo: Image.Image, stem: Path, extension: str = ".jpg", mode: str = "RGB") -> str:
    """Write the photo to `stem` + `extension` in one of the modes of PHOTO_FORMATS and return the file name."""
    path = stem.with_name(stem.name + extension)
    options: dict[str, object] = {"quality": 88} if extension.lower() in (".jpg", ".jpeg", ".webp") else {}
    if mode == "rotated":
        exif = Image.Exif()
        exif[_EXIF_ORIENTATION] = _ROTATE_RIGHT
        photo, options["exif"] = photo.transpose(Image.Transpose.ROTATE_90), exif
    elif mode == "RGBA":
        photo = photo.copy()
        photo.putalpha(Image.new("L", photo.size, 255))
    elif mode != "RGB":
        photo = photo.convert(mode)
    file_format = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[extension.lower()]
    photo.save(path, file_format, **options)
    return path.name


def add_dirt(rows: list[Row], photos: Path, *, seed: int) -> set[str]:
    """Damage some rows, add others as the constants above list them, and shuffle all.

    Return the ids of the rows that cannot be used.
    """
    rng = random.Random(f"dirt {seed}")
    jpg_rows = [row for row in rows if row["image"].endswith(".jpg")]
    rng.shuffle(jpg_rows)
    sources = iter(jpg_rows)

    def copy_row(extension: str = ".jpg") -> tuple[Row, Path, Path]:
        """Append a copy of the next row. Return it, the photo of the original and the path of its own photo."""
        source, product_id = next(sources), f"P{len(rows):06d}"
        rows.append(source | {"id": product_id, "image": product_id + extension, "title": source["title"].lower()})
        return rows[-1], photos / source["image"], photos / rows[-1]["image"]

    for _ in range(DUPLICATES["copied"]):
        _, source, target = copy_row()
        shutil.copyfile(source, target)
    for _ in range(DUPLICATES["other format"]):
        _, source, target = copy_row(".png")
        with Image.open(source) as photo:
            photo.save(target, "PNG")
    for _ in range(DUPLICATES["conflicting"]):
        row, source, target = copy_row()
        shutil.copyfile(source, target)
        row.update(_other_category(row["leaf"], rows))
    usable = {row["id"] for row in rows}
    for _ in range(REJECTED["missing photo"]):
        copy_row()
    for i in range(REJECTED["undecodable"]):
        copy_row()[2].write_bytes((b"<html>404 Not Found</html>", bytes(range(256)) * 4, bytes(600))[i % 3])
    for i in range(REJECTED["truncated"]):
        _, source, target = copy_row()
        target.write_bytes(source.read_bytes()[: source.stat().st_size * (4 + i % 4) // 10])
    for _ in range(REJECTED["no category"]):
        row, source, target = copy_row()
        with Image.open(source) as photo:
            save_photo(photo.transpose(Image.Transpose.FLIP_TOP_BOTTOM), target.with_suffix(""))
        row["root"] = row["middle"] = row["leaf"] = ""
    for title, row in zip(WITHOUT_TITLE, sources, strict=False):
        row["title"] = title
    leaf, root, middle, count = SECOND_PARENT
    for row in [row for row in jpg_rows if row["leaf"] == leaf][-count:]:
        row["root"], row["middle"] = root, middle
    unusable = {row["id"] for row in rows} - usable
    rng.shuffle(rows)
    return unusable


def _other_category(leaf: str, rows: list[Row]) -> Row:
    """Return the category of the first row with another leaf than `leaf`."""
    other = next((row["leaf"] for row in rows if row["leaf"] not in ("", leaf)), leaf)
    return {"root": TREE[other].root, "middle": TREE[other].middle, "leaf": other}
