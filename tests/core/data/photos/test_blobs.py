"""Photos that a table contains, written to one file and read back by name."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from prodrec.core.data.photos.blobs import photos_from_blobs
from prodrec.core.data.photos.examine import PhotoRules, examine
from prodrec.core.data.photos.name_matching import match_names


def test_photos_in_the_given_order(tmp_path: Path) -> None:
    names = ["z.jpg", "a.jpg", "女装/m.png", "empty.jpg", "x.jpg"]
    blobs = [b"z" * 100, b"a", b"m" * 7, b"", b"x"]
    source = photos_from_blobs(zip(names, blobs, strict=True), tmp_path / "blobs", path=Path("shop.parquet"))
    assert source.names_P == names
    assert [location.read() for location in source.locations(np.arange(5))] == blobs
    assert (tmp_path / "blobs").stat().st_size == 109
    matches = match_names(source, pl.Series(["m.png", "a.jpg", "lost.jpg"]))
    assert matches.photo_W.tolist() == [2, 1, -1] and matches.reasons.to_list() == ["no such photo in shop.parquet"]


def test_photos_are_decoded_and_empty_ones_rejected(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (5, 5), (9, 9, 9)).save(stream, "PNG")
    source = photos_from_blobs([("0", stream.getvalue()), ("1", b"")], tmp_path / "blobs", path=tmp_path)
    photos = examine(list(source.locations(np.arange(2))), PhotoRules()).photos
    assert photos.problem_P.tolist() == [0, 1] and list(photos.problems)[1][1] == "the file is empty"


def test_blobs_are_read_one_at_a_time(tmp_path: Path) -> None:
    alive = 0

    def photos() -> Iterator[tuple[str, bytes]]:
        nonlocal alive
        for i in range(5):
            alive += 1
            assert alive == i + 1
            yield str(i), bytes([i])

    assert len(photos_from_blobs(photos(), tmp_path / "blobs", path=tmp_path)) == 5


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"photo 2 has the same name as an earlier one: 'a\.jpg'"):
        photos_from_blobs([("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3")], tmp_path / "x", path=tmp_path)
    with pytest.raises(FileExistsError):
        photos_from_blobs([], tmp_path / "x", path=tmp_path)
    assert len(photos_from_blobs([], tmp_path / "z", path=tmp_path)) == 0
