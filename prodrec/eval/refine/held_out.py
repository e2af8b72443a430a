"""How good scores are on samples that the fit has not seen: their loss, and which samples are right at every level.

Shapes: N samples; n categories of all levels; C categories of a level, or the top-k of every sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.accuracy import accuracy, mean_class_accuracy
from prodrec.eval.refine.dense_samples import DenseSamples
from prodrec.eval.refine.fit import Samples
from prodrec.eval.refine.model import MCRModel
from prodrec.eval.refine.tree import Tree
from prodrec.eval.report.positions import true_position_in_top_k


@dataclass(frozen=True)
class HeldOut:
    """Sums over samples and levels.

    loss:      −Σ log P of the true categories, without the penalty. A true category that is not among the top-k of its
               sample does not count.
    samples_n: samples of every category, int64 [n].
    right_n:   those of them for which the category has the largest score of its level, int64 [n].
    """

    loss: float
    samples_n: NDArray[np.int64]
    right_n: NDArray[np.int64]

    @classmethod
    def total(cls, parts: Iterable[HeldOut], n: int) -> HeldOut:
        """Return the sum of `parts`, for n categories."""
        total = cls(0.0, np.zeros(n, np.int64), np.zeros(n, np.int64))
        for part in parts:
            total = cls(total.loss + part.loss, total.samples_n + part.samples_n, total.right_n + part.right_n)
        return total

    def accuracies(self, tree: Tree) -> NDArray[np.float64]:
        """Return ACC and MACC, between 0 and 1, of every level that has samples: float64 [levels, 2]."""
        levels = [slice(start, end) for start, end in pairwise(tree.starts_L1.tolist())]
        counts = [(self.right_n[level], self.samples_n[level]) for level in levels if self.samples_n[level].any()]
        return np.array([(accuracy(*of_level), mean_class_accuracy(*of_level)) for of_level in counts]).reshape(-1, 2)

    def is_worse_than(self, other: HeldOut, tree: Tree) -> bool:
        """Return whether ACC or MACC is below that of `other`, of the same samples: of the leaves, or on average.

        The average is over the levels, as in S eq. 3: one sample of a shallow level that is nearly always right may be
        lost where leaves gain.
        """
        change_L2 = self.accuracies(tree) - other.accuracies(tree)
        return bool(len(change_L2)) and bool((np.stack([change_L2[-1], change_L2.mean(axis=0)]) < -1e-12).any())


def judge(samples: Samples, tree: Tree, model: MCRModel | None) -> HeldOut:
    """Judge the scores that `model` gives to samples, or their raw scores if it is None.

    A true category may have had no sample in the fit.
    """
    loss, samples_n, right_n = 0.0, np.zeros(tree.n, np.int64), np.zeros(tree.n, np.int64)
    log_probabilities = model is not None and model.normaliser == "related"
    for scores_NC, categories_NC, label_N in _scores_by_level(samples, tree, model):
        samples_n += np.bincount(label_N[label_N >= 0], minlength=tree.n)
        true_NC = categories_NC == label_N[:, None]
        known_N = true_NC.any(axis=1)
        scores_NC, true_NC = scores_NC[known_N].astype(np.float64), true_NC[known_N]
        label_N, categories_NC = label_N[known_N], categories_NC[known_N]
        loss -= float(scores_NC[true_NC].sum())
        if not log_probabilities:
            loss += float(_log_sum_exp(scores_NC).sum())
        right_N = true_position_in_top_k(scores_NC, categories_NC, label_N) == 0
        right_n += np.bincount(label_N[right_N], minlength=tree.n)
    return HeldOut(loss, samples_n, right_n)


def _scores_by_level(
    samples: Samples, tree: Tree, model: MCRModel | None
) -> Iterator[tuple[NDArray[Any], NDArray[np.int32], NDArray[np.int64]]]:
    """Yield (scores N×C, category numbers N×C, true category N or -1) of every level of some samples at a time."""
    levels = list(pairwise(tree.starts_L1.tolist()))
    if isinstance(samples, DenseSamples):
        for block in samples.blocks:
            f_Nn = block.f_nB.T
            parts = [f_Nn[:, start:end] for start, end in levels] if model is None else model.refine_dense(f_Nn)
            for (start, end), scores_NC, label_N in zip(levels, parts, block.labels_LB, strict=True):
                yield scores_NC, np.broadcast_to(np.arange(start, end, dtype=np.int32), scores_NC.shape), label_N
    else:
        refined = samples.scores if model is None else model.refine_top_k(samples)
        for j, scores_NK in enumerate(refined):
            yield scores_NK, samples.categories[j], samples.labels_NL[:, j]


def _log_sum_exp(scores_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    largest_N1 = scores_NC.max(axis=1, keepdims=True, initial=-np.inf)
    sums_N: NDArray[np.float64] = largest_N1[:, 0] + np.log(np.exp(scores_NC - largest_N1).sum(axis=1))
    return sums_N
