from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption, BadTable
from prodrec.core.data.tables.catalogue import Catalogue, catalogue_from_folders, read_catalogue
from prodrec.core.data.tables.columns import ColumnNames, resolve_columns

TABLE = Path("t.csv")


@pytest.mark.parametrize(
    ("header", "image", "id_", "title", "levels"),
    [
        ("id,image,title,root,middle,leaf", "image", "id", "title", ("root", "middle", "leaf")),
        ("SKU,Photo,Name,leaf", "Photo", "SKU", "Name", ("leaf",)),
        (
            "id,gender,masterCategory,subCategory,articleType,productDisplayName,filename",
            *("filename", "id", "productDisplayName", ("masterCategory", "subCategory", "articleType")),
        ),
        (
            "image path,category_10,category_2,category_1",
            "image path",
            None,
            None,
            ("category_1", "category_2", "category_10"),
        ),
        ("Image_File,Product ID,Category", "Image_File", "Product ID", None, ("Category",)),
        ("file,label", "file", None, None, ("label",)),
    ],
)
def test_columns_are_detected_by_name(
    header: str, image: str, id_: str | None, title: str | None, levels: tuple[str, ...]
) -> None:
    columns = resolve_columns(header.split(","), ColumnNames(), table=TABLE)
    assert (columns.image, columns.id, columns.title, columns.levels) == (image, id_, title, levels)


def test_options_override_detection() -> None:
    header = ["id", "image", "title", "leaf", "ean", "back", "Kind", "colour"]
    requested = ColumnNames(id="ean", image="BACK", levels=("Kind",), attributes=("colour",))
    columns = resolve_columns(header, requested, table=TABLE)
    assert columns == ColumnNames(id="ean", image="back", title="title", levels=("Kind",), attributes=("colour",))
    assert columns.columns_to_read() == ["ean", "back", "title", "Kind", "colour"]


@pytest.mark.parametrize(
    ("header", "requested", "words"),
    [
        ("id,title,leaf", ColumnNames(), ["no image column", "--image", "id, title, leaf"]),
        ("id,image,title", ColumnNames(), ["no category column", "--levels"]),
        ("id,image,leaf", ColumnNames(levels=("root", "leaf")), ["no column 'root'", "--levels"]),
        (
            "id,image,leaf,colour",
            ColumnNames(attributes=("color",)),
            ["'color'", "--attributes", "did you mean colour?"],
        ),
        ("id,image,leaf", ColumnNames(split="fold"), ["'fold'", "--split-column"]),
        ("id,image,leaf", ColumnNames(path="category"), ["'category'", "--path-column"]),
        ("id,image,leaf,id", ColumnNames(id="id"), ["2 columns that match 'id' (--id): id, id", "rename"]),
        ("Id,iD,image,leaf", ColumnNames(id="ID"), ["2 columns that match 'ID' (--id): Id, iD", "rename"]),
    ],
)
def test_missing_and_ambiguous_columns(header: str, requested: ColumnNames, words: list[str]) -> None:
    with pytest.raises(BadTable) as error:
        resolve_columns(header.split(","), requested, table=TABLE)
    assert all(word in str(error.value) for word in ["t.csv", *words]), error.value


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def read(tables: list[Path], requested: ColumnNames, **options: Any) -> Catalogue:
    """Read the catalogue; its Parquet files are next to the first table."""
    scratch = Path(tempfile.mkdtemp(dir=tables[0].parent))
    return read_catalogue(tables, requested, scratch=scratch, **options)


def test_values(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "id,image,title,leaf,colour\n 1 ,a.jpg, red  shirt ,Shirts,NA\n2,  ,,NA,\n")
    frame = read([table], ColumnNames(attributes=("colour",))).frame.collect()
    columns = ["table", "table_row", "id", "image", "title", "level_0", "attribute_0"]
    assert frame.select(columns).rows() == [
        (0, 2, "1", "a.jpg", "red  shirt", "Shirts", "NA"),
        (0, 3, "2", None, None, "NA", None),
    ]
    frame = read([table], ColumnNames(attributes=("colour",)), missing_values=("NA", "null")).frame.collect()
    assert frame.select("level_0", "attribute_0").rows() == [("Shirts", None), (None, None)]


def test_without_id_column_the_photo_is_the_id(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "image,leaf\na.jpg,Shirts\n")
    assert read([table], ColumnNames()).frame.collect()["id"].to_list() == ["a.jpg"]


def test_several_tables(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "id,image,leaf\n1,a.jpg,Shirts\n")
    second = write(tmp_path / "b.jsonl", '{"leaf": "Hats", "image": "b.jpg", "id": 2}\n')
    catalogue = read([first, second], ColumnNames())
    assert catalogue.frame.collect().select("table", "table_row", "id", "level_0").rows() == [
        (0, 2, "1", "Shirts"),
        (1, 1, "2", "Hats"),
    ]
    other = write(tmp_path / "c.csv", "id,photo,leaf\n1,a.jpg,Shirts\n")
    with pytest.raises(BadTable, match=r"c\.csv has no column 'image'"):
        read([first, other], ColumnNames())


def test_chunks_do_not_change_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for a table that polars reads nor for one that Python's own reader must read."""
    tables = [
        write(tmp_path / "a.csv", "id,image,category\n" + "".join(f"{i},{i}.jpg,A > {i % 3}\n" for i in range(9))),
        write(tmp_path / "b.csv", "id,image,category\n" + "".join(f'{i},{i}.jpg,A" > {i % 3}\n' for i in range(8))),
    ]
    requested = ColumnNames(path="category")
    whole = read(tables, requested)
    monkeypatch.setattr("prodrec.core.data.tables.catalogue.CHUNK_ROWS", 4)
    monkeypatch.setattr("prodrec.core.data.tables.files._CHUNK_ROWS", 3)
    chunked = read(tables, requested)
    assert chunked.row_count == 17 and chunked.levels == whole.levels
    assert chunked.frame.collect().equals(whole.frame.collect())
    assert chunked.read_column("level_1").to_list() == whole.frame.collect()["level_1"].to_list()
    for rows in (np.arange(17), np.array([0, 5, 6, 16]), np.array([9, 0, 16, 5]), np.array([], np.int64)):
        assert chunked.read_rows(rows, "id", "table").equals(whole.frame.collect().select("id", "table")[rows])
    assert [chunk.height for chunk in chunked.read_chunks("id", rows_R=np.array([1, 2, 9]))] == [2, 1]


def test_zero_rows(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match="zero rows"):
        read([write(tmp_path / "t.csv", "id,image,leaf\n")], ColumnNames())


def test_repeated_names(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "id,image,leaf\n1,2,3\n")
    with pytest.raises(BadOption, match="--levels leaf,leaf names a column twice"):
        read([table], ColumnNames(levels=("leaf", "leaf")))


@pytest.mark.parametrize(("separator", "joined"), [(" > ", " > "), (">", " > "), ("/", "/"), ("|", "|")])
def test_paths_in_one_column(tmp_path: Path, separator: str, joined: str) -> None:
    paths = [["A", "B", "C"], ["A", "B"], ["A", "B2", "D"], ["A", "", "E"], []]
    lines = "".join(f'x.jpg,"{joined.join(path)}"\n' for path in paths)
    table = write(tmp_path / "t.csv", "image,category\n" + lines)
    catalogue = read([table], ColumnNames(path="category", separator=separator))
    assert catalogue.levels == ("level1", "level2", "leaf")
    assert catalogue.frame.collect().select("level_0", "level_1", "level_2", "depth").rows() == [
        ("A", "B", "C", 3),
        (None, None, None, 2),
        ("A", "B2", "D", 3),
        ("A", None, "E", 3),
        (None, None, None, None),
    ]
    named = read([table], ColumnNames(path="category", separator=separator, levels=("department", "kind")))
    assert named.levels == ("department", "kind")
    assert named.frame.collect()["level_1"].to_list() == [None, "B", None, None, None]


@pytest.mark.parametrize(
    ("values", "suggested"),
    [(["A > B", "A > C", "D"], "' > '"), (["A/B", "A/C"], "'/'"), (["A", "B", "T-shirts/Tops"], None)],
)
def test_a_column_of_whole_paths_is_pointed_out(tmp_path: Path, values: list[str], suggested: str | None) -> None:
    table = write(tmp_path / "t.csv", "image,category\n" + "".join(f"x.jpg,{value}\n" for value in values))
    catalogue = read([table], ColumnNames())
    assert catalogue.levels == ("category",)
    assert ("--path-column" in catalogue.column_summary) == (suggested is not None)
    assert suggested is None or f"--path-separator {suggested}" in catalogue.column_summary


def test_folders() -> None:
    names = ["A/B/1.jpg", "A/C/2.jpg", "A/3.jpg", "4.jpg"]
    catalogue = catalogue_from_folders(names, Path("photos"))
    assert catalogue.levels == ("level1", "leaf")
    assert catalogue.frame.collect().select("id", "level_0", "level_1").rows() == [
        ("A/B/1.jpg", "A", "B"),
        ("A/C/2.jpg", "A", "C"),
        ("A/3.jpg", None, None),
        ("4.jpg", None, None),
    ]
    assert catalogue_from_folders(names, Path("photos"), ["kind"]).frame.collect()["level_0"].to_list() == [
        None,
        None,
        "A",
        None,
    ]
    for without_folders in ([], ["1.jpg"]):
        with pytest.raises(BadTable, match="root/…/leaf"):
            catalogue_from_folders(without_folders, Path("photos"))
