"""The table of an index: what is read is what was written, and a change is one commit."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.errors import BadArtefact, ProdrecError
from prodrec.index.table import PhotoTable

from .conftest import WIDTH, draw_rows

PRODUCTS = [("P1", 2), ("it's", 1), ('a"b, c', 1), ("鞋", 3)]


@pytest.fixture
def table(tmp_path: Path) -> PhotoTable:
    made = PhotoTable.create(tmp_path, WIDTH)
    made.append(draw_rows(PRODUCTS))
    return made


def test_nearest_photos_are_those_of_a_plain_product(table: PhotoTable) -> None:
    queries_Bd = draw_rows([("q", 3)], seed=9).vector_Rd.astype(np.float32)
    stored_Rd = draw_rows(PRODUCTS).vector_Rd.astype(np.float32)
    frame = table.frame("sku", "photo")
    for query_d, found in zip(queries_Bd, table.nearest(queries_Bd, 4), strict=True):
        cosine_R = stored_Rd @ query_d / np.linalg.norm(stored_Rd, axis=1) / np.linalg.norm(query_d)
        best = np.argsort(-cosine_R)[:4]
        assert [(row["sku"], row["photo"]) for _, row in found] == [frame.row(int(i)) for i in best]
        assert [cosine for cosine, _ in found] == pytest.approx(cosine_R[best], abs=2e-3)
    (one,) = table.nearest(queries_Bd[:1], 100)
    assert len(one) == 7, "there are no more photos"


def test_rows_are_read_by_ids_with_any_characters(table: PhotoTable) -> None:
    rows = table.rows_of(["鞋", "it's", "none"])
    assert [(row["sku"], row["photo"]) for row in rows] == [("it's", 0), ("鞋", 0), ("鞋", 1), ("鞋", 2)]
    assert rows[0]["tags"] == ["red", "it's"] and rows[1]["title"] == "title 鞋"
    assert table.thumbnail("it's", 0) == draw_rows(PRODUCTS).thumbnail[2]
    assert table.thumbnail("it's", 1) is None and table.thumbnail("x' OR '1'='1", 0) is None


def test_a_change_replaces_and_removes_in_one_version(table: PhotoTable) -> None:
    before, reader = table.version, PhotoTable(table._table)
    changed = draw_rows([("P1", 1), ("new", 2)], seed=3, title="other")
    table.replace(changed, ["P1", "new", "it's", "unknown"])
    assert table.version == before + 1
    kept = sorted(table.frame("sku", "photo", "title").rows())
    assert kept == sorted(
        [
            ("P1", 0, "other P1"),
            ("new", 0, "other new"),
            ("new", 1, "other new"),
            ('a"b, c', 0, 'title a"b, c'),
            *(("鞋", number, "title 鞋") for number in range(3)),
        ]
    )
    table.replace(None, ["鞋"])
    assert set(table.frame("sku")["sku"]) == {"P1", "new", 'a"b, c'}
    assert len(reader) == 4


def test_many_ids_are_removed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodrec.index.table.NAMES_AT_ONCE", 3)
    table = PhotoTable.create(tmp_path, WIDTH)
    table.append(draw_rows([(f"P{i}", 1) for i in range(10)]))
    table.replace(draw_rows([("P0", 1)]), [f"P{i}" for i in range(8)])
    assert sorted(table.frame("sku")["sku"]) == ["P0", "P8", "P9"]


def test_columns_and_vectors_are_of_the_same_rows(table: PhotoTable) -> None:
    table.replace(draw_rows([("P1", 2)], seed=4), ["P1"])
    frame, vectors_Rd = table.frame_and_vectors("sku", "photo")
    for (sku, photo), vector_d in zip(frame.rows(), vectors_Rd, strict=True):
        (row,) = [row for row in table.rows_of([sku], ["photo", "vector"]) if row["photo"] == photo]
        assert np.array_equal(np.array(row["vector"], np.float16), vector_d)
    assert table.sample_vectors(3).shape == (3, WIDTH) and len(table.sample_vectors(99)) == 7


def test_a_reader_of_a_version_that_was_removed(tmp_path: Path) -> None:
    PhotoTable.create(tmp_path, WIDTH).append(draw_rows(PRODUCTS))
    reader, writer = (PhotoTable.open(tmp_path, WIDTH) for _ in range(2))
    writer.replace(draw_rows([("P1", 1)], seed=5), ["P1"])
    writer.tidy(timedelta(hours=1))
    assert len(reader.rows_of(["P1"])) == 2 and writer.versions > 1, "its files are kept for a while"
    writer.replace(None, ["P1"])
    with pytest.warns(UserWarning, match="removes every version"):
        writer._table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
    with pytest.raises(ProdrecError, match=r"removed by a later update, or deleted .* open the index again"):
        PhotoTable(reader._table).nearest(draw_rows([("q", 1)]).vector_Rd, 3)


@pytest.mark.parametrize("length", [0, 1000])
def test_damaged_files_are_refused(table: PhotoTable, tmp_path: Path, length: int) -> None:
    (file,) = tmp_path.glob("products.lance/data/*")
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(BadArtefact, match=r"cannot be read \(.*\); make the index again") as raised:
        PhotoTable.open(tmp_path, WIDTH).frame("title", "sku")
    assert ".rs:" not in str(raised.value)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArtefact, match=r"products\.lance cannot be read .*`prodrec index build`"):
        PhotoTable.open(tmp_path, WIDTH)
    PhotoTable.create(tmp_path, WIDTH)
    with pytest.raises(BadArtefact, match="other columns or vectors"):
        PhotoTable.open(tmp_path, WIDTH + 1)
