"""The confused pairs of the page: two leaves that the run takes for each other, those with the most mistakes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.page.details import Details
from prodrec.eval.page.thumbnails import Thumbnails
from prodrec.eval.report.intervals import wilson_interval

MOST_PAIRS = 50
PHOTO_SIDE = 72


@dataclass(frozen=True)
class Direction:
    """The images of the leaf `true` that are taken for the leaf `predicted`.

    share, interval: of the images of the true leaf.
    row:             the most confident of these mistakes; -1 if there is none.
    """

    true: int
    predicted: int
    mistakes: int
    images: int
    share: float
    interval: tuple[float, float]
    row: int


@dataclass(frozen=True)
class Pair:
    """Two leaves, with the direction of more mistakes first; `share` is that of all mistakes of the run."""

    directions: tuple[Direction, Direction]
    mistakes: int
    share: float


def confused_pairs(
    details: Details, images_C: NDArray[np.int64], independent_C: NDArray[np.float64], *, most: int = MOST_PAIRS
) -> list[Pair]:
    """Return the pairs with the most mistakes in both directions together.

    images_C:      images of every leaf.
    independent_C: the share of them that counts as independent; NaN without images.
    """
    leaves = len(images_C)
    keys, counts, rows = details.confusions.result()
    true, predicted = np.divmod(keys, leaves)
    pair_keys, pair_of_key = np.unique(
        np.minimum(true, predicted) * leaves + np.maximum(true, predicted), return_inverse=True
    )
    mistakes = np.zeros(len(pair_keys), dtype=np.int64)
    np.add.at(mistakes, pair_of_key, counts[:, 0])
    pairs = []
    for pair in np.argsort(-mistakes, kind="stable")[:most]:
        first, second = divmod(int(pair_keys[pair]), leaves)
        directions = [
            _direction(a, b, keys, counts[:, 0], rows, images_C, independent_C)
            for a, b in ((first, second), (second, first))
        ]
        directions.sort(key=lambda direction: -direction.mistakes)
        total = int(mistakes[pair])
        pairs.append(Pair((directions[0], directions[1]), total, total / details.errors))
    return pairs


def _direction(
    true: int,
    predicted: int,
    keys: NDArray[np.int64],
    counts: NDArray[np.int64],
    rows: NDArray[np.int64],
    images_C: NDArray[np.int64],
    independent_C: NDArray[np.float64],
) -> Direction:
    key, images = true * len(images_C) + predicted, int(images_C[true])
    index = int(np.searchsorted(keys, key))
    found = index < len(keys) and int(keys[index]) == key
    mistakes, row = (int(counts[index]), int(rows[index])) if found else (0, -1)
    share = mistakes / images if images else 0.0
    interval = wilson_interval(share, images * float(independent_C[true])) if images else (0.0, 1.0)
    return Direction(true, predicted, mistakes, images, share, interval, row)


def pairs_content(
    pairs: list[Pair],
    taxonomy: Taxonomy,
    details: Details,
    photos: Thumbnails,
    file_names: Mapping[int, str],
) -> list[dict[str, Any]]:
    """Return the pairs as plain values for the template."""

    def leaf(index: int) -> dict[str, Any]:
        row = int(details.example_C[index])
        *above, name = taxonomy.path(index)
        return {"name": name, "above": above, "photo": photos.uri(row, PHOTO_SIDE)}

    def direction(one: Direction) -> dict[str, Any]:
        return {
            "true": taxonomy.leaves[one.true],
            "predicted": taxonomy.leaves[one.predicted],
            "mistakes": one.mistakes,
            "images": one.images,
            "share": one.share,
            "interval": one.interval,
            "photo": photos.uri(one.row, PHOTO_SIDE),
            "file": file_names.get(one.row, ""),
        }

    return [
        {
            "leaves": [leaf(pair.directions[0].true), leaf(pair.directions[0].predicted)],
            "directions": [direction(one) for one in pair.directions if one.mistakes],
            "mistakes": pair.mistakes,
            "share": pair.share,
        }
        for pair in pairs
    ]
