"""Plant wrong labels with a seed: to fit the weights of the audit, and to measure what it finds.

Shapes: N rows, L levels, P planted rows, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy

KINDS = ("uniform", "siblings", "mixed")


@dataclass(frozen=True)
class Planted:
    """Labels with errors.

    labels_N: the leaf of every row
    rows_P:   the rows whose label is wrong, ascending
    """

    labels_N: NDArray[np.int64]
    rows_P: NDArray[np.int64]


def plant(
    labels_N: NDArray[np.int64],
    product_N: NDArray[np.int64],
    taxonomy: Taxonomy,
    *,
    share: float,
    kind: str = "mixed",
    seed: int = 0,
) -> Planted:
    """Give all rows of a `share` of the products, drawn at random, another leaf.

    labels_N: the leaf of every row; −1 for a row without a leaf, which is not changed
    kind:     uniform (any other leaf that has rows), siblings (one under the same parent; a product is not changed if
              there is none), or mixed (one or the other, in turns)
    """
    assert kind in KINDS
    random = np.random.default_rng(seed)
    products, first_row = np.unique(np.where(labels_N >= 0, product_N, -1), return_index=True)
    first_row = first_row[products >= 0]
    used_C = np.unique(labels_N[first_row])
    parent_C = taxonomy.parents[-1] if taxonomy.depth > 1 else np.zeros(len(taxonomy.leaves), np.int32)
    siblings = {int(parent): used_C[parent_C[used_C] == parent] for parent in np.unique(parent_C[used_C])}
    changed, wanted = dict[int, int](), round(share * len(first_row))
    for number, row in enumerate(random.permutation(first_row)):
        if len(changed) == wanted:
            break
        own = int(labels_N[row])
        is_near = kind == "siblings" or (kind == "mixed" and number % 2 == 1)
        pool = siblings[int(parent_C[own])] if is_near else used_C
        others = pool[pool != own]
        if len(others):
            changed[int(product_N[row])] = int(random.choice(others))
    planted_N = labels_N.copy()
    is_changed_N = np.isin(product_N, list(changed)) & (labels_N >= 0)
    planted_N[is_changed_N] = [changed[product] for product in product_N[is_changed_N].tolist()]
    return Planted(planted_N, np.flatnonzero(planted_N != labels_N).astype(np.int64))
