"""Lists of vectors for approximate search, and the recall of a search in some of them.

LanceDB divides the vectors by k-means (an inverted file without quantisation). A search computes the cosines of the
vectors in the lists nearest to the query. Their number is the smallest power of two that finds the share RECALL of the
nearest photos.

Shapes: N vectors, M queries, d numbers of a vector.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.index.table import PhotoTable

AUTO, EXACT, APPROXIMATE = "auto", "exact", "approximate"
SEARCHES = (AUTO, EXACT, APPROXIMATE)
"""auto: approximate above APPROXIMATE_ABOVE photos. approximate: with any number."""
APPROXIMATE_ABOVE = 1_000_000
RECALL = 0.98
NEAREST = 20
"""Nearest photos of a query that count."""
MAX_QUERIES = 200
MAX_PROBES = 4096
QUERIES_AT_ONCE = 50


def check_search(search: str) -> None:
    """Raise BadOption for an unknown kind of search."""
    if search not in SEARCHES:
        raise BadOption(f"--search {search}: expected {', '.join(SEARCHES)}.")


def wants_lists(search: str, photos: int) -> bool:
    """Return whether so many photos are searched in lists."""
    return search == APPROXIMATE or (search == AUTO and photos > APPROXIMATE_ABOVE)


def measure_lists(table: PhotoTable, queries_Md: NDArray[np.floating]) -> tuple[int, float, int]:
    """Return the number of lists to search, the recall of the photos nearest to the queries, and their number.

    A photo that is as near as the last of the nearest ones counts as one of them.
    """
    exact_M = [_cosines(table, queries_md, 0) for queries_md in _chunks(queries_Md)]
    probes = 1
    while True:
        found_M = [_cosines(table, queries_md, probes) for queries_md in _chunks(queries_Md)]
        recalls = [
            float((np.array(found) >= exact[-1] - 1e-6).sum()) / len(exact)
            for founds, exacts in zip(found_M, exact_M, strict=True)
            for found, exact in zip(founds, exacts, strict=True)
        ]
        recall = min(1.0, float(np.mean(recalls)))
        if recall >= RECALL or probes >= MAX_PROBES:
            return probes, recall, len(queries_Md)
        probes *= 2


def _chunks(queries_Md: NDArray[np.floating]) -> list[NDArray[np.floating]]:
    return [queries_Md[start : start + QUERIES_AT_ONCE] for start in range(0, len(queries_Md), QUERIES_AT_ONCE)]


def _cosines(table: PhotoTable, queries_md: NDArray[np.floating], probes: int) -> list[list[float]]:
    return [[cosine for cosine, _ in rows] for rows in table.nearest(queries_md, NEAREST, probes=probes)]
