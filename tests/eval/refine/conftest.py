"""Trees and rows drawn by numpy, and MCR as the paper's formulas say it: dense, float64, no tricks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.refine.dense import DenseRows, dense_rows
from prodrec.eval.refine.pattern import Pattern, everything, most_related
from prodrec.eval.refine.tree import Tree, tree_of

COUNTS = (2, 4, 6, 9)


@dataclass
class Drawn:
    """A tree, rows with scores f_Nn of all levels side by side, and the category numbers labels_NL."""

    taxonomy: Taxonomy
    tree: Tree
    f_Nn: NDArray[np.float64]
    labels_NL: NDArray[np.int64]
    fold_N: NDArray[np.int64]

    def rows(self) -> DenseRows:
        return dense_rows([(self.f_Nn.astype(np.float32), self.labels_NL, self.fold_N)])

    def pattern(self, k: int | str) -> Pattern:
        """`everything`, or R_c of eq. 4 from drawn weights of a first fit."""
        full = everything(self.tree)
        if k == "everything":
            return full
        weights = np.random.default_rng(5).normal(size=full.size)
        return most_related(full, weights, self.tree.n if k == "all" else int(k))


@pytest.fixture
def draw() -> Callable[..., Drawn]:
    """`draw(depth=3, rows=24, seed=0)`: scores are float32 numbers, so that both sides begin with the same ones."""

    def make(depth: int = 3, rows: int = 24, seed: int = 0, counts: Sequence[int] = COUNTS) -> Drawn:
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
        tree = tree_of(taxonomy, taxonomy.levels)
        leaf = np.r_[np.arange(counts[-1]), random.integers(0, counts[-1], rows - counts[-1])]
        labels = taxonomy.ancestors()[leaf] + tree.starts_L1[:-1]
        scores = random.normal(size=(rows, tree.n)) * 1.5
        np.put_along_axis(scores, labels, np.take_along_axis(scores, labels, axis=1) + 1.5, axis=1)
        return Drawn(taxonomy, tree, scores.astype(np.float32).astype(np.float64), labels, np.arange(rows) % 3)

    return make


class Reference:
    """S eq. 2 and 3 written out: W is n×n, R_c are sets, every row and level on its own."""

    def __init__(self, pattern: Pattern, normaliser: str, shown_Nn: NDArray[np.bool_] | None = None) -> None:
        self.tree, self.normaliser, self.shown_Nn = pattern.tree, normaliser, shown_Nn
        n = pattern.tree.n
        self.inside_nn = np.zeros((n, n), dtype=bool)
        for c in range(n):
            self.inside_nn[c, pattern.columns_P[pattern.bounds_n1[c] : pattern.bounds_n1[c + 1]]] = True

    def spread(self, values_P: NDArray[np.float64]) -> NDArray[np.float64]:
        """Parameters as W, 0 outside R_c."""
        found = np.zeros(self.inside_nn.shape)
        found[self.inside_nn] = values_P
        return found

    def terms(self, w_nn: NDArray[np.float64], f_n: NDArray[np.float64], c: int, row: int) -> Any:
        """Which t the normaliser of category c sums over, their w_t · f, and the f of each: T, T, T×n."""
        level = int(self.tree.level_of(np.array(c)))
        if self.normaliser == "level":
            over = np.arange(self.tree.starts_L1[level], self.tree.starts_L1[level + 1])
            f_Tn = f_n * self.inside_nn[over]
        else:
            over = np.flatnonzero(self.inside_nn[c])
            f_Tn = np.tile(f_n * self.inside_nn[c], (len(over), 1))
        if self.shown_Nn is not None:
            shown = self.shown_Nn[row, over]
            over, f_Tn = over[shown], f_Tn[shown]
        return over, (w_nn[over] * f_Tn).sum(axis=1), f_Tn

    def loss(
        self, w_nn: NDArray[np.float64], f_Nn: NDArray[np.float64], labels_NL: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float64]]:
        """−Σ log P and its gradient n×n, without the penalty."""
        loss, gradient = 0.0, np.zeros_like(w_nn)
        for row, (f_n, labels) in enumerate(zip(f_Nn, labels_NL, strict=True)):
            for c in labels.tolist():
                if self.shown_Nn is not None and not self.shown_Nn[row, c]:
                    continue
                over, z_T, f_Tn = self.terms(w_nn, f_n, c, row)
                p_T = np.exp(z_T) / np.exp(z_T).sum()
                loss -= np.log(p_T[over == c][0])
                gradient[over] += (p_T - (over == c))[:, None] * f_Tn
        return loss, gradient * self.inside_nn

    def refined(self, w_nn: NDArray[np.float64], f_Nn: NDArray[np.float64]) -> NDArray[np.float64]:
        """w_c · f_c of every category, or log P(c) where the normaliser is R_c: N×n."""
        found = np.full(f_Nn.shape, np.nan)
        for row, f_n in enumerate(f_Nn):
            for c in range(self.tree.n):
                if self.shown_Nn is not None and not self.shown_Nn[row, c]:
                    continue
                over, z_T, _ = self.terms(w_nn, f_n, c, row)
                found[row, c] = z_T[over == c][0]
                if self.normaliser == "related":
                    found[row, c] -= np.log(np.exp(z_T).sum())
        return found


@pytest.fixture
def reference() -> type[Reference]:
    return Reference
