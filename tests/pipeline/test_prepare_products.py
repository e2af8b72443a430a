"""Two photos of one product are never in two splits, whatever the table looks like."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from prodrec.core.base.artefact import SPLITS
from prodrec.core.data.dataset import Dataset
from prodrec.core.data.tables.columns import ColumnNames

if TYPE_CHECKING:
    from conftest import Shop

Row = dict[str, str]


def draw_rows(shop: Shop, generator: random.Random) -> tuple[list[Row], dict[str, tuple[str, str]]]:
    """Return rows of a table and, for every photo, the id and the model of its product.

    Rows repeat ids, have several photos in a cell, and lack ids, models, titles or categories.
    """
    rows: list[Row] = []
    products: dict[str, tuple[str, str]] = {}
    for number in range(generator.randrange(8, 16)):
        id_ = f"p{number}" if generator.random() < 0.9 else ""
        leaf = generator.choice(["Boots", "Hats, Caps", "Coats > Long"])
        for i in range(generator.randrange(1, 4) if id_ else 1):
            model = f"m{number // 3}" if generator.random() < 0.6 else ""
            photos = [shop.photo(f"{number}-{i}-{k}.png") for k in range(generator.randrange(1, 4))]
            cell = generator.choice([", ", "|", ";"]).join(photos)
            is_short = i > 0 and generator.random() < 0.5  # a further photo, as shops write it
            row = {"id": id_, "image": cell, "title": f"item {number}", "category": leaf, "model": model}
            rows.append(row | ({"title": "", "category": "", "model": ""} if is_short else {}))
            model = "" if is_short else model
            products |= dict.fromkeys(photos, (id_ or photos[0], model))
    if generator.random() < 0.5:
        generator.shuffle(rows)
    return rows, products


def splits_by(dataset: Dataset, key: dict[str, str]) -> dict[str, set[str]]:
    """Return the splits of the photos with the same key."""
    splits: dict[str, set[str]] = {}
    for image, code in zip(dataset.products()["image"], dataset.split_N, strict=True):
        splits.setdefault(key[image], set()).add(SPLITS[code])
    return splits


@pytest.mark.parametrize("seed", range(12))
def test_no_product_is_in_two_splits(shop: Shop, seed: int) -> None:
    generator = random.Random(seed)
    rows, products = draw_rows(shop, generator)
    table = shop.table(rows)
    dataset = shop.prepare(table, split="4:3:3", seed=seed)
    counts = dataset.header["counts"]["rows"]
    assert counts["in"] == len(products) == counts["kept"] + counts["rejected"]
    assert counts["in_tables"] == len(rows)
    ids = {photo: id_ for photo, (id_, _) in products.items()}
    if all(row["id"] for row in rows):
        assert len(dataset) == len(products), "every product has a category in one of its rows"
    assert all(len(splits) == 1 for splits in splits_by(dataset, ids).values())
    assert dataset.product_count == len({ids[image] for image in dataset.products()["image"]})

    by_model = shop.prepare(table, split="4:3:3", seed=seed, columns=ColumnNames(group_by="model"))
    models = {photo: model or id_ for photo, (id_, model) in products.items()}
    assert all(len(splits) == 1 for splits in splits_by(by_model, models).values())

    alone = shop.prepare(table, split="4:3:3", seed=seed, columns=ColumnNames(group_by="none"))
    row_of = {photo: photo.rpartition("-")[0] for photo in products}
    assert all(len(splits) == 1 for splits in splits_by(alone, row_of).values())
    assert alone.product_count == len({row_of[image] for image in alone.products()["image"]})


def test_without_groups_photos_are_split_apart(shop: Shop) -> None:
    rows = [{"id": f"{i // 8}", "image": shop.photo(f"{i}.png"), "leaf": "Boots"} for i in range(32)]
    key = {row["image"]: row["id"] for row in rows}
    table = shop.table(rows)
    apart = splits_by(shop.prepare(table, columns=ColumnNames(group_by="none")), key)
    assert max(map(len, apart.values())) > 1
    assert max(map(len, splits_by(shop.prepare(table), key).values())) == 1


@pytest.mark.parametrize("seed", range(6))
def test_products_of_contradicting_splits_go_to_train(shop: Shop, seed: int) -> None:
    generator = random.Random(seed)
    rows = [
        {
            "id": f"{i // 3}",
            "image": shop.photo(f"{i}.png"),
            "leaf": "Boots",
            "fold": generator.choice(["train", "test", "Val", "test", "test"]),
        }
        for i in range(30)
    ]
    dataset = shop.prepare(shop.table(rows), columns=ColumnNames(split="fold"))
    names = {"train": "train", "test": "test", "Val": "validation"}
    given: dict[str, set[str]] = {}
    for row in rows:
        given.setdefault(row["id"], set()).add(names[row["fold"]])
    expected = [given[row["id"]] if len(given[row["id"]]) == 1 else {"train"} for row in rows]
    assert [{SPLITS[code]} for code in dataset.split_N] == expected
    moved = sum(len(given[row["id"]]) > 1 and row["fold"] != "train" for row in rows)
    assert dataset.header["counts"]["duplicates"]["rows_moved_to_train"] == moved


def test_products_and_duplicates_are_joined(shop: Shop) -> None:
    """Product 0 shares a photo with product 1, and that one another with product 2."""
    shared = [shop.photo("a.png"), shop.photo("b.png")]
    pairs = [("0", shared[0]), ("1", shared[0]), ("1", shared[1]), ("2", shared[1]), ("3", shop.photo("c.png"))]
    dataset = shop.prepare(shop.table([{"id": id_, "image": image, "leaf": "Boots"} for id_, image in pairs]))
    assert dataset.group_N.tolist() == [0, 0, 0, 0, 1]
    assert dataset.product_N.tolist() == [0, 1, 1, 2, 3]
    assert len(np.unique(dataset.split_N[:4])) == 1
