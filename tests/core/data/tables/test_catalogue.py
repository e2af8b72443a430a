"""Tables of any format become one catalogue: a row for every photo, with the categories as levels."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption, BadTable
from prodrec.core.data.tables.catalogue import Catalogue, read_catalogue
from prodrec.core.data.tables.columns import ColumnNames


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
    """Neither of plain fields nor of quoted ones."""
    tables = [
        write(tmp_path / "a.csv", "id,image,category\n" + "".join(f"{i},{i}.jpg,A > {i % 3}\n" for i in range(9))),
        write(tmp_path / "b.csv", "id,image,category\n" + "".join(f'{i},{i}.jpg,"A > {i % 3}"\n' for i in range(8))),
    ]
    requested = ColumnNames(path="category")
    whole = read(tables, requested)
    for module in ("catalogue", "catalogue_files"):
        monkeypatch.setattr(f"prodrec.core.data.tables.{module}.CHUNK_ROWS", 4)
    monkeypatch.setattr("prodrec.core.data.tables.text_file.BLOCK_BYTES", 40)
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
    assert catalogue.frame.collect().select("level_0", "level_1", "level_2").rows() == [
        ("A", "B", "C"),
        ("A", "B", None),
        ("A", "B2", "D"),
        ("A", "E", None),  # empty levels do not count
        (None, None, None),
    ]
    named = read([table], ColumnNames(path="category", separator=separator, levels=("department", "kind")))
    assert named.levels == ("department", "kind")
    assert named.frame.collect()["level_1"].to_list() == ["B", "B", "B2", "E", None]


@pytest.mark.parametrize(
    ("values", "levels", "suggested"),
    [
        (["A > B", "A > C", "D"], ("level1", "leaf"), None),  # arrows are cut without being asked
        (["A/B", "A/C"], ("category",), "'/'"),
        (["A", "B", "T-shirts/Tops"], ("category",), None),
    ],
)
def test_a_column_of_whole_paths_is_pointed_out(
    tmp_path: Path, values: list[str], levels: tuple[str, ...], suggested: str | None
) -> None:
    table = write(tmp_path / "t.csv", "image,category\n" + "".join(f"x.jpg,{value}\n" for value in values))
    catalogue = read([table], ColumnNames())
    assert catalogue.levels == levels
    notes = " ".join(catalogue.notes)
    assert ("--path-column category" in notes) == (suggested is not None)
    assert suggested is None or f"--path-separator {suggested}" in notes


def test_one_row_for_every_photo(tmp_path: Path) -> None:
    lines = [
        '1,"a.jpg, b.jpg",c.jpg,Shirts',
        "2,,,Hats",
        "3,d.jpg,d.jpg,Hats",
        '4,"[""e.jpg""]",,Hats',
        "5,,f.jpg,Hats",
    ]
    table = write(tmp_path / "t.csv", "id,image,back,leaf\n" + "\n".join(lines) + "\n")
    catalogue = read([table], ColumnNames(further_images=("back",)))
    assert catalogue.frame.collect().select("table_row", "id", "product", "image").rows() == [
        *((2, "1", "1", name) for name in ("a.jpg", "b.jpg", "c.jpg")),
        (3, "2", "2", None),
        (4, "3", "3", "d.jpg"),
        (5, "4", "4", "e.jpg"),
        (6, "5", "5", "f.jpg"),
    ]
    assert (catalogue.row_count, catalogue.table_rows) == (7, 5)


def test_malformed_rows_have_no_values(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "id,image,leaf\n1,a.jpg,Shirts\n2,b.jpg,Hats,x\n\n3,c.jpg,Hats\n")
    frame = read([table], ColumnNames()).frame.collect()
    assert frame["table_row"].to_list() == [2, 3, 4, 5]
    assert frame["problem"].is_null().to_list() == [True, False, False, True]
    assert frame["image"].to_list() == ["a.jpg", None, None, "c.jpg"]


def test_tables_named_as_splits(tmp_path: Path) -> None:
    tables = [
        write(tmp_path / f"{name}.csv", "image,leaf\na.jpg,Shirts\n") for name in ("train-0", "train-1", "shop_test")
    ]
    catalogue = read(tables, ColumnNames())
    assert catalogue.has_split and catalogue.frame.collect()["split"].to_list() == ["train", "train", "test"]
    assert any("test, train" in note for note in catalogue.notes)
    assert not read(tables[:2], ColumnNames()).has_split


def test_a_preview_reads_the_first_rows(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "image,leaf\n" + "".join(f"{i}.jpg,Shirts\n" for i in range(9)))
    assert read([table], ColumnNames(), max_rows=4).frame.collect()["image"].to_list() == [f"{i}.jpg" for i in range(4)]


def test_the_remedy_for_another_encoding(tmp_path: Path) -> None:
    text = "image,category\n" + "".join(f"{i}.jpg,Chaussures > Été à la plage\n" for i in range(9))
    (tmp_path / "t.csv").write_bytes(text.encode("mac-roman"))
    with pytest.raises(BadTable, match=r"9 of 9 rows are malformed .*; name another encoding with --encoding, such as"):
        read_catalogue([tmp_path / "t.csv"], ColumnNames(), scratch=tmp_path, encoding="utf-8")
    catalogue = read_catalogue([tmp_path / "t.csv"], ColumnNames(), scratch=tmp_path, encoding="mac-roman")
    assert set(catalogue.read_column("level_1")) == {"Été à la plage"}
