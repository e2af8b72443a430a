"""How many photos each product has in a class, for intervals when products have several photos.

Photos of one product are often right or wrong together. The intervals therefore count the m photos of a product in a
class as one observation with the weight m: n photos are worth n² / Σ m² independent ones (Kish 1965, design effect
with a correlation of 1). This is an upper bound of the variance, so an interval may be too wide, never too narrow.

Shapes: R rows; C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prodrec.core.scores.reader import Scores
from prodrec.eval.report.class_counts import ProductCounts, SplitCounts
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.product_rows import ROWS_READ_AT_ONCE


def add_squares(counts: SplitCounts, file: int, scores: Scores, split: str, attributes: Sequence[str]) -> None:
    """Set `products`, and `squares_C` of every population, of a file in which products have several photos.

    file: the index of `scores` in the counts. Raise the errors of `Scores.chunks`.
    """
    if not scores.has_products:
        return
    ends, end_classes = [], EndClasses(scores.taxonomy)
    products, codes = [], []
    for chunk in scores.chunks(split, rows=ROWS_READ_AT_ONCE, levels=(), attributes=bool(attributes)):
        products.append(chunk.product_R)
        ends.append(end_classes.of_rows(chunk.labels_RL))
        codes.append(chunk.attributes_RA)
    if not products:
        return
    product_R, end_R = np.concatenate(products), np.concatenate(ends)
    counts.products[file] = ProductCounts(len(np.unique(product_R)), len(product_R))
    if not counts.products[file].has_several:
        return
    of_file = counts.all_rows.files[file]
    of_file.squares_C = _squares(product_R, end_R, len(of_file.images_C))
    for column, attribute in enumerate(scores.attributes):
        if attribute.name not in attributes:
            continue
        code_R = np.concatenate([code_RA[:, column] for code_RA in codes if code_RA is not None])
        labelled_R = code_R > 0
        for class_type, class_R in (("state", code_R - 1), ("leaf", end_R)):
            of_file = counts.attributes[attribute.name, class_type].files[file]
            of_file.squares_C = _squares(product_R[labelled_R], class_R[labelled_R], len(of_file.images_C))


def _squares(product_R: NDArray[np.int64], class_R: NDArray[np.int32], classes: int) -> NDArray[np.int64]:
    """Return, for every class, the sum over products of their squared numbers of rows: int64 [C]."""
    pairs, count = np.unique(product_R * classes + class_R, return_counts=True)
    squares_C = np.zeros(classes, dtype=np.int64)
    np.add.at(squares_C, pairs % classes, count**2)
    return squares_C
