"""The best and the worst leaves of the page.

Leaves are ranked by the pessimistic end of their interval: the best by its lower end, the worst by its upper end. A
leaf with one test image that happens to be right or wrong is therefore in neither list.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import PATH_SEPARATOR
from prodrec.eval.page.thumbnails import Thumbnails
from prodrec.eval.page.tree import TreeRows
from prodrec.eval.report.report import Report
from prodrec.eval.report.table import Cell

MOST_LEAVES = 20
PHOTO_SIDE = 56


def rank_leaves(
    report: Report, tree: TreeRows, group: int, *, most: int = MOST_LEAVES
) -> dict[str, list[tuple[int, Cell]]]:
    """Return the "worst" and the "best" leaves of a run group, with their cells; no leaf is in both."""
    cells = [
        (leaf, cell)
        for leaf in range(len(report.taxonomy.leaves))
        if (row := tree.leaf(leaf)) is not None and (cell := row.cells[group]) is not None
    ]
    most = min(most, (len(cells) + 1) // 2)
    worst = sorted(cells, key=lambda item: (item[1].interval[1], -item[1].images))[:most]
    taken = {leaf for leaf, _ in worst}
    others = [item for item in cells if item[0] not in taken]
    best = sorted(others, key=lambda item: (-item[1].interval[0], -item[1].images))[:most]
    return {"worst": worst, "best": best}


def ranking_content(
    ranked: dict[str, list[tuple[int, Cell]]], report: Report, example_C: NDArray[np.int64], photos: Thumbnails
) -> dict[str, list[dict[str, Any]]]:
    """Return the two lists as plain values for the template."""
    return {
        name: [
            {
                "name": report.taxonomy.leaves[leaf],
                "above": PATH_SEPARATOR.join(report.taxonomy.path(leaf)[:-1]),
                "train": int(report.train_images_C[leaf]),
                "images": cell.images,
                "accuracy": cell.value,
                "interval": cell.interval,
                "photo": photos.uri(int(example_C[leaf]), PHOTO_SIDE),
            }
            for leaf, cell in items
        ]
        for name, items in ranked.items()
    }
