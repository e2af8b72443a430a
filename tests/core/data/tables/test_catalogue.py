from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption, BadTable
from prodrec.core.data.tables.catalogue import Catalogue, catalogue_of_folders, read_catalogue
from prodrec.core.data.tables.columns import Columns, find_columns

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
def test_columns_are_found_by_name(
    header: str, image: str, id_: str | None, title: str | None, levels: tuple[str, ...]
) -> None:
    columns = find_columns(header.split(","), Columns(), table=TABLE)
    assert (columns.image, columns.id, columns.title, columns.levels) == (image, id_, title, levels)


def test_options_win() -> None:
    found = ["id", "image", "title", "leaf", "ean", "back", "Kind", "colour"]
    given = Columns(id="ean", image="BACK", levels=("Kind",), attributes=("colour",))
    columns = find_columns(found, given, table=TABLE)
    assert columns == Columns(id="ean", image="back", title="title", levels=("Kind",), attributes=("colour",))
    assert columns.names() == ["ean", "back", "title", "Kind", "colour"]


@pytest.mark.parametrize(
    ("header", "given", "words"),
    [
        ("id,title,leaf", Columns(), ["no image column", "--image", "id, title, leaf"]),
        ("id,image,title", Columns(), ["no category column", "--levels"]),
        ("id,image,leaf", Columns(levels=("root", "leaf")), ["no column 'root'", "--levels"]),
        ("id,image,leaf,colour", Columns(attributes=("color",)), ["'color'", "--attributes", "did you mean colour?"]),
        ("id,image,leaf", Columns(split="fold"), ["'fold'", "--split-column"]),
        ("id,image,leaf", Columns(path="category"), ["'category'", "--path-column"]),
    ],
)
def test_missing_columns(header: str, given: Columns, words: list[str]) -> None:
    with pytest.raises(BadTable) as error:
        find_columns(header.split(","), given, table=TABLE)
    assert all(word in str(error.value) for word in ["t.csv", *words]), error.value


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def read(tables: list[Path], given: Columns, **options: Any) -> Catalogue:
    """The catalogue, kept beside the first table."""
    beside = Path(tempfile.mkdtemp(dir=tables[0].parent))
    return read_catalogue(tables, given, beside=beside, **options)


def test_values(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "id,image,title,leaf,colour\n 1 ,a.jpg, red  shirt ,Shirts,NA\n2,  ,,NA,\n")
    frame = read([table], Columns(attributes=("colour",))).lazy.collect()
    columns = ["table", "table_row", "id", "image", "title", "level_0", "attribute_0"]
    assert frame.select(columns).rows() == [
        (0, 2, "1", "a.jpg", "red  shirt", "Shirts", "NA"),
        (0, 3, "2", None, None, "NA", None),
    ]
    frame = read([table], Columns(attributes=("colour",)), missing_values=("NA", "null")).lazy.collect()
    assert frame.select("level_0", "attribute_0").rows() == [("Shirts", None), (None, None)]


def test_no_id_column_takes_the_photo(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "image,leaf\na.jpg,Shirts\n")
    assert read([table], Columns()).lazy.collect()["id"].to_list() == ["a.jpg"]


def test_several_tables(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "id,image,leaf\n1,a.jpg,Shirts\n")
    second = write(tmp_path / "b.jsonl", '{"leaf": "Hats", "image": "b.jpg", "id": 2}\n')
    catalogue = read([first, second], Columns())
    assert catalogue.lazy.collect().select("table", "table_row", "id", "level_0").rows() == [
        (0, 2, "1", "Shirts"),
        (1, 1, "2", "Hats"),
    ]
    other = write(tmp_path / "c.csv", "id,photo,leaf\n1,a.jpg,Shirts\n")
    with pytest.raises(BadTable, match=r"c\.csv has no column 'image'"):
        read([first, other], Columns())


def test_a_catalogue_in_pieces_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in pieces, of clean tables and of those that Python's reader must go through."""
    tables = [
        write(tmp_path / "a.csv", "id,image,category\n" + "".join(f"{i},{i}.jpg,A > {i % 3}\n" for i in range(9))),
        write(tmp_path / "b.csv", "id,image,category\n" + "".join(f'{i},{i}.jpg,A" > {i % 3}\n' for i in range(8))),
    ]
    given = Columns(path="category")
    whole = read(tables, given)
    monkeypatch.setattr("prodrec.core.data.tables.catalogue.ROWS_AT_ONCE", 4)
    monkeypatch.setattr("prodrec.core.data.tables.files._ROWS_AT_ONCE", 3)
    kept = read(tables, given)
    assert kept.rows == 17 and kept.lazy.collect().equals(whole.lazy.collect()) and kept.levels == whole.levels
    assert kept.column("level_1").to_list() == whole.lazy.collect()["level_1"].to_list()
    for rows in (np.arange(17), np.array([0, 5, 6, 16]), np.array([], np.int64)):
        assert kept.at(rows, "id", "table").equals(whole.lazy.collect().select("id", "table")[rows])
    assert [piece.height for piece in kept.pieces("id", rows=np.array([1, 2, 9]))] == [2, 1]


def test_zero_rows(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match="zero rows"):
        read([write(tmp_path / "t.csv", "id,image,leaf\n")], Columns())


def test_repeated_names(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "id,image,leaf\n1,2,3\n")
    with pytest.raises(BadOption, match="--levels leaf,leaf names a column twice"):
        read([table], Columns(levels=("leaf", "leaf")))


@pytest.mark.parametrize(("separator", "joined"), [(" > ", " > "), (">", " > "), ("/", "/"), ("|", "|")])
def test_paths_in_one_column(tmp_path: Path, separator: str, joined: str) -> None:
    paths = [["A", "B", "C"], ["A", "B"], ["A", "B2", "D"], ["A", "", "E"], []]
    lines = "".join(f'x.jpg,"{joined.join(path)}"\n' for path in paths)
    table = write(tmp_path / "t.csv", "image,category\n" + lines)
    catalogue = read([table], Columns(path="category", separator=separator))
    assert catalogue.levels == ("level1", "level2", "leaf")
    assert catalogue.lazy.collect().select("level_0", "level_1", "level_2", "depth").rows() == [
        ("A", "B", "C", 3),
        (None, None, None, 2),
        ("A", "B2", "D", 3),
        ("A", None, "E", 3),
        (None, None, None, None),
    ]
    named = read([table], Columns(path="category", separator=separator, levels=("department", "kind")))
    assert named.levels == ("department", "kind")
    assert named.lazy.collect()["level_1"].to_list() == [None, "B", None, None, None]


@pytest.mark.parametrize(
    ("values", "told"),
    [(["A > B", "A > C", "D"], "' > '"), (["A/B", "A/C"], "'/'"), (["A", "B", "T-shirts/Tops"], None)],
)
def test_paths_that_nobody_named(tmp_path: Path, values: list[str], told: str | None) -> None:
    table = write(tmp_path / "t.csv", "image,category\n" + "".join(f"x.jpg,{value}\n" for value in values))
    catalogue = read([table], Columns())
    assert catalogue.levels == ("category",)
    assert ("--path-column" in catalogue.found) == (told is not None)
    assert told is None or f"--path-separator {told}" in catalogue.found


def test_folders() -> None:
    names = ["A/B/1.jpg", "A/C/2.jpg", "A/3.jpg", "4.jpg"]
    catalogue = catalogue_of_folders(names, Path("photos"))
    assert catalogue.levels == ("level1", "leaf")
    assert catalogue.lazy.collect().select("id", "level_0", "level_1").rows() == [
        ("A/B/1.jpg", "A", "B"),
        ("A/C/2.jpg", "A", "C"),
        ("A/3.jpg", None, None),
        ("4.jpg", None, None),
    ]
    assert catalogue_of_folders(names, Path("photos"), ["kind"]).lazy.collect()["level_0"].to_list() == [
        None,
        None,
        "A",
        None,
    ]
    for nothing in ([], ["1.jpg"]):
        with pytest.raises(BadTable, match="root/…/leaf"):
            catalogue_of_folders(nothing, Path("photos"))
