"""Products with several photos in a scores file: written only if there are any, read, selected and checked."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest

from prodrec.core.base.errors import BadArtefact
from prodrec.core.scores.reader import open_scores

PRODUCTS = [0, 1, 0, 2, 3, 1, 4, 0]


@pytest.mark.parametrize("top_k", [None, 4])
def test_each_row_has_the_first_row_of_its_product(draw_scores: Any, top_k: int | None) -> None:
    drawn = draw_scores(rows=8, first_row=5, products=PRODUCTS, top_k=top_k)  # the rows are 5, 8, 11, …
    with open_scores(drawn.path) as scores:
        assert scores.has_products
        chunks = list(scores.chunks(rows=3))
    for name in ("product_R", "group_R"):
        read = np.concatenate([getattr(chunk, name) for chunk in chunks])
        assert read.tolist() == [5, 8, 5, 14, 17, 8, 23, 5]


def test_without_them_each_row_is_a_product_and_the_file_has_no_such_dataset(draw_scores: Any) -> None:
    drawn = draw_scores(rows=8)
    with h5py.File(drawn.path) as file:
        assert not {"product", "group"} & set(file)
    with open_scores(drawn.path) as scores:
        (chunk,) = scores.chunks()
        assert not scores.has_products
    assert chunk.product_R.tolist() == chunk.group_R.tolist() == drawn.rows.tolist()


@pytest.mark.parametrize("products", [None, PRODUCTS * 25])
def test_selected_rows_are_read_alone(draw_scores: Any, products: Any) -> None:
    drawn = draw_scores(products=products)
    selected = np.random.default_rng(0).random(200) < 0.1
    selected[80:140] = False
    for split, kept in ((None, selected), ("test", selected & (drawn.split == 1))):
        with open_scores(drawn.path) as scores:
            chunks = list(scores.chunks(split, rows=16, selected=selected))
        assert np.concatenate([chunk.rows_R for chunk in chunks]).tolist() == drawn.rows[kept].tolist()
        read = np.concatenate([chunk.scores["leaf"] for chunk in chunks])
        np.testing.assert_array_equal(read, drawn.scores["leaf"][kept])


@pytest.mark.parametrize(("name", "value"), [("product", 6), ("product", -1), ("group", 10**9)])
def test_a_product_after_its_row_is_damage(draw_scores: Any, name: str, value: int) -> None:
    drawn = draw_scores(rows=8, products=PRODUCTS)
    with h5py.File(drawn.path, "r+") as file:
        file[name][1] = value  # the row is 3
    with (
        open_scores(drawn.path) as scores,
        pytest.raises(BadArtefact, match=rf"row 3 has {name} {value}, expected a row from 0 to it; score the run"),
    ):
        list(scores.chunks())


def test_too_few_products_are_damage(draw_scores: Any) -> None:
    drawn = draw_scores(rows=8, products=PRODUCTS)
    with h5py.File(drawn.path, "r+") as file:
        file["group"].resize(7, axis=0)
    with pytest.raises(BadArtefact, match="group has 7 rows, expected 8"):
        open_scores(drawn.path)


def test_a_file_without_groups_is_damage(draw_scores: Any) -> None:
    drawn = draw_scores(rows=8, products=PRODUCTS)
    with h5py.File(drawn.path, "r+") as file:
        del file["group"]
    with pytest.raises(BadArtefact, match="truncated or damaged"):
        open_scores(drawn.path)
