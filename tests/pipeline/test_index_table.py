"""Which columns of a table an update reads."""

from __future__ import annotations

from prodrec.core.data.tables.columns import ColumnNames
from prodrec.pipeline.index_table import choose_columns

RECORDED = {"image": "file", "id": "sku", "title": None, "levels": ["a", "b"], "attributes": ["colour", "size"]}
RECORDED |= {"group_by": "parent", "split": "part", "path": None, "separator": None, "further_images": []}


def test_columns_of_the_dataset_that_the_table_has() -> None:
    all_columns = ["file", "sku", "a", "b", "colour", "size", "part"]
    chosen = choose_columns(RECORDED, {}, all_columns)
    assert chosen == ColumnNames(image="file", id="sku", levels=("a", "b"), attributes=("colour", "size"))
    chosen = choose_columns(RECORDED, {}, ["id", "image", "title", "a", "size"])
    assert chosen == ColumnNames(attributes=("size",)), "the others are detected"


def test_given_columns_win() -> None:
    given = {"id": "number", "levels": "x,y", "attributes": None, "title": "name"}
    chosen = choose_columns(RECORDED, given, ["sku", "a", "b", "colour"])
    assert chosen == ColumnNames(id="number", title="name", levels=("x", "y"), attributes=("colour",))


def test_a_column_of_paths() -> None:
    recorded = {"path": "category", "separator": ">", "levels": ["root", "leaf"]}
    chosen = choose_columns(recorded, {}, ["category"])
    assert chosen == ColumnNames(path="category", separator=">", levels=("root", "leaf"))
    assert choose_columns(recorded, {}, ["root", "leaf"]) == ColumnNames(levels=("root", "leaf"))
    assert choose_columns(recorded, {}, ["other"]) == ColumnNames()
