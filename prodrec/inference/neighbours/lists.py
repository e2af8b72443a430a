"""Lists of training vectors for approximate search, and the index of faiss that searches in them.

Every vector is in the list of its nearest centroid. A search computes the cosines of the vectors in the lists of the P
centroids nearest to the query (Jégou et al. 2011, "Product quantization for nearest neighbor search", §IV.A, without
quantisation: Sivic and Zisserman 2003 call it an inverted file). With all lists it is exact.

A run stores centroids and lists, and not the index: making the index again only copies the vectors, any rank can make
that of its shard with the same lists, and the file does not depend on the version of faiss.

Shapes: N training vectors, n of a chunk or a shard, d numbers of a vector, L lists, A queries, K candidates.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console

LIST_GROWTH = 2.0
"""Lists for each square root of the number of vectors: searching the centroids then costs as much as some lists."""
VECTORS_PER_LIST = 64
"""Vectors from which a centroid is computed, on average; faiss warns below 39."""
ITERATIONS = 10
"""Iterations of k-means. More make recall better by less than more lists do."""
ROWS_AT_ONCE = 2**16
"""Vectors that are in float32 at a time."""
INSTALL = "`pip install 'prodrec[faiss]'`"


@dataclass(frozen=True, eq=False)
class SearchLists:
    """The lists of the training vectors, and what a search in some of them finds.

    centroid_Ld: float32 of length 1
    list_N:      list of every training vector, int32
    probes:      number P of lists that are searched
    recall:      share of the nearest training photos that P lists contain, on average
    queries:     number of photos on which it was measured
    validation:  whether these were validation photos; otherwise training photos, without themselves
    """

    centroid_Ld: NDArray[np.float32]
    list_N: NDArray[np.int32]
    probes: int
    recall: float
    queries: int
    validation: bool

    def __str__(self) -> str:
        kind = "validation" if self.validation else "training"
        return (
            f"approximate: {self.probes:,} of {len(self.centroid_Ld):,} lists contain {self.recall:.1%} of the nearest "
            f"training photos of {self.queries:,} {kind} photos"
        )


def obstacle() -> str | None:
    """Return why faiss cannot be used, with the remedy, or None if it can.

    Only Linux is supported: on macOS and Windows, faiss and torch each bring an OpenMP runtime, and a process that
    loads both ends (faiss-wheels, issues 40 and 73).
    """
    if sys.platform != "linux":
        return "needs Linux, since faiss and torch cannot be loaded together elsewhere"
    if importlib.util.find_spec("faiss") is None:
        return f"needs faiss, which is not installed: {INSTALL}"
    return None


def exact_sentence(vectors: int, reason: str) -> str:
    """Return the information that so many vectors are searched exactly, for the reason that `obstacle` returns."""
    return f"search: exact in {vectors:,} training vectors, which is slow on a CPU; approximate search {reason}"


def list_count(vectors: int) -> int:
    """Return the number of lists for so many vectors: a power of two near LIST_GROWTH · √N."""
    return min(vectors, 1 << round(math.log2(LIST_GROWTH * vectors**0.5)))


def fit_lists(vectors_Nd: NDArray[np.float16], lists: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the centroids [L, d] of spherical k-means on a sample of the vectors, and the list of every vector [N]."""
    import faiss

    _follow_torch_threads(faiss)
    sample = np.random.default_rng(0).choice(
        len(vectors_Nd), min(len(vectors_Nd), VECTORS_PER_LIST * lists), replace=False
    )
    clustering = faiss.Kmeans(
        vectors_Nd.shape[1],
        lists,
        niter=ITERATIONS,
        spherical=True,
        seed=0,
        min_points_per_centroid=1,
        max_points_per_centroid=VECTORS_PER_LIST,
    )
    clustering.train(vectors_Nd[np.sort(sample)].astype(np.float32))
    list_N = np.empty(len(vectors_Nd), np.int32)
    with console.progress("search lists", total=len(vectors_Nd), unit="photos") as advance:
        for start in range(0, len(vectors_Nd), ROWS_AT_ONCE):
            vector_nd = vectors_Nd[start : start + ROWS_AT_ONCE].astype(np.float32)
            list_N[start : start + len(vector_nd)] = clustering.index.search(vector_nd, 1)[1][:, 0]
            advance(len(vector_nd))
    return np.asarray(clustering.centroids, np.float32).reshape(lists, -1), list_N


class ListIndex:
    """An index of faiss over the vectors of a shard, in float16."""

    def __init__(self, centroid_Ld: NDArray[np.float32], list_n: NDArray[np.int32], vectors_nd: NDArray[np.float16]):
        """Copy the vectors into their lists.

        list_n, vectors_nd: of the vectors of the shard
        """
        import faiss
        from faiss.contrib.ivf_tools import add_preassigned

        _follow_torch_threads(faiss)
        lists, numbers = centroid_Ld.shape
        quantizer = faiss.IndexFlatIP(numbers)
        quantizer.add(centroid_Ld)
        kind, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        self.index: Any = faiss.IndexIVFScalarQuantizer(quantizer, numbers, lists, kind, metric, False)
        self.index.train(centroid_Ld)  # float16 has no parameters; the index only notes that it was trained
        for start in range(0, len(vectors_nd), ROWS_AT_ONCE):
            chunk = slice(start, start + ROWS_AT_ONCE)
            add_preassigned(self.index, vectors_nd[chunk].astype(np.float32), list_n[chunk].astype(np.int64))

    def candidates(self, queries_Ad: NDArray[np.float32], k: int, probes: int) -> NDArray[np.int64]:
        """Return the indices in the shard of the k nearest vectors in the `probes` nearest lists, -1 for none, A×k."""
        self.index.nprobe = probes
        index_Ak: NDArray[np.int64] = self.index.search(np.ascontiguousarray(queries_Ad), k)[1]
        return index_Ak


def _follow_torch_threads(faiss: Any) -> None:
    """Let faiss use as many threads as torch."""
    import torch

    faiss.omp_set_num_threads(torch.get_num_threads())
