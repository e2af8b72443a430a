"""The dirt of a real catalogue, planted: odd, broken, missing and repeated photos, rows without category or title."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from PIL import Image

from prodrec.demo.titles import TREE

Row = dict[str, str]

# How the first photos of a dirty catalogue are kept, by ending and mode; all others are .jpg.
ODD_PHOTOS = (
    (".JPG", "RGB"),
    (".Jpeg", "RGB"),
    (".jpg", "CMYK"),
    (".jpg", "L"),
    (".jpg", "rotated"),
    (".png", "RGBA"),
    (".PNG", "P"),
    (".webp", "RGB"),
)
REJECTED = {"missing photo": 4, "undecodable": 3, "truncated": 3, "no category": 4}
DUPLICATES = {"copied": 6, "other format": 2, "conflicting": 2}
WITHOUT_TITLE = ("", "", "！！！ ~ ！！！", " ")
SECOND_PARENT = ("Sneakers", "Clothing", "Sportswear", 2)

_EXIF_ORIENTATION = 0x0112


def save_photo(photo: Image.Image, stem: Path, ending: str = ".jpg", mode: str = "RGB") -> str:
    """Write the photo as `stem` + `ending` in one of the modes of ODD_PHOTOS; returns the file's name."""
    path = stem.with_name(stem.name + ending)
    options: dict[str, object] = {"quality": 88} if ending.lower() in (".jpg", ".jpeg", ".webp") else {}
    if mode == "rotated":  # on its side, with the note to turn it upright again
        exif = Image.Exif()
        exif[_EXIF_ORIENTATION] = 6
        photo, options["exif"] = photo.transpose(Image.Transpose.ROTATE_90), exif
    elif mode == "RGBA":
        photo = photo.copy()
        photo.putalpha(Image.new("L", photo.size, 255))
    elif mode != "RGB":
        photo = photo.convert(mode)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[ending.lower()]
    photo.save(path, kind, **options)
    return path.name


def add_dirt(rows: list[Row], photos: Path, *, seed: int) -> set[str]:
    """Spoil some rows, add others and shuffle; how many of each is in the constants above.

    Returns the ids of the rows that cannot be used.
    """
    chance = random.Random(f"dirt {seed}")
    plain = [row for row in rows if row["image"].endswith(".jpg")]
    chance.shuffle(plain)
    sources = iter(plain)

    def another(ending: str = ".jpg") -> tuple[Row, Path, Path]:
        """A new row like the next one, with the photo that is there and the place of its own."""
        source, number = next(sources), f"P{len(rows):06d}"
        rows.append(source | {"id": number, "image": number + ending, "title": source["title"].lower()})
        return rows[-1], photos / source["image"], photos / rows[-1]["image"]

    for _ in range(DUPLICATES["copied"]):
        _, photo, copy = another()
        shutil.copyfile(photo, copy)
    for _ in range(DUPLICATES["other format"]):
        _, photo, copy = another(".png")
        with Image.open(photo) as pixels:
            pixels.save(copy, "PNG")
    for _ in range(DUPLICATES["conflicting"]):
        row, photo, copy = another()
        shutil.copyfile(photo, copy)
        row.update(_other_leaf(row["leaf"], rows))
    usable = {row["id"] for row in rows}
    for _ in range(REJECTED["missing photo"]):
        another()
    for i in range(REJECTED["undecodable"]):
        another()[2].write_bytes((b"<html>404 Not Found</html>", bytes(range(256)) * 4, bytes(600))[i % 3])
    for i in range(REJECTED["truncated"]):
        _, photo, copy = another()
        copy.write_bytes(photo.read_bytes()[: photo.stat().st_size * (4 + i % 4) // 10])
    for _ in range(REJECTED["no category"]):
        row, photo, copy = another()
        with Image.open(photo) as pixels:
            save_photo(pixels.transpose(Image.Transpose.FLIP_TOP_BOTTOM), copy.with_suffix(""))
        row["leaf"] = ""
    for title, row in zip(WITHOUT_TITLE, sources, strict=False):
        row["title"] = title
    leaf, root, middle, times = SECOND_PARENT
    for row in [row for row in plain if row["leaf"] == leaf][-times:]:
        row["root"], row["middle"] = root, middle
    spoilt = {row["id"] for row in rows} - usable
    chance.shuffle(rows)
    return spoilt


def _other_leaf(leaf: str, rows: list[Row]) -> Row:
    """The category of the first row with another leaf."""
    other = next((row["leaf"] for row in rows if row["leaf"] not in ("", leaf)), leaf)
    return {"root": TREE[other].root, "middle": TREE[other].middle, "leaf": other}
