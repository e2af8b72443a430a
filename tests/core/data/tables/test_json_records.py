"""The array of records in the content of a JSON file, as shops and datasets nest it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.json_records import find_records

ROWS = [{"id": 1}, {"id": 2}]
COCO = {"info": {"year": 2018}, "images": ROWS, "annotations": ROWS, "categories": ROWS}


@pytest.mark.parametrize(
    ("content", "records"),
    [
        (ROWS, ROWS),
        ({"total": 2, "products": ROWS, "skip": 0}, ROWS),
        ({"products": ROWS, "attributes": [{"id": "colour"}]}, ROWS),
        ([{"header": {"version": 1}}, {"attributes": [{"id": "colour"}]}, {"products": ROWS}], ROWS),
        ({"id": {"0": 1, "1": 2}, "name": {"0": "a", "1": None}}, [{"id": 1, "name": "a"}, {"id": 2, "name": None}]),
        ({"id": 1, "images": ROWS, "variants": ROWS}, [{"id": 1, "images": ROWS, "variants": ROWS}]),
        ([{"id": 1}], [{"id": 1}]),
        ({"meta": {"count": 2}, "data": {"products": ROWS}}, ROWS),
        ({"7": {"name": "a"}, "8": {"name": "b"}}, [{"id": "7", "name": "a"}, {"id": "8", "name": "b"}]),
        ({"a": {"id": 1, "tags": [{}]}, "b": {"id": 2}}, [{"id": 1, "tags": [{}]}, {"id": 2}]),
        ({"id": [1, 2], "tags": [["x"], []]}, [{"id": 1, "tags": ["x"]}, {"id": 2, "tags": []}]),
        ({"columns": ["id"], "index": [0, 1], "data": [[1], [2]]}, ROWS),
        ({"schema": {"fields": [{"name": "id"}, {}, {}]}, "data": ROWS}, ROWS),
        ({"id": 1, "size": {"width": 3}}, [{"id": 1, "size": {"width": 3}}]),
        ("text", []),
    ],
)
def test_find_records(content: Any, records: list[Any]) -> None:
    assert find_records(content, Path("t.json")) == records


def test_several_tables_in_a_file_are_refused() -> None:
    with pytest.raises(BadTable, match=r"several arrays of objects \(images, annotations, categories\)"):
        find_records(COCO, Path("t.json"))
