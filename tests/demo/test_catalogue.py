"""The drawn catalogue is reproducible, long-tailed, and contains the dirt that it reports."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from PIL import Image, ImageOps, UnidentifiedImageError

from prodrec.core.base.errors import BadOption
from prodrec.demo.catalogue import COLUMNS, DrawnCatalogue, draw_catalogue
from prodrec.demo.titles import TREE


def rows_of(catalogue: DrawnCatalogue) -> list[dict[str, str]]:
    with catalogue.table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def hashes(directory: Path) -> dict[str, str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_arguments_give_the_same_files(tmp_path: Path) -> None:
    options = {"products": 60, "leaves": 5, "size": 32}
    draw_catalogue(tmp_path / "a", **options)
    draw_catalogue(tmp_path / "b", **options)
    draw_catalogue(tmp_path / "c", **options, seed=1)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert hashes(tmp_path / "a")["products.csv"] != hashes(tmp_path / "c")["products.csv"]


def test_the_whole_tree_has_a_long_tail(tmp_path: Path) -> None:
    catalogue = draw_catalogue(tmp_path, products=300, size=16, dirt=False)
    sizes = list(catalogue.leaf_sizes.values())
    assert list(catalogue.leaf_sizes) == list(TREE)
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == catalogue.rows == catalogue.usable_rows == 300
    assert sizes[-1] == 3
    assert sizes[0] > 30
    assert {(leaf.root, leaf.middle) for leaf in TREE.values()} == {
        (r["root"], r["middle"]) for r in rows_of(catalogue)
    }


def test_catalogue_without_dirt(drawn_dozen: DrawnCatalogue) -> None:
    rows = rows_of(drawn_dozen)
    assert tuple(rows[0]) == COLUMNS
    assert Counter(row["leaf"] for row in rows) == drawn_dozen.leaf_sizes == {"T-Shirts": 7, "Sneakers": 5}
    assert len({Image.open(drawn_dozen.photos / row["image"]).tobytes() for row in rows}) == 12
    assert all(row["title"] for row in rows)
    assert drawn_dozen.rejected == {}
    assert {Image.open(drawn_dozen.photos / row["image"]).size for row in rows} == {(32, 32)}


def test_reported_dirt_is_in_the_files(drawn: DrawnCatalogue) -> None:
    rows, rejected, usable = rows_of(drawn), Counter(), Counter()
    identical = defaultdict(set)
    for row in rows:
        path = drawn.photos / row["image"]
        if not row["leaf"]:
            rejected["no category"] += 1
        elif not path.exists():
            rejected["missing photo"] += 1
        else:
            try:
                pixels = ImageOps.exif_transpose(Image.open(path)).convert("RGB").tobytes()
            except UnidentifiedImageError:
                rejected["undecodable"] += 1
            except OSError as error:
                assert "truncated" in str(error).lower()
                rejected["truncated"] += 1
            else:
                usable[row["leaf"]] += 1
                identical[pixels].add((row["id"], row["leaf"]))
    groups = [group for group in identical.values() if len(group) > 1]
    assert len(rows) == drawn.rows == len({row["id"] for row in rows})
    assert rejected == drawn.rejected
    assert usable == drawn.leaf_sizes
    assert sum(usable.values()) == drawn.usable_rows
    assert len(groups) == drawn.duplicate_groups
    assert sum(len({leaf for _, leaf in group}) > 1 for group in groups) == drawn.conflicting_groups


def test_one_leaf_has_two_parents(drawn: DrawnCatalogue) -> None:
    parents = defaultdict(set)
    for row in rows_of(drawn):
        parents[row["leaf"]].add((row["root"], row["middle"]))
    with_two = tuple(leaf for leaf, categories in parents.items() if leaf and len(categories) > 1)
    assert with_two == drawn.leaves_with_two_parents == ("Sneakers",)


def test_photos_have_unusual_formats(drawn: DrawnCatalogue) -> None:
    formats, endings = set(), set()
    for row in rows_of(drawn):
        path = drawn.photos / row["image"]
        endings.add(path.suffix)
        if path.exists() and row["id"] < "P000008":
            with Image.open(path) as photo:
                formats.add((photo.format, photo.mode, photo.getexif().get(0x0112)))
    assert formats >= {("JPEG", "CMYK", None), ("JPEG", "L", None), ("JPEG", "RGB", 6), ("PNG", "RGBA", None)}
    assert formats >= {("PNG", "P", None), ("WEBP", "RGB", None), ("JPEG", "RGB", None)}
    assert endings >= {".jpg", ".JPG", ".Jpeg", ".png", ".PNG", ".webp"}


def test_titles_contain_every_kind(drawn: DrawnCatalogue) -> None:
    titles = [row["title"] for row in rows_of(drawn)]
    text = " ".join(titles)
    assert any(title.isascii() and title for title in titles)
    assert any(all(not c.isascii() for c in title if c.isalpha()) for title in titles if title.strip())
    assert "包邮" in text
    assert "free shipping" in text.lower()
    assert any("\uff01" <= c <= "\uff5e" and c.isalpha() for c in text), "no full-width letters"
    assert "Nord-Vik" in text
    assert sum(not any(c.isalnum() for c in title) for title in titles) >= 4


def test_attributes_are_partly_missing(drawn: DrawnCatalogue) -> None:
    rows = rows_of(drawn)
    for name in ("colour", "pattern", "material"):
        missing = sum(not row[name] for row in rows)
        assert 0 < missing < len(rows) / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leaves": 0}, "leaves=0"),
        ({"leaves": 99}, "expected 1 to 29"),
        ({"products": 5, "leaves": 2, "dirt": False}, "too few for 2 leaves"),
        ({"products": 30, "leaves": 2}, "dirt needs at least 40"),
        ({"size": 8}, "size=8"),
    ],
)
def test_arguments_without_a_catalogue_raise(tmp_path: Path, options: dict[str, int], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        draw_catalogue(tmp_path, **options)
