"""Evidence from words and attributes: naive Bayes on the words of a title, or on the states of the attributes.

For class c with n_c words in the titles of the other folds, n_cw of them w, and p_w the share of w in all titles,

    log p(title|c) = Σ_w log((n_cw + α p_w) / (n_c + α)),   w the different words of the title

Every class starts from the words of all classes with the weight of α words (Dirichlet prior): a class of a few titles
differs from the average only by the words that it has. The sum has one term for every non-zero n_cw,

    Σ_w log(1 + n_cw / (α p_w)) − T log(n_c + α) + const,   T the number of words

so a product of two sparse matrices computes it for all classes.

Shapes: N rows, R of a chunk, V words, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.ragged import Ragged

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PRIOR_WORDS = 20.0
"""α: a word that was never seen in a class counts as if so many words had been drawn from all classes."""


@dataclass(frozen=True)
class FoldCounts:
    """The words of the other folds: weight_VC = log(1 + n_cw / (α p_w)), length_C = log(n_c + α)."""

    weight_VC: csr_matrix
    length_C: NDArray[np.float64]


class HeldOutBags:
    """Naive Bayes for every fold.

    bags:   the words of every row, as ids from 0
    fold_N: the fold of every row
    """

    is_calibrated = False

    def __init__(self, bags: Ragged, fold_N: NDArray[np.int64], *, words: int, classes: int) -> None:
        from scipy.sparse import csr_matrix

        self._fold_N, self._classes = fold_N, classes
        ones = np.ones(len(bags.values), np.float32)
        occurrences_NV = csr_matrix((ones, bags.values, bags.offsets), shape=(len(bags), words))
        occurrences_NV.sum_duplicates()
        occurrences_NV.data[:] = 1  # a word counts once in a title
        self._occurrences_NV = occurrences_NV
        self._fits: list[FoldCounts] = []

    def fit(self, class_N: NDArray[np.int64]) -> None:
        """Count the words of every class for every fold; rows of class −1 are not used."""
        folds = int(self._fold_N.max(initial=0)) + 1
        by_fold = [self._count(class_N, self._fold_N == fold) for fold in range(folds)]
        total_CV: Any = sum(by_fold[1:], start=by_fold[0])
        self._fits = [self._weights(total_CV - counts_CV) for counts_CV in by_fold]

    def scores(self, fold: int, rows_R: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return log p(title|c) of rows of one fold up to a constant of the row: float32 [R, C]; 0 without words."""
        fit, occurrences_RV = self._fits[fold], self._occurrences_NV[rows_R]
        length_R = np.asarray(occurrences_RV.sum(axis=1)).ravel()
        scores_RC: NDArray[np.float32] = (occurrences_RV @ fit.weight_VC).toarray() - np.outer(length_R, fit.length_C)
        return scores_RC.astype(np.float32)

    def telling_words(self, fold: int, row: int, first: int, second: int) -> list[tuple[int, float]]:
        """Return the words of a row that speak more for class `first` than for `second`, with log odds, best first."""
        fit = self._fits[fold]
        words = self._occurrences_NV[row].indices
        odds_W = np.asarray(
            fit.weight_VC[words, np.full(len(words), first)] - fit.weight_VC[words, np.full(len(words), second)]
        ).ravel() - (fit.length_C[first] - fit.length_C[second])
        order = np.argsort(-odds_W, kind="stable")
        return [(int(words[i]), float(odds_W[i])) for i in order if odds_W[i] > 0]

    def _count(self, class_N: NDArray[np.int64], is_in_N: NDArray[np.bool_]) -> csr_matrix:
        from scipy.sparse import csr_matrix

        rows = np.flatnonzero(is_in_N & (class_N >= 0))
        pick_CR = csr_matrix(
            (np.ones(len(rows), np.float32), (class_N[rows], np.arange(len(rows)))), shape=(self._classes, len(rows))
        )
        return pick_CR @ self._occurrences_NV[rows]

    def _weights(self, counts_CV: csr_matrix) -> FoldCounts:
        counts_CV.eliminate_zeros()
        share_V = np.asarray(counts_CV.sum(axis=0)).ravel()
        share_V = share_V / max(1.0, share_V.sum())
        weight_CV = counts_CV.tocoo()
        weight_CV.data = np.log1p(weight_CV.data / (PRIOR_WORDS * share_V[weight_CV.col]))
        length_C = np.log(np.asarray(counts_CV.sum(axis=1)).ravel() + PRIOR_WORDS)
        return FoldCounts(weight_CV.T.tocsr(), length_C)
