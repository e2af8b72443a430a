"""Exact search in memory, against that of LanceDB."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.index import memory, product_index
from prodrec.index.memory import PhotosInMemory

from .conftest import WIDTH, MakeIndex, draw_rows


def test_photos_are_those_that_the_table_finds(make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CHUNK", 64)
    table = make_index([(f"P{i}", 1 + i % 4) for i in range(100)]).table
    queries_Bd = draw_rows([("q", 5)], seed=11).vector_Rd.astype(np.float32)
    for limit in (1, 7, 1000):
        expected, found = table.nearest(queries_Bd, limit), PhotosInMemory.load(table).nearest(queries_Bd, limit)
        for of_table, of_memory in zip(expected, found, strict=True):
            assert [cosine for cosine, _ in of_memory] == pytest.approx([cosine for cosine, _ in of_table], abs=2e-3)
            by_photo = {(row["sku"], row["photo"]): row for _, row in of_table}
            same = [row for _, row in of_memory if by_photo.get((row["sku"], row["photo"])) == row]
            assert len(same) >= len(of_table) - 1, "but for one that is as near as the last one, before rounding"


def test_a_large_index_is_searched_on_the_disk(make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make_index([(f"P{i}", 1) for i in range(20)])
    query_1d = draw_rows([("q", 1)], seed=3).vector_Rd.astype(np.float32)
    expected = [hit.product.sku for hit in index.search(query_1d, 6)[0]]
    monkeypatch.setattr(product_index, "MOST_NUMBERS", 20 * WIDTH - 1)
    monkeypatch.setattr(PhotosInMemory, "load", None)
    assert [hit.product.sku for hit in type(index).open(index.path).search(query_1d, 6)[0]] == expected
