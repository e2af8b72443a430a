from __future__ import annotations

import numpy as np
import pytest

from prodrec.eval.audit.plant import plant

from .conftest import Drawn


@pytest.mark.parametrize("kind", ["uniform", "siblings", "mixed"])
def test_whole_products_get_another_leaf(clouds: Drawn, kind: str) -> None:
    planted = plant(clouds.true_N, clouds.product_N, clouds.taxonomy, share=0.1, kind=kind, seed=3)
    is_changed = planted.labels_N != clouds.true_N
    np.testing.assert_array_equal(planted.rows_P, np.flatnonzero(is_changed))
    products = np.unique(clouds.product_N[is_changed])
    assert len(products) == round(0.1 * len(np.unique(clouds.product_N)))
    assert is_changed[np.isin(clouds.product_N, products)].all()
    parents = clouds.taxonomy.parents[-1]
    is_near = parents[planted.labels_N[is_changed]] == parents[clouds.true_N[is_changed]]
    assert is_near.all() if kind == "siblings" else not is_near.all()
    again = plant(clouds.true_N, clouds.product_N, clouds.taxonomy, share=0.1, kind=kind, seed=3)
    np.testing.assert_array_equal(planted.labels_N, again.labels_N)


def test_rows_without_a_leaf_stay_without(clouds: Drawn) -> None:
    labels = clouds.true_N.copy()
    labels[:50] = -1
    planted = plant(labels, clouds.product_N, clouds.taxonomy, share=0.3)
    assert (planted.labels_N[:50] == -1).all() and len(planted.rows_P) > 50
