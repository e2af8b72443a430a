from __future__ import annotations

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.catalogue import read_catalogue
from prodrec.core.data.tables.columnar_table import ColumnarTable, hugging_face_classes, open_parquet
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN

JPEG = b"\xff\xd8\xff\xe0 not really"


def write(path: Path, columns: dict[str, Any], features: dict[str, Any] | None = None) -> ColumnarTable:
    metadata = None if features is None else {"huggingface": json.dumps({"info": {"features": features}})}
    pl.DataFrame(columns).write_parquet(path, metadata=metadata)
    return open_parquet(path)


def texts(table: ColumnarTable, column: str) -> list[str | None]:
    (chunk,) = table.chunks([column])
    frame = chunk.collect()
    assert frame[ROW_COLUMN].to_list() == list(range(1, frame.height + 1)) and not frame[PROBLEM_COLUMN].count()
    return frame[column].to_list()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pl.Series(["a", None]), ["a", None]),
        (pl.Series(["a", None], dtype=pl.Categorical), ["a", None]),
        (pl.Series(["a", None], dtype=pl.Enum(["a"])), ["a", None]),
        (pl.Series([7.0, float("nan"), 2.5, float("inf")]), ["7", None, "2.5", None]),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), [str(2**64 - 1)]),
        (pl.Series([True, None]), ["true", None]),
        (pl.Series([Decimal("1.50")]), ["1.50"]),
        (pl.Series([datetime.date(2024, 1, 2)]), ["2024-01-02"]),
        (pl.Series([datetime.time(1, 2, 3)]), ["01:02:03"]),
        (pl.Series([datetime.timedelta(days=1, seconds=2)]), ["1d 2s"]),
        (pl.Series([None, None]), [None, None]),
        (pl.Series([["a", "é"], [], None]), ['["a", "é"]', "[]", None]),
        (pl.Series([[1, 2]], dtype=pl.Array(pl.Int32, 2)), ["[1, 2]"]),
        (pl.Series([[1.5, float("nan")]]), ["[1.5, null]"]),
        (pl.Series([{"a": 1, "b": {"c": ["x"]}}, None]), ['{"a": 1, "b": {"c": ["x"]}}', None]),
        (pl.Series([[{"n": "x", "day": datetime.date(2024, 1, 2)}]]), ['[{"n": "x", "day": "2024-01-02"}]']),
        (pl.Series([b"text", "é".encode(), None]), ["text", "é", None]),  # Spark and older tools write text so
    ],
    ids=range(17),
)
def test_types(tmp_path: Path, values: pl.Series, expected: list[str | None]) -> None:
    table = write(tmp_path / "t.parquet", {"v": values})
    assert table.header == ["v"] and table.photo_columns == []
    assert texts(table, "v") == expected


def test_moments(tmp_path: Path) -> None:
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5)
    (text,) = texts(write(tmp_path / "t.parquet", {"v": [moment]}), "v")
    assert text is not None and text.startswith("2024-01-02 03:04:05")


def test_no_rows(tmp_path: Path) -> None:
    table = write(tmp_path / "t.parquet", {"id": pl.Series([], dtype=pl.Int64), "v": pl.Series([], dtype=pl.Null)})
    assert texts(table, "v") == []
    assert [chunk.collect().shape for chunk in table.chunks([])] == [(0, 2)]


@pytest.mark.parametrize("paths", [False, True])
def test_photos_in_structs(tmp_path: Path, paths: bool) -> None:
    """A photo that is not stored is named by its path."""
    photos = [{"bytes": JPEG, "path": "x.jpg"}, {"bytes": None, "path": "folder/y.jpg"}, None]
    if not paths:
        photos = [photo and {"bytes": photo["bytes"]} for photo in photos]
    table = write(tmp_path / "t.parquet", {"image": photos, "id": [1, 2, 3]})
    assert table.photo_columns == ["image"]
    assert texts(table, "image") == ["t.parquet/row-1", "folder/y.jpg" if paths else None, None]
    assert list(table.photos("image")) == [("t.parquet/row-1", JPEG)]


def test_binary_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodrec.core.data.tables.columnar_table.PHOTO_ROWS", 2)
    table = write(tmp_path / "t.parquet", {"image": [JPEG, None, JPEG + b"2", JPEG], "id": [1, 2, 3, 4]})
    names = ["t.parquet/row-1", None, "t.parquet/row-3", "t.parquet/row-4"]
    assert table.photo_columns == ["image"] and texts(table, "image") == names
    assert list(table.photos("image")) == [(names[0], JPEG), (names[2], JPEG + b"2"), (names[3], JPEG)]


@pytest.mark.parametrize("as_struct", [False, True])
def test_several_photos_of_a_row(tmp_path: Path, as_struct: bool) -> None:
    """Their names are a JSON list."""
    rows = [[JPEG, JPEG + b"2"], [], None, [JPEG]]
    photos = [row and [{"bytes": data, "path": None} if as_struct else data for data in row] for row in rows]
    table = write(tmp_path / 't "1".parquet', {"images": photos})
    assert table.photo_columns == ["images"]
    lists = [None if text is None else json.loads(text) for text in texts(table, "images")]
    name = 't "1".parquet/row-'
    assert lists == [[f"{name}1-1", f"{name}1-2"], None, None, [f"{name}4-1"]]
    assert dict(table.photos("images")) == {f"{name}1-1": JPEG, f"{name}1-2": JPEG + b"2", f"{name}4-1": JPEG}


def test_binary_data_inside_a_struct_has_no_text(tmp_path: Path) -> None:
    table = write(tmp_path / "t.parquet", {"v": [{"a": {"data": JPEG}}], "id": [1]})
    assert texts(table, "id") == ["1"]
    with pytest.raises(BadTable, match=r"column 'v' contains Struct.*; expected text, numbers or lists of them\.$"):
        texts(table, "v")


LABEL = {"names": ["shirt", "hat"], "_type": "ClassLabel"}


def test_names_of_classes(tmp_path: Path) -> None:
    features = {"label": LABEL, "tags": {"feature": LABEL, "_type": "Sequence"}, "n": {"dtype": "int64"}, "gone": LABEL}
    columns = {"label": [1, 0, -1, None, 7], "tags": [[0, 1], [], None, [1], [7]], "n": [0, 1, 2, 3, 4]}
    table = write(tmp_path / "t.parquet", columns, features)
    assert texts(table, "label") == ["hat", "shirt", None, None, None]
    assert texts(table, "tags") == ['["shirt", "hat"]', "[]", None, '["hat"]', "[null]"]
    assert texts(table, "n") == ["0", "1", "2", "3", "4"]
    assert texts(write(tmp_path / "t.parquet", {"label": ["hat"]}, features), "label") == ["hat"]


@pytest.mark.parametrize(
    "feature",
    [
        LABEL,
        {"names": {"0": "shirt", "1": "hat"}, "_type": "ClassLabel"},
        {"feature": LABEL, "length": -1, "_type": "Sequence"},
        {"feature": LABEL, "_type": "List"},
        {"feature": LABEL, "_type": "LargeList"},
        [LABEL],
    ],
)
def test_layouts_of_class_names(feature: Any) -> None:
    for content in ({"info": {"features": {"label": feature}}}, {"features": {"label": feature}}):
        assert hugging_face_classes({"huggingface": json.dumps(content)}) == {"label": ["shirt", "hat"]}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"info": null}', '{"info": {"features": {"a": {"_type": "ClassLabel"}}}}']
)
def test_other_metadata(text: str) -> None:
    assert hugging_face_classes({"huggingface": text}) == {} and hugging_face_classes({}) == {}


def test_no_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    for data in (b"", b"no parquet", b"PAR1" + bytes(50)):
        path.write_bytes(data)
        with pytest.raises(BadTable, match=r"t\.parquet is not readable as Parquet: .*\.$"):
            open_parquet(path)


@pytest.mark.parametrize("compression", ["uncompressed", "zstd"])
def test_a_damaged_page_names_the_file(tmp_path: Path, compression: Any) -> None:
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame({"id": [f"product {i}" for i in range(99)], "image": "a.jpg", "category": "a > b"})
    frame.write_parquet(path, compression=compression)
    data = bytearray(path.read_bytes())
    data[4:150] = bytes(byte ^ 0x55 for byte in data[4:150])
    path.write_bytes(data)
    with pytest.raises(BadTable, match=r"t\.parquet is damaged \(parquet: .*\); copy or download it again\.$"):
        read_catalogue([path], ColumnNames(), scratch=tmp_path)
