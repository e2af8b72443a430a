"""The fitted model: the weights W within the sets R_c, and the refined scores that they give.

Shapes: N samples; n categories; C categories of a level; K top-k categories of a level; P weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine.dense_level_loss import LevelProduct
from prodrec.eval.refine.dense_related_loss import RelatedScores
from prodrec.eval.refine.related_sets import RelatedSets
from prodrec.eval.refine.top_k_loss import refined_top_k
from prodrec.eval.refine.top_k_samples import TopKSamples
from prodrec.eval.refine.uncovered import place_uncovered


@dataclass(frozen=True)
class MCRModel:
    """W of S eq. 2. The refined score of c is w_c · f_c for the normaliser "level", and log P(c) for "related".

    top_k:     whether W was fitted on the relative scores of top-k samples.
    covered_n: whether a category had a sample to fit on, see `uncovered`; for the normaliser "level" only. None is all.
    """

    related: RelatedSets
    weights_P: NDArray[np.float64]
    normaliser: str
    top_k: bool = False
    covered_n: NDArray[np.bool_] | None = None

    def refine_dense(self, f_Nn: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the refined scores of every level, N×C, from the scores of all levels, concatenated.

        The dtype is that of f_Nn for the normaliser "level", and float64 for "related".
        """
        tree = self.related.tree
        f_nN = np.ascontiguousarray(f_Nn.T)
        if self.normaliser == "related":
            log_p_nN = self._related_scores.scores(f_nN)
            return [log_p_nN[tree.starts_L1[j] : tree.starts_L1[j + 1]].T for j in range(tree.depth)]
        if f_nN.dtype not in self._level_weights:
            self._level_weights[f_nN.dtype] = [
                product.matrices(self.weights_P[self.related.level_slice(j)], f_nN.dtype)
                for j, product in enumerate(self._level_products)
            ]
        refined = []
        for j, weights in enumerate(self._level_weights[f_nN.dtype]):
            level = slice(tree.starts_L1[j], tree.starts_L1[j + 1])
            refined_NC = self._level_products[j].scores(weights, f_nN).T.copy()
            if self.covered_n is not None:
                place_uncovered(refined_NC, f_Nn[:, level], self.covered_n[level])
            refined.append(refined_NC)
        return refined

    def refine_top_k(self, samples: TopKSamples) -> list[NDArray[np.float32]]:
        """Return the refined scores of the top-k categories of every level, N×K."""
        refined = refined_top_k(samples, self.related, self.weights_P, self.normaliser)
        if self.normaliser == "level" and self.covered_n is not None:
            for refined_NK, raw_NK, categories_NK in zip(refined, samples.scores, samples.categories, strict=True):
                place_uncovered(refined_NK, raw_NK, self.covered_n[categories_NK])
        return refined

    def covered_by_level(self) -> dict[str, NDArray[np.bool_]] | None:
        """Return for every level which of its categories had a sample to fit on; None if it is not known."""
        if self.covered_n is None:
            return None
        tree = self.related.tree
        return {level: self.covered_n[tree.starts_L1[j] : tree.starts_L1[j + 1]] for j, level in enumerate(tree.levels)}

    @cached_property
    def _related_scores(self) -> RelatedScores:
        return RelatedScores(self.related, self.weights_P)

    @cached_property
    def _level_products(self) -> list[LevelProduct]:
        return [LevelProduct(self.related, j) for j in range(self.related.tree.depth)]

    @cached_property
    def _level_weights(self) -> dict[Any, Any]:
        """The weights of all levels as matrices, by dtype."""
        return {}
