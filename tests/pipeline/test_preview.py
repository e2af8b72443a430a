"""`prepare --dry-run` as a function, on small shops that each test draws."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from prodrec.core.base.errors import BadFeatures, BadOption
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.pipeline.preview import preview

if TYPE_CHECKING:
    from conftest import Shop

LISTING_SECONDS = "prodrec.core.data.prepare.preview_inputs.LISTING_SECONDS"


def files(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def dirty(shop: Shop) -> Path:
    """A table of 12 rows, of which 4 can not be used and one line is blank."""
    rows = shop.products({"Tops/Shirts": 7, "Shoes/Boots": 5}, colour="red", part="train")
    rows[2]["image"] = "lost.png"
    rows[3]["root"], rows[3]["leaf"] = "", ""
    rows[4]["part"] = "exam"
    rows[11]["part"] = "test"
    lines = shop.table(rows).read_text("utf-8").splitlines()
    lines[6] += ",one,two"
    lines.insert(9, "")
    table = shop.directory / "products.csv"
    table.write_text("\n".join(lines) + "\n", "utf-8")
    return table


def test_a_whole_table_is_rejected_as_by_prepare(shop: Shop) -> None:
    table = dirty(shop)
    before = files(shop.directory)
    options: dict[str, Any] = {"attributes": ("colour",), "split_column": "part"}
    found = preview(table, images=shop.photos, **options)
    assert files(shop.directory) == before
    columns = ColumnNames(attributes=("colour",), split="part")
    counts = shop.prepare(table, columns=columns).header["counts"]
    assert {reject.reason: reject.rows for reject in found.rejected} == counts["rows"]["by_reason"]
    assert found.kept == counts["rows"]["kept"] and found.photo_rows == counts["rows"]["in"] and found.is_whole
    assert {level.name: level.classes for level in found.levels} == counts["levels"]
    assert found.split.source == "column" and found.split.rows == {"train": 7, "test": 1, "validation": 0}
    assert found.attributes[0].states == counts["attributes"]["colour"]["states"] == 1
    text = str(found)
    assert "malformed row, such as row 7: line 7: 9 fields where the header has 7" in text
    assert "missing photo, such as row 4, lost.png: no such photo" in text
    assert "unknown split, such as row 6, 4.png: exam" in text
    assert "blank row, such as row 10" in text


def test_columns_format_and_examples(shop: Shop) -> None:
    rows = [
        {
            "sku": row["id"],
            "photo": row["image"],
            "name": f"Café {'long ' * 40}",
            "categories": "A > Größe > x",
            "preis": "1",
        }
        for row in shop.products({"a": 3})
    ]
    table = shop.directory / "shop.csv"
    lines = [";".join(rows[0]), *(";".join(row.values()) for row in rows)]
    table.write_bytes(("\r\n".join(lines) + "\r\n").encode("cp1252"))
    found = preview(table, images=shop.photos)
    (description,) = found.tables
    assert (description.format, description.separator) == ("CSV", ";")
    encoding = str(description.encoding).upper()
    assert any(f"is not UTF-8; it is read as {encoding}" in note for note in found.notes)
    assert found.columns == {
        "id": ["sku"],
        "product": [],
        "title": ["name"],
        "split": [],
        "images": ["photo"],
        "categories": ["categories"],
        "attributes": [],
    }
    assert found.unused_columns == ("preis",)
    assert found.example_paths == (("A", "Größe", "x"),)
    example = found.examples[0]
    assert (example.row, example.id, example.photo, example.has_photo) == (2, "0", "0.png", True)
    text = str(found)
    assert f"CSV with semicolons, {encoding}, 5 columns" in text and "not used: preis" in text
    assert "A > Größe > x" in text and "0.png (found)" in text and "long …" in text
    assert all(len(line) < 300 for line in text.splitlines())


@pytest.mark.parametrize(("ending", "name"), [("jsonl", "JSON lines"), ("parquet", "Parquet"), ("json", "JSON")])
def test_other_formats(shop: Shop, ending: str, name: str) -> None:
    frame = pl.DataFrame(shop.products({"A/a": 4}))
    table = shop.directory / f"shop.{ending}"
    writers: dict[str, Any] = {"jsonl": frame.write_ndjson, "parquet": frame.write_parquet, "json": frame.write_json}
    writers[ending](table)
    found = preview(table, images=shop.photos, max_rows=3)
    assert found.tables[0].format == name and found.rows_read == 3 and not found.is_whole


def test_a_feed_is_read_no_further_than_needed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows the first rows is not even well-formed."""
    monkeypatch.setattr("prodrec.core.data.tables.xml_table._CHUNK_ROWS", 4)
    items = "".join(
        f"<item><id>{row['id']}</id><title>{row['title']}</title><image_link>https://cdn.example/x/{row['image']}"
        f"</image_link><product_type>A &gt; a</product_type></item>"
        for row in shop.products({"A/a": 5})
    )
    table = shop.directory / "feed.xml"
    table.write_text(f"<rss><channel>{items}{' ' * 200_000}</wrong>", "utf-8")
    found = preview(table, images=shop.photos, max_rows=4)
    assert found.kept == 4 and found.inputs.matched == {"by the base name of a web address": 4}


def test_only_the_first_rows(shop: Shop) -> None:
    """Of what needs all rows, nothing is applied."""
    rows = shop.products({"A/a": 6, "B/b": 4}, colour="red")
    (shop.photos / rows[9]["image"]).unlink()
    table = shop.table(rows)
    options: dict[str, Any] = {"attributes": "colour", "min_leaf_images": 7, "min_attribute_images": 8}
    found = preview(table, images=shop.photos, max_rows=6, **options)
    assert not found.is_whole and found.kept == found.rows_read == 6 and not found.rejected
    assert [level.classes for level in found.levels] == [1, 1] and len(found.attributes) == 1
    assert [text.partition(" ")[0] for text in found.not_checked] == [
        "photos",
        "--min-leaf-images",
        "--min-attribute-images",
    ]
    assert "only the first ones" in str(found)
    whole = preview(table, images=shop.photos, max_rows=11, **options)
    assert whole.is_whole and whole.kept == 0 and whole.next_command is None
    assert {reject.reason for reject in whole.rejected} == {"missing photo", "leaf below --min-leaf-images"}
    assert "none of these rows can be used" in str(whole)


def test_every_table_is_read(shop: Shop) -> None:
    rows = shop.products({"A/a": 6})
    tables = [shop.table(rows[:3], "one.csv"), shop.table(rows[3:], "two.csv")]
    found = preview(tables, images=shop.photos, max_rows=2)
    assert found.rows_read == 4 and not found.is_whole
    assert {Path(example.table).name for example in found.examples} == {"one.csv", "two.csv"}
    assert "two.csv, row 2" in str(found)
    assert preview(tables, images=shop.photos, max_rows=4).is_whole


def test_what_looks_wrong(shop: Shop) -> None:
    rows = shop.products({"A/Shirts": 3, "A/shirts": 2, "A/NULL": 1})
    rows[0]["title"] = "ສະບາຍດີ ເສື້ອ"
    lines = shop.table(rows).read_text("utf-8").splitlines()
    lines[2] = lines[2].replace("Shirts item1", '"5 inch')
    table = shop.directory / "products.csv"
    table.write_text("\n".join(lines) + "\n", "utf-8")
    (shop.directory / "dataset").mkdir()
    (shop.directory / "dataset" / "dataset.json").write_text("{}")
    found = preview(table, images=shop.photos, out=shop.directory / "dataset")
    notes = "\n".join(found.notes)
    for words in (
        "'Shirts' and 'shirts'",
        "--ignore-case",
        "NULL",
        "1 title contains Lao",
        "exists already",
    ):
        assert words in notes, words
    assert "a quote is not closed in 1 line (3)" in notes
    assert all(note in str(found) for note in found.notes)


def test_ragged_paths_and_large_products(shop: Shop) -> None:
    rows = shop.products({"x": 150})
    for i, row in enumerate(rows):
        row["id"], row["leaf"] = "same", "A > B > C" if i else "A"
    found = preview(shop.table(rows), images=shop.photos)
    notes = "\n".join(found.notes)
    assert "different numbers of levels (1 of 1, 149 of 3)" in notes and "150 rows are the product 'same'" in notes
    assert found.levels[0].rows == 150 and found.levels[2].rows == 149
    assert found.products == {"count": 1, "with_several_photos": 1}


def test_several_photos_in_a_cell(shop: Shop) -> None:
    rows = shop.products({"A/a": 4})
    rows[0]["image"] = "0.png, 1.png"
    rows[1]["image"] = "gone.png"
    found = preview(shop.table(rows), images=shop.photos)
    assert (found.rows_read, found.photo_rows, found.kept) == (4, 5, 4)
    assert "4 read, with 5 photos" in str(found)
    assert found.inputs.found == 4 and found.inputs.missing == 1 and found.inputs.count == 4


def test_folders(shop: Shop) -> None:
    for name in ("train/A/a/1.png", "train/A/b/2.png", "test/A/a/3.png"):
        shop.photo(name)
    (shop.photos / "train" / "A" / "notes.txt").write_text("no photo")
    found = preview(images=shop.photos)
    assert found.split.source == "folders" and found.split.rows == {"train": 2, "test": 1, "validation": 0}
    assert found.kept == 3 and found.rejected[0].reason == "not a photo" and found.tables == ()
    assert "notes.txt" in found.rejected[0].examples[0]
    assert "from the names of the folders: train 2 · test 1" in str(found)


def test_a_folder_that_takes_longer_than_a_preview(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo that was not reached is not called missing; those that the table names are looked up all the same."""
    rows = shop.products({"A/a": 6, "B/b": 2})
    rows[3]["image"] = "PHOTO/LOST.PNG"
    rows[4]["image"] = ""
    table = shop.table(rows)
    monkeypatch.setattr(LISTING_SECONDS, 0.0)
    found = preview(table, images=shop.photos, min_leaf_images=3)
    assert not found.inputs.is_complete and found.inputs.not_reached + found.inputs.found == 7
    assert [(reject.reason, reject.rows) for reject in found.rejected] == [("missing photo", 1)]
    assert "listed in the seconds of a preview" in str(found)
    folders = shop.directory / "folders"
    shop.photos.rename(folders)
    (folders / "A").mkdir()
    for photo in list(folders.glob("*.png")):
        photo.rename(folders / "A" / photo.name)
    assert 1 <= preview(images=folders).kept <= 8


def test_names_of_a_huge_folder_are_looked_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the photos of all names are there, the folder is not listed."""
    rows = shop.products({"A/a": 3})
    rows[1]["image"] = "https://cdn.example/shop/1.png?v=3"
    rows[2]["image"] = str(shop.photos / "2.png")

    def refuse(_: Path) -> Any:
        raise AssertionError("the folder is listed")

    monkeypatch.setattr("prodrec.core.data.photos.partial_listing.folder_members", refuse)
    found = preview(shop.table(rows), images=shop.photos)
    assert found.kept == found.inputs.found == 3 and not found.inputs.not_reached and found.is_whole
    assert sum(found.inputs.matched.values()) == 3 and "3 rows have their photo" in str(found)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_archives(shop: Shop, monkeypatch: pytest.MonkeyPatch, mode: str, seconds: float) -> None:
    rows = shop.products({"A/a": 5})
    archive = shop.directory / "photos.tar"
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]  # any mode
        for row in rows:
            tar.add(shop.photos / row["image"], f"photos/{row['image']}")
    monkeypatch.setattr(LISTING_SECONDS, seconds)
    table = shop.table(rows)
    before = files(shop.directory)
    found = preview(table, images=archive)
    assert files(shop.directory) == before and found.kept == 5
    assert found.inputs.is_complete == (seconds > 0)
    if seconds:
        assert found.inputs.matched == {"by base name": 5}
    if mode != "w":
        with pytest.raises(BadOption, match="--in-place cannot use the compressed"):
            preview(table, images=archive, in_place=True)


def test_photos_inside_a_table_are_not_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = shop.products({"A/a": 3})
    photos: list[dict[str, bytes | None]] = [
        {"bytes": (shop.photos / row["image"]).read_bytes(), "path": None} for row in rows
    ]
    photos[1]["bytes"] = None
    schema: dict[str, Any] = {"image": pl.Struct({"bytes": pl.Binary, "path": pl.String}), "label": pl.String}
    table = shop.directory / "train.parquet"
    pl.DataFrame({"image": photos, "label": [row["leaf"] for row in rows]}, schema=schema).write_parquet(table)
    monkeypatch.setattr("prodrec.core.data.prepare.build.photos_from_blobs", None)
    found = preview(table)
    assert found.kept == found.inputs.found == 2 and found.inputs.source is None
    assert "inside the tables: 2 files; 2 rows have their photo" in str(found)
    assert found.rejected[0].examples == ("row 2: the table names no photo",)


def test_vectors(shop: Shop) -> None:
    table = shop.table(shop.products({"A/a": 6}))
    vectors = shop.directory / "vectors.npy"
    np.save(vectors, np.ones((5, 4), np.float32))
    with pytest.raises(BadFeatures, match=r"5 vectors and products\.csv 6 rows"):
        preview(table, features=vectors)
    found = preview(table, features=vectors, max_rows=2)
    assert (found.inputs.kind, found.inputs.count, found.inputs.width) == ("features", 5, 4)
    assert "5 vectors of 4 numbers" in str(found)


def test_titles_alone(shop: Shop) -> None:
    found = preview(shop.table(shop.products({"A/a": 2})), no_images=True)
    assert found.kept == 2 and found.inputs.kind == "nothing" and found.not_checked == ()
    assert found.examples[0].has_photo is None


def test_json_and_next_command(shop: Shop) -> None:
    """The object has plain values, and the command has the same options."""
    config = shop.directory / "shop.toml"
    config.write_text('levels = ["root", "leaf"]\n')
    table = shop.table(shop.products({"A/a": 2}), "my products.csv")
    found = preview(
        [table], images=shop.photos, config=config, in_place=True, attributes=("root",), out="it's", workers=1, seed=3
    )
    assert found.next_command == (
        f"prodrec prepare '{table}' --images {shop.photos} --config {config} --out 'it'\"'\"'s' --workers 1 --in-place "
        "--attributes root --seed 3"
    )
    values = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert values["levels"] == [{"name": "root", "classes": 1, "rows": 2}, {"name": "leaf", "classes": 1, "rows": 2}]
    assert values["examples"][0]["path"] == ["A", "a"] and values["next_command"] == found.next_command
    assert values["rows_read"] == 2 and values["tables"][0]["columns"] == ["id", "image", "title", "root", "leaf"]


def test_no_temporary_file_remains(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = shop.directory / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    preview(shop.table(shop.products({"A/a": 2})), images=shop.photos)
    assert os.listdir(scratch) == []  # noqa: PTH208
