"""The columns of categories are found by names and values."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.category_columns import find_categories
from prodrec.core.data.tables.columns import CategoryColumns, ColumnNames
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.open_table import open_table
from prodrec.core.data.tables.table_sample import take_sample


def find(folder: Path, header: str, rows: list[str], requested: ColumnNames | None = None) -> CategoryColumns:
    path = folder / "t.tsv"
    path.write_text("\n".join(line.replace("|", "\t") for line in [header, *rows]) + "\n", "utf-8")
    table = open_table(path)
    header, options = Header(table.header, path), requested or ColumnNames()
    return find_categories(take_sample(table, header, options), header, options)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["A > B", "A > C", "D"], CategoryColumns((), "category", ">")),
        (["A >> B", "A >> C"], CategoryColumns((), "category", ">>")),
        (['["A >> B"]', '["C >> D"]'], CategoryColumns((), "category", ">>")),
        (['["A", "B"]', '["C"]'], CategoryColumns((), "category", ">")),
        (["A &gt; B", "C &gt; D"], CategoryColumns((), "category", ">")),
        (["A", "B"], CategoryColumns(("category",))),
        (["A/B", "A/C"], CategoryColumns(("category",))),  # may be names: Tops/Tees
        (["Size > 40", "B", "C", "D", "E", "F"], CategoryColumns(("category",))),
        ([], CategoryColumns(("category",))),
    ],
)
def test_paths_are_detected_by_their_values(tmp_path: Path, rows: list[str], expected: CategoryColumns) -> None:
    assert find(tmp_path, "image|category", [f"x.jpg|{row}" for row in rows]) == expected


def test_a_column_of_paths_is_preferred(tmp_path: Path) -> None:
    """To a class with one level, to numbers, and to a column that few rows fill."""
    rows = [f"{i}|x > y{i}|{2270 + i}|{'a > b' if i == 0 else ''}" for i in range(9)]
    assert find(tmp_path, "type|product_type|google_product_category|breadcrumbs", rows).path == "product_type"
    assert find(tmp_path, "label|image", ["3|x.jpg", "5|y.jpg"]).levels == ("label",)  # numbers, but nothing else


@pytest.mark.parametrize(("name", "is_path"), [("categories", True), ("_category", True), ("category", False)])
def test_slashes_separate_in_known_columns(tmp_path: Path, name: str, is_path: bool) -> None:
    assert (find(tmp_path, f"sku|{name}", ["1|A/B", "2|A/C"]).separator == "/") == is_path


@pytest.mark.parametrize(
    ("header", "levels"),
    [
        ("main_category|sub_category", ("main_category", "sub_category")),
        ("category_l2|category_l1", ("category_l1", "category_l2")),
        ("Level 1 Category|Level 2 Category", ("Level 1 Category", "Level 2 Category")),
        ("lvl1|lvl2|l3|1", ("lvl1", "lvl2")),
    ],
)
def test_one_column_for_each_level(tmp_path: Path, header: str, levels: tuple[str, ...]) -> None:
    assert find(tmp_path, f"image|{header}", []).levels == levels


def test_only_exports_of_woocommerce_are_cut_at_every_comma(tmp_path: Path) -> None:
    rows = ["1|simple|A/B,A/C|1.jpg"]
    assert find(tmp_path, "SKU|Type|Categories|Images", rows).joiner == ","
    assert find(tmp_path, "sku|type|categories|images", rows) == CategoryColumns((), "categories", "/")


def test_levels_name_the_levels_of_detected_paths(tmp_path: Path) -> None:
    requested = ColumnNames(levels=("department", "kind"))
    assert find(tmp_path, "image|category", ["x.jpg|A > B > C"], requested).path == "category"
    with pytest.raises(BadTable, match="no column 'department'"):
        find(tmp_path, "image|category", ["x.jpg|A"], requested)
    assert find(tmp_path, "image|category|kind", ["x.jpg|A > B|C"], ColumnNames(levels=("kind",))).levels == ("kind",)
