"""Updating an index from tables: what is added, changed, removed, left alone and rejected."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from prodrec.core.base.errors import BadOption, BadTable, Mismatch, NotFound
from prodrec.index.product_index import ProductIndex
from prodrec.index.writer import open_to_write
from prodrec.pipeline.index_info import check_index
from prodrec.pipeline.index_update import update_index
from prodrec.pipeline.load_index import load_index


@pytest.fixture(scope="module")
def place(indexed: Path) -> Path:
    return indexed


def draw(name: str, seed: int) -> str:
    Path("new").mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((48, 48)).save(Path("new") / name)
    return name


def write(rows: Sequence[dict[str, Any]], name: str = "new.csv") -> str:
    with Path(name).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return name


def test_the_table_of_the_dataset_changes_nothing(folder: Path, drawn: Any) -> None:
    index = ProductIndex.open(folder / "index")
    known = set(index.frame("sku")["sku"])
    updated = update_index("index", drawn.table, images=drawn.photos)
    assert updated.changes.changed == () and updated.changes.unchanged == len(known) - len(
        [sku for sku in known if sku in updated.changes.removed]
    )
    assert not set(updated.changes.added) & known
    again = update_index("index", drawn.table, images=drawn.photos)
    assert again.changes.added == () and again.version == updated.version, "nothing is written"
    assert again.rejected == updated.rejected > 0
    reasons = set(pl.read_csv("index/rejected.csv")["reason"])
    assert {"missing photo", "undecodable"} & reasons and "rows cannot be used: see index/rejected.csv" in str(again)


def test_new_products_are_found_after_the_update_only(folder: Path) -> None:
    """Also one of a class that the run was never trained on, by its products alone and by both."""
    photo = draw("hat.png", 1)
    table = write(
        [{"id": "H1", "image": photo, "title": "straw hat", "root": "Hats", "middle": "Sun", "leaf": "Straw"}]
    )
    before = load_index("index").predict(f"new/{photo}")[0]
    assert before.products is not None and "H1" not in {product.sku for product in before.products}
    updated = update_index("index", table, images="new")
    assert updated.changes.added == ("H1",) and updated.products == updated.changes.unchanged + len(
        set(ProductIndex.open(Path("index")).frame("sku")["sku"])
    )
    after = load_index("index", by="products").predict(f"new/{photo}")[0]
    best = (after.products or [])[0]
    assert (best.sku, best.title, best.path) == ("H1", "straw hat", ("Hats", "Sun", "Straw"))
    assert best.cosine > 0.999 and best.share > 0
    both = load_index("index").predict(f"new/{photo}", top=1000)[0]
    assert ("Hats", "Sun", "Straw") in {one.path for one in both.levels["leaf"] if one.confidence > 0}
    assert check_index("index") == len(ProductIndex.open(Path("index")))


def test_changed_products_are_replaced(folder: Path) -> None:
    row = {"root": "Toys", "middle": "Toy Vehicles", "leaf": "Toy Cars"}
    rows = [{"id": "N1", "image": draw(f"{i}.png", i), "title": "car", **row} for i in range(3)]
    update_index("index", write(rows), images="new")
    index = ProductIndex.open(Path("index"))
    product = index.product("N1")
    assert product is not None and product.photos == 3 and product.title == "car"
    fewer = [{**rows[0], "title": "red car"}, {**rows[2], "title": "red car"}]
    updated = update_index("index", write(fewer), images="new")
    assert updated.changes.changed == ("N1",) and updated.changes.added == ()
    index = index.refreshed()
    product = index.product("N1")
    assert product is not None and product.photos == 2 and product.title == "red car"
    assert index.thumbnail("N1", 1) is not None and index.thumbnail("N1", 2) is None
    draw("0.png", 99)
    assert update_index("index", write(fewer), images="new").changes.changed == ("N1",), "another photo of this name"
    assert update_index("index", write(fewer), images="new").changes.unchanged == 1


def test_a_table_without_categories(folder: Path) -> None:
    write([{"id": "X1", "image": draw("x.png", 5), "title": "thing"}])
    update_index("index", "new.csv", images="new")
    product = ProductIndex.open(Path("index")).product("X1")
    assert product is not None and product.is_predicted and len(product.path) == 3
    found = load_index("index").predict("new/x.png")[0]
    assert (found.products or [])[0].sku == "X1" and (found.products or [])[0].share == 0, "it does not vote"


def test_columns_are_those_of_the_dataset_or_named(folder: Path) -> None:
    rows = [{"number": "Z1", "file": draw("z.png", 6), "colour": "red", "cat": "Toys > Toy Vehicles > Toy Cars"}]
    table = write(rows)
    columns = {"id": "number", "image": "file", "path": "cat", "attributes": "colour"}
    update_index("index", table, images="new", columns=columns)
    product = ProductIndex.open(Path("index")).product("Z1")
    assert product is not None and product.path == ("Toys", "Toy Vehicles", "Toy Cars") and product.tags == ("red",)
    with pytest.raises(BadTable, match="has no column 'size'"):
        update_index("index", table, images="new", columns={**columns, "attributes": "size"})


def test_products_are_removed(folder: Path, drawn: Any) -> None:
    index = ProductIndex.open(folder / "index")
    skus = sorted(set(index.frame("sku")["sku"]))
    Path("gone.txt").write_text(f"{skus[1]}\n\n{skus[2]}\nnone\n", "utf-8")
    updated = update_index("index", remove=[skus[0], "gone.txt"])
    assert updated.changes.removed == tuple(skus[:3]) and updated.unknown == ("none",)
    assert set(index.refreshed().frame("sku")["sku"]) == set(skus[3:]) and updated.products == len(skus) - 3
    assert index.product(skus[0]) is not None, "this reader has the version of before"


def test_the_whole_catalogue(folder: Path, drawn: Any) -> None:
    skus = sorted(set(ProductIndex.open(folder / "index").frame("sku")["sku"]))
    lines = drawn.table.read_text("utf-8").splitlines()
    Path("part.csv").write_text("\n".join([lines[0], *lines[1:20]]) + "\n", "utf-8")
    with pytest.raises(BadOption, match=r"--whole would remove \d+ of \d+ products.*add --force"):
        update_index("index", "part.csv", images=drawn.photos, whole=True)
    assert sorted(set(ProductIndex.open(folder / "index").frame("sku")["sku"])) == skus
    updated = update_index("index", "part.csv", images=drawn.photos, whole=True, force=True)
    remaining = set(ProductIndex.open(folder / "index").frame("sku")["sku"])
    assert set(updated.changes.removed) == set(skus) - remaining and 0 < len(remaining) < 20


def test_a_product_that_cannot_be_read_remains(folder: Path) -> None:
    row = {"id": "K1", "title": "car", "root": "Toys", "middle": "Toy Vehicles", "leaf": "Toy Cars"}
    update_index("index", write([{**row, "image": draw("k.png", 7)}]), images="new")
    Path("new/k.png").write_bytes(b"\x89PNG broken")
    updated = update_index("index", write([{**row, "image": "k.png"}]), images="new", whole=True, force=True)
    assert updated.rejected == 1 and updated.changes.changed == ()
    assert ProductIndex.open(Path("index")).product("K1") is not None


def test_what_cannot_be_done(folder: Path, drawn: Any) -> None:
    for options, message in (
        ({}, "there is nothing to change: give a table of products, or --remove"),
        ({"remove": ["x"], "whole": True}, "--whole is about a table"),
        ({"remove": ["x"], "images": "new"}, "--images is about a table"),
        ({"remove": ["x"], "columns": {"id": "sku"}}, "a column is about a table"),
    ):
        with pytest.raises(BadOption, match=message):
            update_index("index", **options)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="none does not exist; expected the directory of a prodrec index"):
        update_index("none", drawn.table)
    sku = ProductIndex.open(folder / "index").frame("sku")["sku"][0]
    with pytest.raises(BadOption, match=rf"{sku} is in the table and in --remove"):
        update_index("index", drawn.table, images=drawn.photos, remove=[sku])
    shutil.move("runs/visual", "elsewhere")
    with pytest.raises(NotFound, match="name its place with --run"):
        update_index("index", drawn.table, images=drawn.photos)
    assert update_index("index", drawn.table, images=drawn.photos, run="elsewhere").changes.changed == ()
    with open_to_write(Path("index")) as opened:
        text = (opened.path / "index.json").read_text("utf-8")
    (folder / "index/index.json").write_text(text.replace(opened.run_fingerprint, "other"), "utf-8")
    with pytest.raises(
        Mismatch, match=r"make the index again with `prodrec index build elsewhere --out index --force`"
    ):
        update_index("index", drawn.table, images=drawn.photos, run="elsewhere")
