"""Cross-fitting by product: no product and no duplicate group is in two folds, and refined files keep the products."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from prodrec.core.base.folds import assign_folds
from prodrec.core.scores.reader import open_scores
from prodrec.eval.refine.cross_fit import cross_fit
from prodrec.eval.refine.refine import read_samples, refine
from prodrec.eval.refine.score_files import align_scores
from prodrec.eval.refine.settings import MCRSettings


def three_photos(rows: int = 600) -> Any:
    """Return the product of every row: three photos each, anywhere in the file."""
    return np.random.default_rng(3).permutation(rows) // 3


@pytest.mark.parametrize("top_k", [None, 5])
def test_all_photos_of_a_product_are_in_one_fold(draw_scores: Any, tmp_path: Path, top_k: int | None) -> None:
    drawn = draw_scores(scored=("root", "leaf"), top_k=top_k, ties=False, rows=600, products=three_photos())
    settings = MCRSettings(lambda_=10.0, folds=3)
    refine([drawn.path], out=tmp_path / "out.h5", settings=settings)
    with ExitStack() as stack:
        aligned = align_scores([drawn.path], stack)
        result = cross_fit(read_samples(aligned, ("validation",), 3), aligned.tree, settings)
        raw = next(aligned.chunks())
    with open_scores(tmp_path / "out.h5") as scores:
        (refined,) = scores.chunks()
        assert scores.has_products
    np.testing.assert_array_equal(refined.product_R, raw.main.product_R)
    np.testing.assert_array_equal(refined.group_R, raw.main.group_R)
    fold_R = np.where(drawn.split == 2, assign_folds(raw.main.group_R, 3), -1)
    assert set(fold_R) == {-1, 0, 1, 2}
    for product in np.unique(raw.main.product_R):
        assert len(set(fold_R[raw.main.product_R == product])) == 1
    for fold, fitted in result.folds.items():  # each row was refined by weights fitted without its product
        in_fold = fold_R == fold
        if top_k is None:
            expected = fitted.model.refine_dense(raw.concatenated_scores()[in_fold])[1]
        else:
            expected = fitted.model.refine_top_k(raw.top_k_samples(aligned.tree, fold_R).take(in_fold))[1]
            expected = -np.sort(-expected, axis=1)
        np.testing.assert_allclose(refined.scores["leaf"][in_fold], expected, rtol=2e-3, atol=0.02)


def test_folds_of_rows_without_duplicates_do_not_depend_on_the_column(draw_scores: Any) -> None:
    """The first row of a product is where a file without products has it."""
    products = three_photos(60)
    drawn = draw_scores(rows=60, products=products)
    with open_scores(drawn.path) as scores:
        (chunk,) = scores.chunks()
    folds = assign_folds(chunk.group_R, 5)
    first = chunk.group_R == chunk.rows_R
    assert first.sum() == 20
    np.testing.assert_array_equal(folds[first], assign_folds(drawn.rows[first], 5))


def test_duplicates_of_another_product_are_in_its_fold(draw_scores: Any) -> None:
    """Every second product shares a photo with the next: only the group joins them."""
    drawn = draw_scores(scored=("root", "leaf"), rows=300, products=np.arange(300) // 2)
    with h5py.File(drawn.path, "r+") as file:
        group = file["group"][:]
        for product in range(0, 150, 2):  # join the products 2i and 2i + 1
            group[2 * product : 2 * product + 4] = group[2 * product]
        file["group"][:] = group
    with ExitStack() as stack:
        aligned = align_scores([drawn.path], stack)
        samples = read_samples(aligned, ("test", "validation"), 4)
        chunk = next(aligned.chunks())
    folds = assign_folds(chunk.main.group_R, 4).reshape(-1, 4)
    assert (folds == folds[:, :1]).all() and len(np.unique(folds)) == 4
    assert [len(samples.in_fold(fold)) for fold in range(4)] == np.bincount(folds.ravel()).tolist()
