"""Choose how the training vectors of a run are searched: exactly, or in lists whose recall is measured.

Exact search computes the cosine of every training vector, so its time grows with their number. Above a million of
them, lists are made, and the number P of lists that are searched is the smallest power of two with the recall RECALL.

The recall of a photo is the share of its k nearest training photos, each of another product, that are found. A photo
that is as near as the last of these counts as one of them, so ties do not lower the recall.

Shapes: N training vectors, M queries, D numbers of a feature, d of a vector, k nearest ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption
from prodrec.inference.neighbours.lists import ListIndex, SearchLists, exact_sentence, fit_lists, list_count, obstacle
from prodrec.inference.neighbours.projection import Projection
from prodrec.inference.neighbours.search import Searcher, largest_group
from prodrec.inference.neighbours.seen import NEIGHBOURS

AUTO, EXACT, APPROXIMATE = "auto", "exact", "approximate"
SEARCHES = (AUTO, EXACT, APPROXIMATE)
"""auto: approximate above APPROXIMATE_ABOVE training vectors, if faiss is installed. approximate: with any number."""
APPROXIMATE_ABOVE = 1_000_000
RECALL = 0.98
"""Smallest recall of the k nearest training photos."""
MAX_SHARE_OF_LISTS = 1 / 8
"""With more lists than this share, `auto` remains exact. With half of it, 64 of 1,024 lists of 250,000 vectors, it was
2.5 to 4 times as fast as the matrix product of exact search."""
K = max(NEIGHBOURS)
MAX_QUERIES = 1_000
QUERIES_AT_ONCE = 250


def check_search(search: str) -> None:
    """Raise BadOption for an unknown kind of search, or for approximate search without faiss."""
    if search not in SEARCHES:
        raise BadOption(f"--search {search}: expected {', '.join(SEARCHES)}.")
    if search == APPROXIMATE and (reason := obstacle()):
        raise BadOption(f"--search {APPROXIMATE} {reason}; or use --search {EXACT}.")


def wants_lists(search: str, vectors: int) -> bool:
    """Return whether lists are to be made for so many vectors, if faiss can be used."""
    return search == APPROXIMATE or (search == AUTO and vectors > APPROXIMATE_ABOVE)


def draw_queries(rows_M: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows on which recall is measured, ascending: all, or a random part of MAX_QUERIES."""
    if len(rows_M) <= MAX_QUERIES:
        return rows_M
    return np.sort(np.random.default_rng(0).choice(rows_M, MAX_QUERIES, replace=False))


def choose_lists(
    vectors: Any,
    group_N: NDArray[np.int64],
    projection: Projection,
    *,
    search: str,
    query_MD: NDArray[np.float16] | None = None,
) -> SearchLists | None:
    """Return the lists in which the vectors are searched, or None if search is exact, and print which.

    vectors:  float16 [N, d], an array or a dataset of h5py
    query_MD: features of length 1 of validation photos; without them, recall is measured on training photos
    """
    if not wants_lists(search, len(vectors)):
        return None
    if search == AUTO and (reason := obstacle()):
        console.info(exact_sentence(len(vectors), reason))
        return None
    vectors_Nd: NDArray[np.float16] = vectors[:]
    if query_MD is None or not len(query_MD):
        rows = draw_queries(np.arange(len(vectors_Nd)))
        query_Md, skipped = torch.from_numpy(vectors_Nd[rows]).float(), 1  # the nearest one is the query itself
    else:
        query_Md, skipped = projection(torch.from_numpy(query_MD).float()), 0
    centroid_Ld, list_N = fit_lists(vectors_Nd, list_count(len(vectors_Nd)))
    exact = Searcher(projection, torch.from_numpy(vectors_Nd), torch.from_numpy(group_N), largest_group(group_N))
    approximate = replace(exact, index=ListIndex(centroid_Ld, list_N, vectors_Nd))
    cosine_Mk = _cosines(exact, query_Md, skipped)
    lists = SearchLists(centroid_Ld, list_N, 1, 0.0, len(query_Md), validation=not skipped)
    while True:
        recall = _recall(_cosines(replace(approximate, probes=lists.probes), query_Md, skipped), cosine_Mk)
        lists = replace(lists, recall=recall)
        if recall >= RECALL or lists.probes == len(centroid_Ld):
            break
        lists = replace(lists, probes=min(2 * lists.probes, len(centroid_Ld)))
    if search == AUTO and lists.probes > MAX_SHARE_OF_LISTS * len(centroid_Ld):
        console.info(f"search: exact in {len(vectors_Nd):,} training vectors, since lists save little ({lists})")
        return None
    console.info(f"search: {lists}")
    return lists


def _cosines(searcher: Searcher, query_Md: Tensor, skipped: int) -> Tensor:
    """Return the cosines of the k nearest photos after the first `skipped` ones, [M, k]."""
    chunks = (query_Md[start : start + QUERIES_AT_ONCE] for start in range(0, len(query_Md), QUERIES_AT_ONCE))
    return torch.cat([searcher.nearest_to(query_md, K + skipped).cosine_Bk[:, skipped:] for query_md in chunks])


def _recall(found_Mk: Tensor, cosine_Mk: Tensor) -> float:
    """Return the mean share of the nearest photos that were found, from their cosines; −∞ for none."""
    exists_Mk = cosine_Mk > -torch.inf
    last_M1 = cosine_Mk.masked_fill(~exists_Mk, torch.inf).amin(1, keepdim=True)
    found_M = (found_Mk >= last_M1).sum(1) / exists_Mk.sum(1).clamp(min=1)
    return float(found_M[exists_Mk.any(1)].mean()) if exists_Mk.any() else 1.0
