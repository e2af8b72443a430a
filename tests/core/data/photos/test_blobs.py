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
    names = ["z.jpg", "a.jpg", "女装/m.png", "empty.jpg", "none.jpg"]
    blobs = [b"z" * 100, b"a", b"m" * 7, b"", None]
    source = photos_from_blobs(iter(names), iter(blobs), tmp_path / "blobs")
    assert source.names_P == names
    assert [location.read() for location in source.locations(np.arange(5))] == [blob or b"" for blob in blobs]
    assert (tmp_path / "blobs").stat().st_size == 108
    assert match_names(source, pl.Series(["m.png", "a.jpg"])).photo_W.tolist() == [2, 1]


def test_photos_are_decoded_and_empty_ones_rejected(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (5, 5), (9, 9, 9)).save(stream, "PNG")
    source = photos_from_blobs(["0", "1"], [stream.getvalue(), None], tmp_path / "blobs")
    photos = examine(list(source.locations(np.arange(2))), PhotoRules()).photos
    assert photos.problem_P.tolist() == [0, 1] and list(photos.problems)[1][1] == "the file is empty"


def test_blobs_are_read_one_at_a_time(tmp_path: Path) -> None:
    alive = 0

    def blobs() -> Iterator[bytes]:
        nonlocal alive
        for i in range(5):
            alive += 1
            assert alive == i + 1
            yield bytes([i])

    assert len(photos_from_blobs(map(str, range(5)), blobs(), tmp_path / "blobs")) == 5


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"photo 2 has the same name as an earlier one: 'a\.jpg'"):
        photos_from_blobs(["a.jpg", "b.jpg", "a.jpg"], [b"1", b"2", b"3"], tmp_path / "x")
    with pytest.raises(ValueError, match="shorter"):
        photos_from_blobs(["a.jpg", "b.jpg"], [b"1"], tmp_path / "y")
    with pytest.raises(FileExistsError):
        photos_from_blobs([], [], tmp_path / "y")
    assert len(photos_from_blobs([], [], tmp_path / "z")) == 0
