"""Searching an index: one hit a product, the newest version on request, readers that are not disturbed."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.errors import BadArtefact, Mismatch, NotFound
from prodrec.index.product_index import ProductIndex
from prodrec.index.writer import open_to_write, replace_products

from .conftest import MakeIndex, draw_rows

PRODUCTS = [("many", 30), *((f"P{i}", 1 + i % 3) for i in range(12))]


def expected_order(query_d: np.ndarray, excluded: set[str]) -> list[tuple[str, int]]:
    """Every product with its nearest photo, nearest first, by a plain loop."""
    rows = draw_rows(PRODUCTS)
    best: dict[str, tuple[float, int]] = {}
    for sku, photo, vector_d in zip(rows.sku, rows.photo, rows.vector_Rd.astype(np.float32), strict=True):
        cosine = float(vector_d @ query_d / np.linalg.norm(vector_d))
        if sku not in excluded and cosine > best.get(sku, (-2.0, 0))[0]:
            best[sku] = (cosine, photo)
    return [(sku, photo) for sku, (_, photo) in sorted(best.items(), key=lambda item: -item[1][0])]


def test_a_product_is_found_once_by_its_nearest_photo(make_index: MakeIndex) -> None:
    index = make_index(PRODUCTS)
    queries_Bd = draw_rows([("q", 4)], seed=7).vector_Rd.astype(np.float32)
    exclude: list[set[str]] = [set(), {"many"}, {"P1", "P2", "none"}, {sku for sku, _ in PRODUCTS}]
    found = index.search(queries_Bd, 5, exclude=exclude)
    for query_d, hits, excluded in zip(queries_Bd, found, exclude, strict=True):
        assert [(hit.product.sku, hit.photo) for hit in hits] == expected_order(query_d, excluded)[:5]
    assert found[3] == [] and len(index.search(queries_Bd, 1000)[0]) == len(PRODUCTS)


def test_products_and_thumbnails(make_index: MakeIndex) -> None:
    index = make_index(PRODUCTS)
    product = index.product("P2")
    assert product is not None and product.title == "title P2" and product.photos == 3
    assert product.path == ("Shoes", "Leaf 2") and product.tags == ("red", "P2") and not product.is_predicted
    assert product.as_json()["path"] == ["Shoes", "Leaf 2"]
    assert index.product("none") is None
    assert (index.thumbnail("P2", 2) or b"").startswith(b"\xff\xd8") and index.thumbnail("P2", 3) is None


def test_similar_products_are_those_near_any_photo(make_index: MakeIndex) -> None:
    index = make_index(PRODUCTS)
    rows = draw_rows(PRODUCTS)
    own = [i for i, sku in enumerate(rows.sku) if sku == "P5"]
    vectors_Rd = rows.vector_Rd.astype(np.float32)
    best: dict[str, float] = {}
    for sku, cosine in zip(rows.sku, (vectors_Rd[own] @ vectors_Rd.T).max(0), strict=True):
        best[sku] = max(best.get(sku, -2), float(cosine))
    order = sorted((sku for sku in best if sku != "P5"), key=lambda sku: -best[sku])
    assert [hit.product.sku for hit in index.similar("P5", 4)] == order[:4]
    assert index.similar("none", 4) == []


def test_a_reader_keeps_its_version_until_it_asks(make_index: MakeIndex) -> None:
    index = make_index(PRODUCTS)
    assert index.refreshed() is index
    with open_to_write(index.path) as writer:
        replace_products(writer, draw_rows([("new", 1)], seed=2), ["new", "many"])
    assert index.product("new") is None and index.product("many") is not None
    newest = index.refreshed()
    assert newest.version > index.version and newest.product("many") is None
    query_1d = draw_rows([("new", 1)], seed=2).vector_Rd
    assert newest.search(query_1d, 1)[0][0].product.sku == "new"


def test_an_index_that_was_made_again_is_another_one(make_index: MakeIndex) -> None:
    index = make_index([("P1", 1)])
    index.path.rename(index.path.with_name("old"))
    again = make_index([("P2", 1)])
    assert again.version == index.version, "the number of the version does not tell them apart"
    assert index.refreshed().product("P2") is not None


def test_readers_go_on_while_the_index_changes(make_index: MakeIndex) -> None:
    """Every search of four threads sees all products of some version, and never half of a change."""
    path, problems, stop = make_index([(f"P{i}", 1) for i in range(20)]).path, [], threading.Event()

    def read() -> None:
        reader = ProductIndex.open(path)
        query_1d = draw_rows([("q", 1)], seed=8).vector_Rd
        while not stop.is_set():
            reader = reader.refreshed()
            titles = {hit.product.title.split()[0] for hit in reader.search(query_1d, 20)[0]}
            if len(titles) != 1:
                problems.append(titles)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for thread in readers:
        thread.start()
    for number in range(6):
        with open_to_write(path) as writer:
            rows = draw_rows([(f"P{i}", 1) for i in range(20)], seed=number, title=f"version{number}")
            replace_products(writer, rows, list(rows.sku))
    stop.set()
    for thread in readers:
        thread.join()
    assert not problems


def test_vectors_of_another_run_are_refused(make_index: MakeIndex) -> None:
    index = make_index([("P1", 1)])
    index.require_run("r1", name="runs/visual")
    with pytest.raises(Mismatch, match=r"runs/other has other weights; make the index again with `prodrec index build"):
        index.require_run("r2", name="runs/other")


def test_what_is_no_index(tmp_path: Path, make_index: MakeIndex) -> None:
    with pytest.raises(NotFound, match="none does not exist; expected the directory of a prodrec index"):
        ProductIndex.open(tmp_path / "none")
    with pytest.raises(BadArtefact, match=r"it has no index\.json"):
        ProductIndex.open(tmp_path)
    index = make_index([("P1", 1)])
    text = (index.path / "index.json").read_text("utf-8")
    (index.path / "index.json").write_text(text.replace('"width": 8', '"width": "8"'), "utf-8")
    with pytest.raises(BadArtefact, match=r"index\.json is damaged: width"):
        ProductIndex.open(index.path)
