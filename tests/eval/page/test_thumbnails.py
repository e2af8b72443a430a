"""Thumbnails: JPEG data URIs up to a budget; a photo that cannot be read is skipped with a warning."""

from __future__ import annotations

import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from prodrec.core.base.errors import BadArtefact
from prodrec.eval.page.inputs import PhotoSource
from prodrec.eval.page.thumbnails import Thumbnails


def source(side: int = 100) -> PhotoSource:
    def read(row: int) -> np.ndarray:
        if row == 13:
            raise BadArtefact("photo 13 is damaged.")
        return np.random.default_rng(row).integers(0, 256, (3, side, side // 2), dtype=np.uint8)

    return PhotoSource(read, lambda rows: {})


def size(uri: str | None) -> tuple[int, int]:
    assert uri is not None and uri.startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(b64decode(uri.partition(",")[2]))).size


def test_photos_are_made_smaller_and_never_larger() -> None:
    assert size(Thumbnails(source()).uri(1, 40)) == (20, 40)
    assert size(Thumbnails(source(side=30)).uri(1, 40)) == (15, 30)


def test_the_budget_counts_every_use() -> None:
    first = Thumbnails(source()).uri(1, 40)
    assert first is not None
    photos = Thumbnails(source(), budget=2 * len(first))
    assert [photos.uri(1, 40) for _ in range(3)] == [first, first, None] and photos.omitted == 1
    assert photos.uri(2, 8) is None, "no smaller photo comes after one that was omitted"


def test_missing_and_damaged_photos(capsys: pytest.CaptureFixture[str]) -> None:
    assert Thumbnails(None).uri(1, 40) is None
    photos = Thumbnails(source())
    assert photos.uri(-1, 40) is None and photos.uri(13, 40) is None and photos.omitted == 0
    assert "photo 13 is damaged" in capsys.readouterr().err
