"""Every kind of damaged row is found, and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prodrec.index.check import find_problems
from prodrec.index.product_index import ProductIndex
from prodrec.index.table import PhotoRows, PhotoTable
from prodrec.index.writer import fill

from .conftest import HEADER, draw_rows

SOUND = draw_rows([("P1", 2), ("P2", 1), ("P3", 3)])


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (replace(SOUND, vector_Rd=SOUND.vector_Rd * np.float16(1.2)), "6 vectors are not of length 1: of P1, P2, P3"),
        (replace(SOUND, vector_Rd=np.zeros_like(SOUND.vector_Rd)), "6 vectors are not of length 1"),
        (replace(SOUND, photo=[0, 0, 0, 0, 1, 2]), "2 rows have the number of another: of P1"),
        (replace(SOUND, photo=[0, 1, 0, 0, 1, 3]), "1 product has not all of its photos: P3"),
        (replace(SOUND, photos=[2, 2, 2, 3, 3, 3]), "1 product has not all of its photos: P2"),
        (replace(SOUND, thumbnail=[b"", *SOUND.thumbnail[1:]]), "1 thumbnail is no photo: of P1"),
    ],
)
def test_damaged_rows(rows: PhotoRows, problem: str, tmp_path: Path) -> None:
    assert any(found.startswith(problem) for found in find_problems(fill(tmp_path, HEADER, iter([rows]))))


def test_missing_files(tmp_path: Path) -> None:
    index = fill(tmp_path, HEADER, iter([SOUND]))
    for file in (tmp_path / "products.lance/data").iterdir():
        file.unlink()
    found = find_problems(ProductIndex(tmp_path, index.header, PhotoTable.open(tmp_path, index.header.width)))
    assert found == ["its rows cannot be read, because files are missing or damaged"]


def test_missing_words(tmp_path: Path) -> None:
    index = fill(tmp_path, HEADER, iter([replace(SOUND, words=["x" * 100, *SOUND.words[1:]])]))
    assert find_problems(index) == []
    for file in (tmp_path / "products.lance/_indices").glob("*/*tokens*"):
        file.unlink()
    found = find_problems(ProductIndex(tmp_path, index.header, PhotoTable.open(tmp_path, index.header.width)))
    assert found == ["its rows cannot be read, because files are missing or damaged"]


def test_a_sound_index(tmp_path: Path) -> None:
    assert find_problems(fill(tmp_path, HEADER, iter([SOUND]))) == []
