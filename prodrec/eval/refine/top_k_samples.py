"""Samples that have the top-k scores of every level only, for catalogues of any size.

Relative scores. The score of a top-k category enters the fit as its difference to the smallest top-k score of the same
sample and level. An absent category scores at most as much as that smallest one. Its relative score is set to 0, the
value that the paper gives to every score outside R_c.

Softmax. The softmax is taken over the top-k categories of the sample. A sample whose true category is not among them,
or that has no label at a level, contributes nothing to the loss of that level.

Memory. Dense arrays of samples × categories exist for one chunk of samples at a time (CHUNK_BYTES).

Shapes: N samples; L refined levels; K top-k categories of a level; n categories.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine.tree import Tree

CHUNK_BYTES = 128 * 2**20
"""Bytes of the dense float32 array N×n of the scores of one chunk (top_k_design.DenseScores)."""


@dataclass(frozen=True)
class TopKSamples:
    """Samples and their top-k categories.

    categories: for every level, the numbers of the top-k categories, N×K.
    scores:     for every level, their relative scores (≥ 0), N×K.
    labels_NL:  number of the true category at every level; -1 without a label.
    fold_N:     fold of every sample.
    """

    tree: Tree
    categories: tuple[NDArray[np.int32], ...]
    scores: tuple[NDArray[np.float32], ...]
    labels_NL: NDArray[np.int64]
    fold_N: NDArray[np.int64]

    @classmethod
    def concatenate(cls, parts: Sequence[TopKSamples]) -> TopKSamples:
        return cls(
            parts[0].tree,
            tuple(np.concatenate(level) for level in zip(*(part.categories for part in parts), strict=True)),
            tuple(np.concatenate(level) for level in zip(*(part.scores for part in parts), strict=True)),
            np.concatenate([part.labels_NL for part in parts]),
            np.concatenate([part.fold_N for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.labels_NL)

    def take(self, index: Any) -> TopKSamples:
        """Return the samples of a NumPy index: a mask, numbers or a slice."""
        return TopKSamples(
            self.tree,
            tuple(categories_NK[index] for categories_NK in self.categories),
            tuple(scores_NK[index] for scores_NK in self.scores),
            self.labels_NL[index],
            self.fold_N[index],
        )

    def in_fold(self, fold: int) -> TopKSamples:
        """Return the samples of `fold`."""
        return self.take(self.fold_N == fold)

    def outside_fold(self, fold: int) -> TopKSamples:
        """Return the samples of all other folds."""
        return self.take(self.fold_N != fold)

    def is_true(self, j: int) -> NDArray[np.bool_]:
        """Return which of the top-k categories of level j is the true one, N×K. A sample may have none."""
        is_true_NK: NDArray[np.bool_] = self.categories[j] == self.labels_NL[:, j, None]
        return is_true_NK

    def category_counts(self, n: int) -> NDArray[np.int64]:
        """Return the number of samples of every category: int64 [n]."""
        return np.bincount(self.labels_NL[self.labels_NL >= 0], minlength=n)

    def chunks(self) -> Iterator[TopKSamples]:
        """Yield consecutive samples, as many at a time as CHUNK_BYTES allows."""
        step = max(1, CHUNK_BYTES // (4 * self.tree.n))
        for start in range(0, len(self), step):
            yield self.take(slice(start, start + step))


def relative_scores(scores_NK: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the difference of every top-k score to the smallest one of its sample."""
    relative_NK: NDArray[np.float32] = scores_NK - scores_NK.min(axis=1, keepdims=True)
    return relative_NK
