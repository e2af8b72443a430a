"""Samples with the scores of all categories in memory, stored in blocks that the dense losses read one after another.

Scores are stored category-major (n×B), because the matrix products and the sums over few weights then both read memory
in order.

Shapes: N samples; B samples of a block; n categories; L refined levels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SAMPLES_PER_BLOCK = 512
"""Columns of one matrix product."""


@dataclass(frozen=True)
class Block:
    """Up to SAMPLES_PER_BLOCK samples of one fold.

    f_nB:      scores of all levels, concatenated.
    labels_LB: number of the true category at every level; -1 without a label.
    """

    f_nB: NDArray[np.float32]
    labels_LB: NDArray[np.int64]
    fold: int = 0

    def __len__(self) -> int:
        return int(self.f_nB.shape[1])


@dataclass
class DenseSamples:
    """Samples in blocks, sorted by fold."""

    blocks: list[Block] = field(default_factory=list)

    @classmethod
    def from_chunks(
        cls, chunks: Iterable[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]]
    ) -> DenseSamples:
        """Collect chunks (scores N×n, category numbers N×L, folds N), whose samples may be in any order."""
        pending: dict[int, list[tuple[NDArray[np.float32], NDArray[np.int64]]]] = {}
        blocks: list[Block] = []

        def add_blocks(fold: int) -> None:
            parts = pending.pop(fold)
            f_Nn = np.concatenate([scores for scores, _ in parts])
            labels_NL = np.concatenate([labels for _, labels in parts])
            for start in range(0, len(f_Nn), SAMPLES_PER_BLOCK):
                part = slice(start, start + SAMPLES_PER_BLOCK)
                blocks.append(Block(np.ascontiguousarray(f_Nn[part].T), np.ascontiguousarray(labels_NL[part].T), fold))

        for f_Nn, labels_NL, fold_N in chunks:
            for fold in np.unique(fold_N).tolist():
                in_fold = fold_N == fold
                pending.setdefault(fold, []).append((f_Nn[in_fold], labels_NL[in_fold]))
                if sum(len(scores) for scores, _ in pending[fold]) >= SAMPLES_PER_BLOCK:
                    add_blocks(fold)
        for fold in sorted(pending):
            add_blocks(fold)
        return cls(sorted(blocks, key=lambda block: block.fold))

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    def in_fold(self, fold: int) -> DenseSamples:
        """Return the samples of `fold`, without a copy."""
        return DenseSamples([block for block in self.blocks if block.fold == fold])

    def outside_fold(self, fold: int) -> DenseSamples:
        """Return the samples of all other folds, without a copy."""
        return DenseSamples([block for block in self.blocks if block.fold != fold])

    def category_counts(self, n: int) -> NDArray[np.int64]:
        """Return the number of samples of every category: int64 [n]."""
        counts_n = np.zeros(n, dtype=np.int64)
        for block in self.blocks:
            counts_n += np.bincount(block.labels_LB[block.labels_LB >= 0], minlength=n)
        return counts_n
