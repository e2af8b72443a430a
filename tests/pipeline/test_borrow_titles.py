"""`prodrec.borrow_titles`: who lends, that no held-out product does, and what `prepare --borrowed-titles` does then."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from prodrec.core.base.errors import BadOption, BadTable, Mismatch, NotFound, OutputExists
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.inference.neighbours.held_out import fit_to, project
from prodrec.pipeline.borrow_titles import borrow_titles
from prodrec.pipeline.prepare import prepare

NAMES = ("Shirt", "Belt", "Mug", "Lamp")
PRODUCTS = 80


def vectors(seed: int = 0) -> Any:
    """Return a vector near the centre of its leaf for each of PRODUCTS products."""
    random = np.random.default_rng(seed)
    centres = np.eye(4, 6) * 3
    return (centres[np.arange(PRODUCTS) % 4] + random.normal(size=(PRODUCTS, 6))).astype(np.float32)


def title_of(product: int) -> str | None:
    """Return the title of a product; every fifth has none."""
    return f"{NAMES[product % 4]} model{product % 7} shop" if product % 5 else None


def write(
    place: Path, name: str, ids: Sequence[str], titles: Sequence[str | None], vectors_ND: Any, **options: Any
) -> Dataset:
    np.save(place / f"{name}.npy", vectors_ND)
    with (place / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "leaf"])
        writer.writerows(
            [own, title or "", NAMES[i % 4]] for i, (own, title) in enumerate(zip(ids, titles, strict=True))
        )
    options = {"features": place / f"{name}.npy", "drop_frequent": 0, "drop_rare": 0, "levels": "leaf", **options}
    return prepare(place / f"{name}.csv", out=place / name, force=True, **options)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    products = range(PRODUCTS)
    return write(
        tmp_path_factory.mktemp("place"),
        "shop",
        [f"p{i}" for i in products],
        [title_of(i) for i in products],
        vectors(),
    )


def lines(path: Path) -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in pl.read_csv(path, infer_schema=False).to_dicts()}


def test_a_photo_takes_the_title_of_the_nearest_training_photo(shop: Dataset, tmp_path: Path) -> None:
    result = borrow_titles(shop.path, out=tmp_path / "b.csv", min_similarity=0.85)
    lenders = [row for row in shop.rows("train").tolist() if title_of(row)]
    features_ND = np.asarray(shop.features_ND, np.float32)
    projection = fit_to(features_ND[lenders])
    lent, asked = project(features_ND[lenders], projection), project(features_ND, projection)
    expected = {}
    for row in range(PRODUCTS):
        cosines = lent @ asked[row]
        if title_of(row) is None and cosines.max() >= 0.85:
            expected[f"p{row}"] = (lenders[int(cosines.argmax())], float(cosines.max()))
    table = lines(tmp_path / "b.csv")
    assert 4 < len(expected) < 16 and table.keys() == expected.keys()
    for own, (lender, cosine) in expected.items():
        assert table[own]["lender"] == f"p{lender}" and table[own]["title"] == title_of(lender)
        assert float(table[own]["similarity"]) == pytest.approx(cosine, abs=2e-3)
    assert (result.without_title, result.borrowed, result.lenders) == (16, len(expected), len(lenders))
    similarities = [float(row["similarity"]) for row in table.values()]
    assert similarities == sorted(similarities, reverse=True)


def test_nothing_that_shows_a_held_out_product_lends(shop: Dataset, tmp_path: Path) -> None:
    """The other dataset has every product of the shop with a title: by id, or as the same vector with another id."""
    products = range(PRODUCTS)
    ids = [f"p{i}" if i % 2 else f"other{i}" for i in products]
    other = write(tmp_path, "other", ids, [f"name of {i}" for i in products], vectors(), split="8:1:1")
    result = borrow_titles(shop.path, source=other.path, out=tmp_path / "b.csv", min_similarity=0)
    held_out = {*shop.rows("validation").tolist(), *shop.rows("test").tolist()}
    lent = {int(row["title"].split()[-1]) for row in lines(tmp_path / "b.csv").values()}
    assert result.lenders == PRODUCTS - len(held_out) and not lent & held_out
    similarities = [float(row["similarity"]) for row in lines(tmp_path / "b.csv").values()]
    assert max(similarities) == 1  # of equal vectors, rounded to float16, more at times
    trained = [row for row in shop.rows("train").tolist() if title_of(row) is None]
    assert all(lines(tmp_path / "b.csv")[f"p{row}"]["title"] == f"name of {row}" for row in trained)


def test_duplicates_of_a_held_out_product_do_not_lend(shop: Dataset, tmp_path: Path) -> None:
    """A product of the other dataset with the same vector as one that has the id of a test product."""
    row = int(shop.rows("test")[0])
    vectors_ND = np.concatenate([vectors(1)[:4], vectors(1)[:1], vectors(2)[4:]])
    ids = [f"p{row}", *(f"q{i}" for i in range(1, len(vectors_ND)))]
    other = write(tmp_path, "other", ids, [f"name of {own}" for own in ids], vectors_ND)
    assert other.group_N[0] == other.group_N[4]
    result = borrow_titles(shop.path, source=other.path, out=tmp_path / "b.csv", min_similarity=0)
    assert result.lenders == len(ids) - 2
    assert not {"q4", f"p{row}"} & {line["lender"] for line in lines(tmp_path / "b.csv").values()}


def test_prepare_takes_the_titles_and_keeps_where_they_come_from(shop: Dataset, tmp_path: Path) -> None:
    borrow_titles(shop.path, out=tmp_path / "b.csv", min_similarity=0.85)
    table = lines(tmp_path / "b.csv")
    options: dict[str, Any] = {"features": shop.path.with_name("shop.npy"), "levels": "leaf"}
    options |= {"drop_frequent": 0, "drop_rare": 0, "borrowed_titles": str(tmp_path / "b.csv")}
    titled = prepare(shop.path.with_name("shop.csv"), out=tmp_path / "titled", **options)
    for row in titled.products().sort("row").to_dicts():
        line = table.get(row["id"])
        assert row["title"] == (line["title"] if line else title_of(row["row"]))
        assert row["title_lender"] == (line and line["lender"])
        assert row["title_similarity"] == (line and pytest.approx(float(line["similarity"])))
    assert np.array_equal(titled.split_N, shop.split_N) and titled.fingerprint != shop.fingerprint
    assert titled.header["counts"]["borrowed_titles"] == {"borrowed": len(table), "own": 0, "unknown": 0}
    taken = int(next(iter(table)).removeprefix("p"))
    words = [titled.vocabulary.words[word - 1] for word in titled.tokens[taken].tolist()]
    assert words == str(table[f"p{taken}"]["title"]).lower().split()
    assert "title_lender" not in shop.products().columns

    again = borrow_titles(titled.path, out=tmp_path / "again.csv", min_similarity=0.85)  # no borrowed title is lent
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert again.without_title == 16
    with pytest.raises(BadTable, match=r"b\.csv lends titles of .* in the validation or test split .*--seed"):
        prepare(shop.path.with_name("shop.csv"), out=tmp_path / "resplit", seed=3, **options)


def test_what_comes_back_of_hidden_titles(shop: Dataset, tmp_path: Path) -> None:
    """On validation photos, by a plain loop over the titles of the nearest lenders."""
    result = borrow_titles(shop.path, out=tmp_path / "b.csv")
    lenders = [row for row in shop.rows("train").tolist() if title_of(row)]
    features_ND = np.asarray(shop.features_ND, np.float32)
    projection = fit_to(features_ND[lenders])
    lent = project(features_ND[lenders], projection)
    rows = [row for row in shop.rows("validation").tolist() if title_of(row)]
    cosines = project(features_ND[rows], projection) @ lent.T
    nearest = [lenders[i] for i in cosines.argmax(1).tolist()]
    common, same_title = [], []
    for row, lender in zip(rows, nearest, strict=True):
        own, other = (set(str(title_of(i)).split()) for i in (row, lender))
        common.append(len(own & other) / 3)
        same_title.append(own == other)
    (all_of_them,) = (x for x in result.hidden if x.split == "validation" and x.min_similarity == 0)
    assert all_of_them.photos == len(rows)
    is_in = cosines.max(1) >= 0
    assert all_of_them.borrowed == pytest.approx(is_in.mean())
    assert all_of_them.words_back == all_of_them.words_right == pytest.approx(np.mean(np.array(common)[is_in]))
    assert all_of_them.same_title == pytest.approx(np.mean(np.array(same_title)[is_in]))
    same_class = [row % 4 == lender % 4 for row, lender in zip(rows, nearest, strict=True)]
    assert all_of_them.same_class == pytest.approx(np.mean(np.array(same_class)[is_in]))
    assert {x.split for x in result.hidden} == {"train", "validation"}
    assert "words back" in str(result) and len(result.as_json()["hidden"]) == len(result.hidden)


def test_a_hidden_training_title_is_not_found_at_its_duplicate(tmp_path: Path) -> None:
    """Every product has two photos with one title: it would come back always."""
    ids = [f"p{i // 2}" for i in range(PRODUCTS)]
    titles = [None if i < 2 else f"name{i // 2}" for i in range(PRODUCTS)]
    vectors_ND = np.repeat(vectors()[::2], 2, axis=0) + np.array([0, 1e-3] * (PRODUCTS // 2))[:, None]
    data = write(tmp_path, "pairs", ids, titles, vectors_ND.astype(np.float32))
    result = borrow_titles(data.path, out=tmp_path / "b.csv")
    (hidden,) = (x for x in result.hidden if x.split == "train" and x.min_similarity == 0)
    assert hidden.photos and hidden.borrowed > 0 and hidden.same_title == 0


def test_an_index_lends_its_titles(indexed: Path, drawn: DrawnCatalogue, tmp_path: Path) -> None:
    """The index has the photos of all splits. A training photo finds itself, or a duplicate, at a similarity of 1.

    The level of the leaves has another name in the dataset than in the run.
    """
    products = pl.read_csv(drawn.table, infer_schema=False).rename({"leaf": "kind"})
    products.with_columns(title=pl.lit(None, pl.String)).write_csv(tmp_path / "untitled.csv")
    options: dict[str, Any] = {"attributes": ("colour",), "levels": "root,middle,kind", "workers": 1}
    data = prepare(tmp_path / "untitled.csv", images=drawn.photos, out=tmp_path / "untitled", **options)
    result = borrow_titles(
        data.path, source=indexed / "index", out=tmp_path / "b.csv", min_similarity=0, device="cpu", workers=0
    )
    titled = open_dataset(indexed / "dataset").products()
    title_of_id = dict(zip(titled["id"], titled["title"], strict=True))
    row_of = {own: row for row, own in enumerate(data.ids())}
    found = 0
    for own, line in lines(tmp_path / "b.csv").items():
        lender = row_of[line["lender"]]
        assert data.split_N[lender] == 0 and line["title"] == title_of_id[line["lender"]]
        if data.split_N[row_of[own]] == 0 and title_of_id[own]:
            found += 1
            assert data.group_N[lender] == data.group_N[row_of[own]] and float(line["similarity"]) > 0.99
    assert found > 50 and not result.hidden  # there is no title to hide
    assert not [path for path in tmp_path.iterdir() if "features" in path.name]


def test_what_cannot_be_done_is_refused(shop: Dataset, tmp_path: Path) -> None:
    names = [f"p{i}" for i in range(PRODUCTS)]
    titled = write(tmp_path, "titled", names, ["a title"] * PRODUCTS, vectors())
    with pytest.raises(BadOption, match=r"every photo of .*titled has a title; there is nothing to borrow\.$"):
        borrow_titles(titled.path, out=tmp_path / "b.csv")
    none = write(tmp_path, "none", names, [None] * PRODUCTS, vectors())
    with pytest.raises(BadOption, match=r"none has no training photo with a title of its own; name others with --from"):
        borrow_titles(none.path, out=tmp_path / "b.csv")
    held_out = [row for split in ("test", "validation") for row in shop.rows(split).tolist()]
    few = [title_of(1) if row in held_out else None for row in range(PRODUCTS)]
    same = write(tmp_path, "same", names, few, vectors())
    with pytest.raises(BadOption, match=r"every photo of .*same that has a title shows a validation or test product"):
        borrow_titles(shop.path, source=same.path, out=tmp_path / "b.csv")
    wide = write(tmp_path, "wide", names, ["a"] * PRODUCTS, np.tile(vectors(), 2))
    with pytest.raises(Mismatch, match=r"shop has 6 features and .*wide has 12 features; name a dataset with the same"):
        borrow_titles(shop.path, source=wide.path, out=tmp_path / "b.csv")
    with pytest.raises(NotFound, match="nothing"):
        borrow_titles(shop.path, source="nothing", out=tmp_path / "b.csv")
    with pytest.raises(BadOption, match=r"--min-similarity 2: expected 0 to 1\."):
        borrow_titles(shop.path, min_similarity=2, out=tmp_path / "b.csv")
    (tmp_path / "b.csv").write_text("kept")
    with pytest.raises(OutputExists, match="add --force"):
        borrow_titles(shop.path, out=tmp_path / "b.csv")
    assert borrow_titles(shop.path, out=tmp_path / "b.csv", force=True).borrowed
