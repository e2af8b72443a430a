"""`prepare` as a whole, on a small shop that each test draws."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from prodrec.core.base.artefact import SPLITS
from prodrec.core.data.dataset import open_dataset
from prodrec.core.data.duplicates.perceptual_hash import SIDE, hash_grey
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.pipeline.prepare import prepare_dataset

if TYPE_CHECKING:
    from conftest import Shop


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("chunk_rows", [100, 2])
def test_duplicates_are_listed_by_group(shop: Shop, monkeypatch: pytest.MonkeyPatch, chunk_rows: int) -> None:
    monkeypatch.setattr("prodrec.core.data.prepare.write_lists.CHUNK_ROWS", chunk_rows)
    rows = shop.products({"A/a": 7})
    for i, row in enumerate(rows):
        shop.photo(row["image"], seed=i % 2 if i < 6 else 5)
    duplicates = read(shop.prepare(shop.table(rows)).path / "duplicates.csv")
    assert [(row["group"], row["row"], row["id"]) for row in duplicates] == [
        (str(group), str(i), str(i)) for group in (0, 1) for i in (group, group + 2, group + 4)
    ]
    picture = shop.picture(1)
    pixel_hash = hashlib.blake2b(repr(picture.size).encode() + picture.tobytes(), digest_size=16).hexdigest()
    grey = np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))
    assert duplicates[3]["pixels"] == pixel_hash
    assert duplicates[3]["perceptual"] == f"{int(hash_grey(grey[None])[0]):016x}"


def test_fingerprint(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fingerprint depends on everything that a model can see, and not on workers, chunks or paths."""
    rows = shop.products({"A/a": 8, "A/b": 4}, colour="red")
    table = shop.table(rows)
    first = shop.prepare(table)
    with monkeypatch.context() as patch:
        patch.setattr("prodrec.core.data.photos.decoding.MIN_PHOTOS_FOR_WORKERS", 0)
        patch.setattr("prodrec.core.data.prepare.titles.MIN_TITLES_FOR_WORKERS", 0)
        patch.setattr("prodrec.core.data.tables.catalogue.CHUNK_ROWS", 5)
        patch.setattr("prodrec.core.data.tables.catalogue_files.CHUNK_ROWS", 5)
        patch.setattr("prodrec.core.data.tables.text_file.BLOCK_BYTES", 100)
        patch.setattr("prodrec.core.data.titles.encode._CHUNK_TITLES", 3)
        patch.setattr("prodrec.core.base.ragged.CHUNK_ROWS", 2)
        header = prepare_dataset([table], images=shop.photos, out=shop.directory / "again", workers=2)
    assert header["fingerprint"] == first.fingerprint
    shards = [shop.directory / out / "photos" / "00000.bin" for out in ("dataset", "again")]
    assert shards[0].read_bytes() == shards[1].read_bytes()
    assert shop.prepare(shop.table(rows, "other.csv")).fingerprint == first.fingerprint
    variants: list[dict[str, Any]] = [
        {"seed": 1},
        {"size": 16},
        {"in_place": True},
        {"drop_rare": 0.3},
        {"columns": ColumnNames(attributes=("colour",))},
        {"columns": ColumnNames(levels=("leaf",))},
    ]
    others = [shop.prepare(table, **options).fingerprint for options in variants]
    rows[0]["title"] += "!"  # the words stay the same
    others.append(shop.prepare(shop.table(rows)).fingerprint)
    shop.photo(rows[0]["image"], seed=1000)
    others.append(shop.prepare(shop.table(rows)).fingerprint)
    assert len({first.fingerprint, *others}) == 9


def test_folders_are_categories(shop: Shop) -> None:
    for name in (
        "Tops/Shirts/1.png",
        "Tops/Shirts/2.PNG",
        "Tops/Vests/1.png",
        "Shoes/Boots/a.png",
        "Shoes/3.png",
        "4.png",
    ):
        shop.photo(name)
    (shop.photos / "Tops" / "notes.txt").write_text("no photo")
    dataset = shop.prepare()
    assert dataset.taxonomy.levels == ("level1", "leaf")
    ids = ["Shoes/3.png", "Shoes/Boots/a.png", "Tops/Shirts/1.png", "Tops/Shirts/2.PNG", "Tops/Vests/1.png"]
    assert dataset.ids() == ids
    assert dataset.labels_NL.tolist() == [[0, -1], [0, 0], [1, 1], [1, 1], [1, 2]]
    assert dataset.header["counts"]["rows"]["by_reason"] == {"no category": 1, "not a photo": 1}
    assert shop.prepare(require_leaf=True).ids() == ids[1:]
    assert shop.prepare(columns=ColumnNames(levels=("kind", "sort"))).taxonomy.levels == ("kind", "sort")


def test_path_identity(shop: Shop) -> None:
    rows = shop.products({"Men/Shirts": 2, "Women/Shirts": 1, "Women/Skirts": 1})
    table = shop.table(rows)
    assert shop.prepare(table).taxonomy.leaves == ("Shirts", "Skirts")
    dataset = shop.prepare(table, path_identity=True)
    assert dataset.taxonomy.leaves == ("Men / Shirts", "Women / Shirts", "Women / Skirts")
    assert dataset.taxonomy.path(1) == ("Women", "Women / Shirts")
    assert dataset.header["counts"]["several_parents"] == {"classes": 0, "rows_moved": 0}


def test_rows_without_a_first_level_are_rejected(shop: Shop) -> None:
    """Rows without a leaf keep their other labels, and are rejected only with --require-leaf."""
    rows = shop.products({"A/x": 3})
    rows[0]["root"], rows[1]["leaf"] = "  ", "NA"
    table = shop.table(rows)
    shop.prepare(table)
    rejected = read(shop.directory / "dataset" / "rejected.csv")
    assert [(row["row"], row["reason"], row["detail"]) for row in rejected] == [("2", "no category", "root empty")]
    dataset = shop.prepare(table, missing_values=("NA",))
    assert dataset.labels_NL.tolist() == [[0, -1], [0, 0]]
    assert dataset.products()["level_leaf"].to_list() == [None, "x"]
    assert dataset.header["counts"]["labels_missing"] == {"root": 0, "leaf": 1}
    assert len(shop.prepare(table, missing_values=("NA",), require_leaf=True)) == 1


def test_conflicts_can_be_dropped(shop: Shop) -> None:
    rows = shop.products({"a": 3, "b": 3})
    rows[0]["image"] = rows[3]["image"]  # one photo under a and b
    table = shop.table(rows)
    assert len(shop.prepare(table)) == 6
    dataset = shop.prepare(table, drop_conflicts=True)
    assert dataset.ids() == ["1", "2", "4", "5"]
    assert dataset.header["counts"]["rows"]["by_reason"] == {"conflicting labels": 2}
    assert len(read(dataset.path / "conflicts.csv")) == 2


def test_full_and_core_datasets(shop: Shop) -> None:
    """Paper S §4.1: reject rare leaves, then rows without attributes, then rare attributes. Leaves that become rare by
    this remain."""
    rows = shop.products({"a": 6, "b": 4, "c": 3}, colour="", sleeve="", brand="")
    for i in (0, 1, 6, 10):
        rows[i]["colour"] = "red"
    rows[2]["sleeve"] = rows[7]["sleeve"] = "long"
    rows[7]["brand"] = "Z"
    rows[11]["sleeve"] = "short"
    (shop.photos / rows[9]["image"]).write_bytes(b"broken")  # b has 3 usable photos
    columns = ColumnNames(attributes=("colour", "sleeve", "brand"))
    table = shop.table(rows)
    dataset = shop.prepare(table, columns=columns, min_leaf_images=3, only_with_attributes=True, min_attribute_images=2)
    assert dataset.ids() == ["0", "1", "2", "6", "7", "10", "11"]
    assert [(a.name, a.states) for a in dataset.attributes] == [("colour", ("red",)), ("sleeve", ("long", "short"))]
    assert dataset.attributes_NA.tolist() == [[1, 0], [1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [0, 2]]
    counts = dataset.header["counts"]
    assert counts["rows"]["by_reason"] == {"no attribute": 5, "undecodable": 1}
    assert counts["attributes_dropped"] == {"brand": 1}
    dataset = shop.prepare(table, columns=columns, min_leaf_images=4)
    assert dataset.taxonomy.leaves == ("a",)
    assert dataset.header["counts"]["rows"]["by_reason"] == {"leaf below --min-leaf-images": 6, "undecodable": 1}
    assert {row["detail"] for row in read(dataset.path / "rejected.csv")} >= {"b has 3", "c has 3"}


def test_unused_states_are_dropped(shop: Shop) -> None:
    rows = shop.products({"a": 3, "b": 1})
    for row, colour in zip(rows, ("red", "blue", "", "green"), strict=True):
        row["colour"] = colour
    dataset = shop.prepare(shop.table(rows), columns=ColumnNames(attributes=("colour",)), min_leaf_images=2)
    assert dataset.attributes[0].states == ("blue", "red") and dataset.attributes_NA[:, 0].tolist() == [2, 1, 0]


def test_given_splits(shop: Shop) -> None:
    rows = shop.products({"a": 8})
    words = ("train", "TEST", "val", "Validation", "dev", "valid", "test", "holdout")
    for row, word in zip(rows, words, strict=True):
        row["fold"] = word
    rows[6]["image"] = rows[0]["image"]  # a test photo that is in train
    dataset = shop.prepare(shop.table(rows), columns=ColumnNames(split="fold"))
    assert [SPLITS[code] for code in dataset.split_N] == ["train", "test", *["validation"] * 4, "train"]
    counts = dataset.header["counts"]["duplicates"]
    assert (counts["rows_moved_to_train"], counts["leaks_avoided"]) == (1, 1)
    rejected = read(dataset.path / "rejected.csv")
    assert [(row["id"], row["reason"]) for row in rejected] == [("7", "unknown split")]
    assert "holdout" in rejected[0]["detail"]


def test_balanced_test(shop: Shop) -> None:
    dataset = shop.prepare(shop.table(shop.products({"a": 30, "b": 12, "c": 5, "d": 1})), balanced_test=4)
    assert np.bincount(dataset.labels_NL[dataset.rows("test"), -1], minlength=4).tolist() == [4, 4, 2, 0]
    assert dataset.header["counts"]["leaves_without"]["test"] == 1


def test_wordless_rows(shop: Shop) -> None:
    rows = shop.products({"a": 4, "b": 1})
    rows[1]["title"], rows[4]["title"] = "", "！！"
    table = shop.table(rows)
    dataset = shop.prepare(table, drop_frequent=0, drop_rare=0)
    assert len(dataset) == 5 and dataset.header["counts"]["words"]["rows_without_words"] == 2
    dataset = shop.prepare(table, drop_frequent=0, drop_rare=0, drop_wordless=True)
    assert dataset.ids() == ["0", "2", "3"] and dataset.taxonomy.leaves == ("a",)
    assert dataset.header["counts"]["rows"]["by_reason"] == {"title without words": 2}
    assert dataset.group_N.tolist() == [0, 1, 2]


def test_a_table_without_titles(shop: Shop) -> None:
    rows = [{"image": shop.photo(f"{i}.png"), "leaf": "ab"[i % 2]} for i in range(6)]
    dataset = shop.prepare(shop.table(rows))
    assert len(dataset.vocabulary) == 0 and len(dataset.tokens) == 6 and dataset.tokens[3].tolist() == []
    assert dataset.ids()[0] == "0.png" and dataset.header["counts"]["words"]["shared_share"] is None


def test_several_tables_and_repeated_ids(shop: Shop) -> None:
    rows = shop.products({"a": 4})
    first, second = shop.table(rows[:2], "one.csv"), shop.table([*rows[2:], rows[0]], "two.csv")
    dataset = shop.prepare(first, second)
    products = dataset.products()
    assert list(zip(products["table"], products["table_row"], strict=True)) == [
        *(("one.csv", 2), ("one.csv", 3)),
        *(("two.csv", 2), ("two.csv", 3), ("two.csv", 4)),
    ]
    counts = dataset.header["counts"]
    assert counts["products"] == {"count": 4, "with_several_photos": 1, "their_photos": 2}
    assert counts["photos"]["distinct"] == 4
    assert dataset.group_N.tolist() == [0, 1, 2, 3, 0]
    assert dataset.photos.read(0) == dataset.photos.read(4)


def test_photos_are_relative_to_the_first_table_by_default(shop: Shop) -> None:
    rows = shop.products({"a": 3})
    for row in rows:
        row["image"] = f"photos/{row['image']}"
    prepare_dataset([shop.table(rows)], out=shop.directory / "dataset", workers=1)
    assert len(open_dataset(shop.directory / "dataset")) == 3


def test_photos_of_dropped_rows_are_not_stored(shop: Shop) -> None:
    rows = shop.products({"a": 3, **{f"b{i}": 1 for i in range(12)}})
    everything = shop.prepare(shop.table(rows)).header["photos"]
    few = shop.prepare(shop.table(rows), min_leaf_images=2)
    assert few.header["photos"]["count"] == 3 and few.header["photos"]["bytes"] < everything["bytes"] / 3
    assert few.photos.decode(2).shape == (3, 30, 40)
