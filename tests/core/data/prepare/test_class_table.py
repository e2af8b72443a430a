"""`prepare --class-table`: what is stored, which rows take the title of their class, and which tables are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from prodrec.core.base.errors import BadArtefact, BadOption, BadTable, NotFound
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.pipeline.prepare import prepare
from prodrec.pipeline.preview import preview

LEAVES = ("mug", "lamp", "Tea pot")
PRODUCTS = 60
CLASSES = "leaf,Title,description\nlamp,floor lamp with shade,gives light\nmug,,for coffee\nTea pot,round teapot,\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Sixty products of three leaves as vectors; every other one has a title."""
    rows = [f"p{i},{'' if i % 2 else f'nice {LEAVES[i % 3]}'},A,{LEAVES[i % 3]}" for i in range(PRODUCTS)]
    (tmp_path / "products.csv").write_text("\n".join(["id,title,root,leaf", *rows]) + "\n", "utf-8")
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).normal(size=(PRODUCTS, 3)).astype(np.float32))
    return tmp_path


def prepared(shop: Path, text: str | None = CLASSES, **options: Any) -> Dataset:
    if text is not None:
        (shop / "classes.csv").write_text(text, "utf-8")
        options["class_table"] = str(shop / "classes.csv")
    options = {"features": shop / "vectors.npy", "drop_frequent": 0, "drop_rare": 0, **options}
    return prepare(shop / "products.csv", out=shop / "dataset", force=True, **options)


def words_of(data: Dataset, row: int) -> list[str]:
    return [data.vocabulary.words[word - 1] for word in data.tokens[row].tolist()]


def test_the_table_is_kept_in_the_order_of_the_leaves(shop: Path) -> None:
    data = prepared(shop)
    assert data.class_titles is not None
    titles = dict(zip(data.taxonomy.leaves, data.class_titles.titles, strict=True))
    assert titles == {"mug": None, "lamp": "floor lamp with shade", "Tea pot": "round teapot"}
    descriptions = dict(zip(data.taxonomy.leaves, data.class_titles.descriptions, strict=True))
    assert descriptions == {"mug": "for coffee", "lamp": "gives light", "Tea pot": None}
    assert data.header["class_table"] == {"table": "classes.csv", "titles": 2, "descriptions": 2}
    plain = prepared(shop, None)
    assert plain.class_titles is None and "class_table" not in plain.header
    assert plain.fingerprint != data.fingerprint and np.array_equal(plain.tokens.values, data.tokens.values)
    assert plain.header["counts"]["words"]["class_titles"] == 0


def test_training_rows_alone_take_the_title_of_their_class(shop: Path) -> None:
    plain, data = prepared(shop, None), prepared(shop, class_titles=True)
    taken = 0
    train = set(data.rows("train").tolist())
    for row in range(PRODUCTS):
        leaf = data.taxonomy.leaves[int(data.labels_NL[row, -1])]
        if row % 2 == 0:
            assert words_of(data, row) == words_of(plain, row)
        elif row in train and leaf != "mug":  # without a title in the table
            taken += 1
            assert words_of(data, row) == {"lamp": "floor lamp with shade", "Tea pot": "round teapot"}[leaf].split()
        else:
            assert not len(data.tokens[row])
    assert taken > 5 and data.header["counts"]["words"]["class_titles"] == taken
    assert any(row % 2 and row not in train for row in range(PRODUCTS))
    assert data.products()["title"].to_list() == plain.products()["title"].to_list()  # a product has its own only
    own = data.own_tokens()
    assert [len(own[row]) > 0 for row in range(PRODUCTS)] == [row % 2 == 0 for row in range(PRODUCTS)]


def test_rows_without_words_are_dropped_after_classes_gave_theirs(shop: Path) -> None:
    data = prepared(shop, class_titles=True, drop_wordless=True)
    kept = {int(own.removeprefix("p")) for own in data.ids()}
    assert data.header["counts"]["rows"]["rejected"] == PRODUCTS - len(kept) > 0
    untitled = [row for row in kept if row % 2]
    assert len(untitled) == data.header["counts"]["words"]["class_titles"] > 5


def test_names_are_those_of_prepare(shop: Path) -> None:
    data = prepared(shop, "LEAF;title\n TEA POT ;a\nA;b\n".replace("A;b\n", ""), ignore_case=True)
    assert data.class_titles is not None and "a" in data.class_titles.titles
    data = prepared(shop, "leaf;title\nA / lamp;by its path\n", path_identity=True)
    assert data.class_titles is not None
    assert data.class_titles.titles[data.taxonomy.leaves.index("A / lamp")] == "by its path"


def test_a_leaf_whose_rows_are_rejected_may_be_in_the_table(shop: Path) -> None:
    with (shop / "products.csv").open("a", encoding="utf-8") as file:
        file.write("p99,,A,rare\n")
    np.save(shop / "vectors.npy", np.random.default_rng(0).normal(size=(PRODUCTS + 1, 3)).astype(np.float32))
    data = prepared(shop, CLASSES + "rare,a rare thing,\n", min_leaf_images=2)
    assert data.class_titles is not None and "rare" not in set(data.taxonomy.leaves)
    titles = dict(zip(data.taxonomy.leaves, data.class_titles.titles, strict=True))
    assert titles["lamp"] == "floor lamp with shade" and len(titles) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title\na\n", r"classes\.csv has no column 'leaf' \(--class-table\).*; its columns are title\.$"),
        ("leaf\nmug\n", r"no column 'title' \(--class-table\)"),
        ("leaf,title\n", r"classes\.csv has no line; expected one for each leaf that has a title\.$"),
        ("leaf,title\n,\n", "has no line; expected one"),
        ("leaf,title\nmug,a\nlamb,b\n", r"row 3: no product has the leaf 'lamb' \(did you mean lamp\?\); correct or"),
        ("leaf,title\nMug,a\n", "row 2: no product has the leaf 'Mug'"),
        ("leaf,title\nmug,a\nlamp,b\nmug,c\n", r"rows 2 and 4, are both about 'mug'; leave one for a class\.$"),
        ("leaf,title\nmug,a\n,b\n", "row 3, has no leaf; expected the name of a class"),
    ],
)
def test_bad_tables_are_one_sentence(shop: Path, text: str, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        prepared(shop, text)
    assert not (shop / "dataset").exists()


def test_a_dry_run_reads_the_table(shop: Path) -> None:
    (shop / "classes.csv").write_text("leaf,title\nlamb,a\n", "utf-8")
    options = {"features": shop / "vectors.npy", "class_table": str(shop / "classes.csv")}
    with pytest.raises(BadTable, match="no product has the leaf 'lamb'"):
        preview([shop / "products.csv"], **options)


def test_what_has_no_effect_is_refused(shop: Path) -> None:
    with pytest.raises(BadOption, match=r"^--class-titles needs --class-table\.$"):
        prepared(shop, None, class_titles=True)
    with pytest.raises(BadOption, match=r"a leaf level called 'title'; rename this column\.$"):
        prepared(shop, levels="root,title")
    with pytest.raises(NotFound, match=r"none\.csv"):
        prepared(shop, None, class_table=str(shop / "none.csv"))


def test_a_damaged_table_is_named(shop: Path) -> None:
    data = prepared(shop)
    path = data.path / "classes" / "titles.parquet"
    pl.read_parquet(path).head(2).write_parquet(path)
    with pytest.raises(BadArtefact, match=r"titles\.parquet has 2 rows, expected texts of 3 leaves; prepare"):
        open_dataset(data.path)
    path.write_bytes(b"PAR1")
    with pytest.raises(BadArtefact, match=r"titles\.parquet cannot be read .*; prepare the dataset again\.$"):
        open_dataset(data.path)
    path.unlink()
    with pytest.raises(BadArtefact, match=r"titles\.parquet cannot be read .*; prepare the dataset again\.$"):
        open_dataset(data.path)
