"""JSON files whose values have the wrong types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field
from typing_extensions import TypedDict

from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.json_types import check_types, read_json


class Part(TypedDict):
    rows: Annotated[int, Field(ge=0)]
    names: list[str]
    share: float


class Whole(TypedDict):
    part: Part


GOOD: dict[str, Any] = {"part": {"rows": 3, "names": ["a"], "share": 1, "more": None}, "other": []}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "part is missing"),
        ({"part": []}, r"part is \[\], and Input should be a valid dictionary"),
        ({"part": {**GOOD["part"], "rows": "3"}}, "part.rows is '3', and Input should be a valid integer"),
        ({"part": {**GOOD["part"], "rows": True}}, "part.rows is True, and Input should be a valid integer"),
        ({"part": {**GOOD["part"], "rows": -1}}, "part.rows is -1, and Input should be greater than or equal to 0"),
        ({"part": {**GOOD["part"], "names": ["a", None]}}, r"part.names.1 is None, and Input should be a valid string"),
        ({"part": {**GOOD["part"], "names": "x" * 10_000}}, "part.names is 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx…, and"),
    ],
)
def test_the_first_wrong_value_is_named(value: dict[str, Any], message: str) -> None:
    with pytest.raises(BadArtefact, match=rf"^a\.json is damaged: {message}.*; make it again\.$"):
        check_types(value, Whole, Path("a.json"), remedy="make it again")
    check_types(GOOD, Whole, Path("a.json"), remedy="make it again")


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b'{"a": 1e99999'])
def test_files_that_are_no_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadArtefact, match=r"a\.json is not readable as JSON \(.*\); make it again\.$"):
        read_json(tmp_path / "a.json", remedy="make it again")
    with pytest.raises(BadArtefact, match=r"b\.json is not readable as JSON"):
        read_json(tmp_path / "b.json", remedy="make it again")
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(BadArtefact, match=r"a\.json contains no JSON object; make it again\.$"):
        read_json(tmp_path / "a.json", remedy="make it again")
