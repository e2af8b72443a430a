"""Parquet tables as Hugging Face writes them, with photos inside, with their paths, or with some of both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from prodrec.core.base.errors import BadOption
from prodrec.pipeline.prepare import prepare
from prodrec.pipeline.preview import preview

if TYPE_CHECKING:
    from conftest import Shop

SCHEMA: dict[str, Any] = {"image": pl.Struct({"bytes": pl.Binary, "path": pl.String}), "label": pl.String}


def photo_table(shop: Shop, inside: list[bool], name: str = "shop.parquet") -> Path:
    """A table of photos, each of them inside the table or as a path."""
    rows = shop.products({"A/a": (len(inside) + 1) // 2, "A/b": len(inside) // 2})
    photos = [
        {"bytes": (shop.photos / row["image"]).read_bytes() if is_inside else None, "path": row["image"]}
        for row, is_inside in zip(rows, inside, strict=True)
    ]
    table = shop.directory / name
    pl.DataFrame({"image": photos, "label": [row["leaf"] for row in rows]}, schema=SCHEMA).write_parquet(table)
    return table


def test_paths_without_photos_are_names_of_files(shop: Shop) -> None:
    table = photo_table(shop, [False] * 6)
    found = preview(table, images=shop.photos)
    dataset = prepare(table, images=shop.photos, out=shop.directory / "out")
    assert len(dataset) == found.kept == found.inputs.found == 6 and found.inputs.source == str(shop.photos)
    beside = shop.directory / "photos" / table.name
    table.rename(beside)
    assert len(prepare(beside, out=shop.directory / "in-place", in_place=True)) == preview(beside).kept == 6


def test_images_beside_photos_inside_a_table(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    table = photo_table(shop, [True] * 4)
    note = f"shop.parquet contains the photos themselves, so --images {shop.photos} is ignored"
    assert note in preview(table, images=shop.photos).notes[-1]
    dataset = prepare(table, images=shop.photos, out=shop.directory / "out")
    assert len(dataset) == 4 and note in " ".join(capsys.readouterr().err.split())


def test_photos_inside_a_table_cannot_stay_in_place(shop: Shop) -> None:
    table, out = photo_table(shop, [True] * 4), shop.directory / "out"
    for function in (preview, prepare):
        with pytest.raises(BadOption, match=r"shop\.parquet contains the photos themselves, .*; omit --in-place\.$"):
            function(table, out=out, in_place=True)
    assert len(prepare(table, out=out)) == preview(table).kept == 4


def test_some_rows_without_a_photo_inside(shop: Shop) -> None:
    table = photo_table(shop, [True, False, True, True])
    found = preview(table)
    dataset = prepare(table, out=shop.directory / "out")
    assert found.kept == len(dataset) == 3
    rejects = {reject.reason: reject.rows for reject in found.rejected}
    assert rejects == dataset.header["counts"]["rows"]["by_reason"] == {"missing photo": 1}
    rejected = pl.read_csv(shop.directory / "out" / "rejected.csv")
    assert rejected["detail"].to_list() == [f"no such photo in {table}"]
    assert str(table) in found.rejected[0].examples[0]


def test_tables_that_are_splits(shop: Shop) -> None:
    tables = [photo_table(shop, [True] * 4, f"{split}-00000-of-00001.parquet") for split in ("train", "test")]
    found = preview(tables)
    assert found.split.source == "tables" and found.split.rows == {"train": 4, "test": 4, "validation": 0}
    assert "from the names of the tables: train 4 · test 4" in str(found)
