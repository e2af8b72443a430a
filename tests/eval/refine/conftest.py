"""Random trees and samples, and a reference of MCR that follows the paper's formulas: dense, float64, plain loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.refine.dense_samples import DenseSamples
from prodrec.eval.refine.related_sets import RelatedSets, select_related
from prodrec.eval.refine.top_k_samples import TopKSamples, relative_scores
from prodrec.eval.refine.tree import Tree

COUNTS = (2, 4, 6, 9)
"""Categories of each level."""


@dataclass
class TopKDrawn:
    """Top-k samples, their relative scores as a dense array N×n (0 if absent), and which categories are present."""

    samples: TopKSamples
    f_Nn: NDArray[np.float64]
    present_Nn: NDArray[np.bool_]


@dataclass
class Drawn:
    """A tree, samples with concatenated scores f_Nn of all levels, and the category numbers labels_NL (or -1)."""

    taxonomy: Taxonomy
    tree: Tree
    f_Nn: NDArray[np.float64]
    labels_NL: NDArray[np.int64]
    fold_N: NDArray[np.int64]

    def samples(self) -> DenseSamples:
        return DenseSamples.from_chunks([(self.f_Nn.astype(np.float32), self.labels_NL, self.fold_N)])

    def top_k(self, k: int) -> TopKDrawn:
        """Keep the k best scores of every level."""
        categories, scores = [], []
        f_Nn, present_Nn = np.zeros(self.f_Nn.shape), np.zeros(self.f_Nn.shape, dtype=bool)
        for start, end in pairwise(self.tree.starts_L1.tolist()):
            level_NC = self.f_Nn[:, start:end]
            best_NK = np.argsort(-level_NC, axis=1)[:, : min(k, end - start)]
            categories.append((best_NK + start).astype(np.int32))
            scores.append(relative_scores(np.take_along_axis(level_NC, best_NK, axis=1).astype(np.float32)))
            for row in range(len(level_NC)):
                present_Nn[row, best_NK[row] + start] = True
                f_Nn[row, best_NK[row] + start] = scores[-1][row]
        samples = TopKSamples(self.tree, tuple(categories), tuple(scores), self.labels_NL, self.fold_N)
        return TopKDrawn(samples, f_Nn, present_Nn)

    def related(self, k: int | str) -> RelatedSets:
        """Return R_c = Ω for "complete", else R_c of S eq. 4 by random weights of a first fit; "all" is K = n."""
        complete = RelatedSets.all_categories(self.tree)
        if k == "complete":
            return complete
        weights = np.random.default_rng(5).normal(size=complete.weight_count)
        return select_related(complete, weights, self.tree.n if k == "all" else int(k))


@pytest.fixture
def draw() -> Callable[..., Drawn]:
    """Return a function that draws a tree and samples: `draw(depth=3, rows=24, seed=0, early=0.0)`.

    `early` is the share of samples that have no label (-1) at some of the deepest levels.

    The scores are float64 numbers that float32 represents exactly, so prodrec and the reference use the same ones.
    """

    def make(
        depth: int = 3, rows: int = 24, seed: int = 0, counts: Sequence[int] = COUNTS, early: float = 0.0
    ) -> Drawn:
        random = np.random.default_rng(seed)
        counts = counts[-depth:] if depth > 1 else counts[-1:]
        parents = [np.full(counts[0], -1, dtype=np.int32)]
        for above, here in pairwise(counts):
            parents.append(np.sort(np.r_[np.arange(above), random.integers(0, above, here - above)]).astype(np.int32))
        taxonomy = Taxonomy(
            levels=tuple(f"level {j}" for j in range(depth)),
            names=tuple(tuple(f"{j}.{c}" for c in range(count)) for j, count in enumerate(counts)),
            parents=tuple(parents),
        )
        tree = Tree.from_taxonomy(taxonomy, taxonomy.levels)
        leaf = np.r_[np.arange(counts[-1]), random.integers(0, counts[-1], rows - counts[-1])]
        labels = taxonomy.ancestors()[leaf] + tree.starts_L1[:-1]
        scores = random.normal(size=(rows, tree.n)) * 1.5
        np.put_along_axis(scores, labels, np.take_along_axis(scores, labels, axis=1) + 1.5, axis=1)
        depth_N = np.where(random.random(rows) < early, random.integers(0, depth, rows), depth)
        labels[np.arange(depth) >= depth_N[:, None]] = -1
        return Drawn(taxonomy, tree, scores.astype(np.float32).astype(np.float64), labels, np.arange(rows) % 3)

    return make


class Reference:
    """S eq. 2 and 3 as loops over rows and levels: W is n×n, and R_c a mask over its columns.

    present_Nn: the categories that the softmax of each row is taken over; by default all.
    """

    def __init__(self, related: RelatedSets, normaliser: str, present_Nn: NDArray[np.bool_] | None = None) -> None:
        self.tree, self.normaliser, self.present_Nn = related.tree, normaliser, present_Nn
        n = related.tree.n
        self.related_nn = np.zeros((n, n), dtype=bool)
        for c in range(n):
            self.related_nn[c, related.columns_P[related.bounds_n1[c] : related.bounds_n1[c + 1]]] = True

    def matrix(self, weights_P: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return W, n×n, which is 0 outside R_c."""
        w_nn = np.zeros(self.related_nn.shape)
        w_nn[self.related_nn] = weights_P
        return w_nn

    def members(self, w_nn: NDArray[np.float64], f_n: NDArray[np.float64], c: int, row: int) -> Any:
        """Return the categories t in the denominator of P(c), their w_t · f, and the f of each: T, T, T×n."""
        level = int(self.tree.level_of(np.array(c)))
        if self.normaliser == "level":
            t_T = np.arange(self.tree.starts_L1[level], self.tree.starts_L1[level + 1])
            f_Tn = f_n * self.related_nn[t_T]
        else:
            t_T = np.flatnonzero(self.related_nn[c])
            f_Tn = np.tile(f_n * self.related_nn[c], (len(t_T), 1))
        if self.present_Nn is not None:
            present_T = self.present_Nn[row, t_T]
            t_T, f_Tn = t_T[present_T], f_Tn[present_T]
        return t_T, (w_nn[t_T] * f_Tn).sum(axis=1), f_Tn

    def loss(
        self, w_nn: NDArray[np.float64], f_Nn: NDArray[np.float64], labels_NL: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float64]]:
        """Return −Σ log P and its gradient n×n, without the penalty."""
        loss, gradient = 0.0, np.zeros_like(w_nn)
        for row, (f_n, labels) in enumerate(zip(f_Nn, labels_NL, strict=True)):
            for c in labels.tolist():
                if c < 0 or (self.present_Nn is not None and not self.present_Nn[row, c]):
                    continue
                t_T, z_T, f_Tn = self.members(w_nn, f_n, c, row)
                p_T = np.exp(z_T) / np.exp(z_T).sum()
                loss -= np.log(p_T[t_T == c][0])
                gradient[t_T] += (p_T - (t_T == c))[:, None] * f_Tn
        return loss, gradient * self.related_nn

    def refined(self, w_nn: NDArray[np.float64], f_Nn: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return w_c · f_c of every category, or log P(c) for the normaliser "related": N×n, NaN where absent."""
        refined_Nn = np.full(f_Nn.shape, np.nan)
        for row, f_n in enumerate(f_Nn):
            for c in range(self.tree.n):
                if self.present_Nn is not None and not self.present_Nn[row, c]:
                    continue
                t_T, z_T, _ = self.members(w_nn, f_n, c, row)
                refined_Nn[row, c] = z_T[t_T == c][0]
                if self.normaliser == "related":
                    refined_Nn[row, c] -= np.log(np.exp(z_T).sum())
        return refined_Nn


@pytest.fixture
def reference() -> type[Reference]:
    return Reference


def _check_slopes(evaluate: Callable[[Any], tuple[float, Any]], weights_P: Any, random: Any) -> None:
    _, gradient = evaluate(weights_P)
    for position in random.integers(0, len(weights_P), 20):
        step = np.zeros(len(weights_P))
        step[position] = 1e-5
        slope = (evaluate(weights_P + step)[0] - evaluate(weights_P - step)[0]) / 2e-5
        assert gradient[position] == pytest.approx(slope, rel=1e-5, abs=1e-6)


@pytest.fixture
def check_gradient() -> Callable[..., None]:
    """Return a function that compares 20 entries of a gradient with finite differences.

    Its arguments are `evaluate`, which returns the loss and its gradient, the weights, and a random generator.
    """
    return _check_slopes
