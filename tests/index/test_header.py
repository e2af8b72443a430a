"""The header of an index survives its file, and its fingerprint covers what answers depend on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.errors import BadArtefact
from prodrec.index.header import IndexHeader, SearchSettings

from .conftest import HEADER, WIDTH

PROJECTION = (np.arange(12, dtype=np.float32), np.arange(12 * WIDTH, dtype=np.float32).reshape(12, WIDTH))
POINT = {"name": "natural", "tau": 0.5, "beta": 0.3, "neighbours": 10, "temperature": 0.02, "rho": 0.5, "voters": ""}
FULL = replace(
    HEADER,
    options={"columns": {"id": "sku", "attributes": ["colour"]}},
    points={"both": {"natural": POINT}},
    validation=({"by": "both", "name": "natural", "top1": 0.5, "macc": 0.25},),
    validation_photos=7,
    search=SearchSettings("approximate", 16, 0.99, 200),
    projection=PROJECTION,
)


@pytest.mark.parametrize("header", [HEADER, FULL])
def test_it_survives_its_file(header: IndexHeader, tmp_path: Path) -> None:
    header.write(tmp_path)
    again = IndexHeader.read(tmp_path)
    assert again.fingerprint == header.fingerprint and again.search == header.search and again.build == header.build
    assert again.options == header.options and again.points == header.points and again.validation == header.validation
    assert (again.projection is None) == (header.projection is None)
    if again.projection is not None:
        assert all(np.array_equal(*pair) for pair in zip(again.projection, PROJECTION, strict=True))


def test_fingerprints() -> None:
    others = [
        replace(FULL, run_fingerprint="r2"),
        replace(FULL, dataset_fingerprint="d2"),
        replace(FULL, points={"both": {"natural": {**POINT, "beta": 0.4}}}),
        replace(FULL, projection=(PROJECTION[0] + 1, PROJECTION[1])),
    ]
    assert len({FULL.fingerprint, *(other.fingerprint for other in others)}) == 5
    moved = replace(FULL, run_path="elsewhere", search=SearchSettings())
    assert moved.fingerprint == FULL.fingerprint


@pytest.mark.parametrize("key", ["points", "validation", "tokenizer", "search"])
def test_a_key_that_is_missing_inside_is_named(tmp_path: Path, key: str) -> None:
    FULL.write(tmp_path)
    content = json.loads((tmp_path / "index.json").read_text("utf-8"))
    inner = {"points": lambda: content["points"]["both"]["natural"], "validation": lambda: content["validation"][0]}
    values = inner.get(key, lambda: content[key])()
    name = min(values)
    del values[name]
    (tmp_path / "index.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(BadArtefact, match=rf"index\.json is damaged: {key}.*{name} is missing"):
        IndexHeader.read(tmp_path)


def test_a_projection_of_another_width_is_refused(tmp_path: Path) -> None:
    FULL.write(tmp_path)
    np.save(tmp_path / "projection.npy", np.zeros((12, WIDTH + 1), np.float32))
    with pytest.raises(BadArtefact, match=r"projection\.npy contains float32 \[12, 9\].*`prodrec index build`"):
        IndexHeader.read(tmp_path)


def test_how_vectors_are_searched() -> None:
    assert str(SearchSettings()) == "exact"
    assert str(FULL.search) == "approximate: 16 lists contain 99.0% of the nearest photos of 200 photos"
