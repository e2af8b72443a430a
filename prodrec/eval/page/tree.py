"""The category tree of the page: accuracy, images and gain of every class of every level, as columns of plain values.

A class of an upper level has the accuracy of the leaves below it: the share of its images whose leaf is right. The
values and intervals are those of `--by-leaf`, computed by the same code for all classes at once.

Shapes: C leaves; L levels; E end classes; N nodes, which are the classes of all levels from the roots to the leaves.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.eval.page.thumbnails import Thumbnails
from prodrec.eval.report.class_counts import ClassCounts, Number, PairCounts, PopulationCounts, SplitCounts
from prodrec.eval.report.leaf_table import LeafRows
from prodrec.eval.report.report import Report
from prodrec.eval.report.table import Cell, Row

MOST_LEAVES = 20_000
"""Leaves in the tree of the page, those with the most test images."""
PHOTO_SIDE = 44
"""Pixels of the photos in the tree."""


class TreeRows:
    """A row of the report for every node that has test images.

    starts_L: the first node of every level
    node_CL:  the nodes of every leaf, from its root down to itself
    rows:     by node
    """

    def __init__(self, report: Report, top: int) -> None:
        taxonomy = report.taxonomy
        counts = [len(names) for names in taxonomy.names]
        self.nodes = sum(counts)
        self.starts_L = np.cumsum([0, *counts[:-1]])
        self.node_CL = taxonomy.ancestors().astype(np.int64) + self.starts_L
        population = self._by_node(report.builder.counts.all_rows)
        builder = copy.copy(report.builder)
        builder.counts = SplitCounts(population)
        names = Texts.from_strings([str(node) for node in range(self.nodes)])
        flat = Taxonomy((taxonomy.leaf_level,), (names,), (_no_parents(self.nodes),))
        self.rows: dict[int, Row] = {int(row.group): row for row in LeafRows(builder, flat, (top,))}

    def leaf(self, leaf: int) -> Row | None:
        """Return the row of a leaf; None without test images."""
        return self.rows.get(int(self.starts_L[-1]) + leaf)

    def sums(self, values_C: NDArray[Number]) -> NDArray[Number]:
        """Return the sums of a value of every leaf over the leaves below every node, [N]."""
        sums_N = np.zeros(self.nodes, dtype=values_C.dtype)
        for node_C in self.node_CL.T:
            np.add.at(sums_N, node_C, values_C)
        return sums_N

    def _by_node(self, population: PopulationCounts) -> PopulationCounts:
        """Return the counts of the rows with a leaf by node."""
        leaves = slice(len(self.node_CL))  # the other end classes are no leaves

        def sums(counts: dict[Any, NDArray[Number]]) -> dict[Any, NDArray[Number]]:
            return {criterion: self.sums(values_E[leaves]) for criterion, values_E in counts.items()}

        files = [
            ClassCounts(
                self.sums(file.images_C[leaves]),
                sums(file.correct),
                None if file.squares_C is None else self.sums(file.squares_C[leaves]),
            )
            for file in population.files
        ]
        pairs = {key: PairCounts(sums(pair.better), sums(pair.worse)) for key, pair in population.pairs.items()}
        return PopulationCounts(files, pairs)


def tree_json(
    report: Report, tree: TreeRows, example_C: NDArray[np.int64] | None, photos: Thumbnails
) -> dict[str, Any]:
    """Return the nodes as columns, parents before children. Numbers are tenths of a percent or of a point.

    example_C: the row of the photo that shows each leaf; None for a tree without photos.

    A cell is [value, low, high] and, for a run group other than the first, three numbers more for the gain; null
    without an estimate.
    """
    taxonomy, images_N = report.taxonomy, np.zeros(tree.nodes, dtype=np.int64)
    for node, row in tree.rows.items():
        images_N[node] = row.images
    train_N = tree.sums(report.train_images_C)
    level_N = np.repeat(np.arange(taxonomy.depth), [len(names) for names in taxonomy.names])
    parent_N = np.concatenate(
        [_no_parents(len(taxonomy.names[0]))]
        + [taxonomy.parents[depth] + tree.starts_L[depth - 1] for depth in range(1, taxonomy.depth)]
    )
    shown = _shown_nodes(tree, images_N, train_N)
    position_N = np.full(tree.nodes + 1, -1)  # the last one is that of the parent -1
    position_N[shown] = np.arange(len(shown))
    uris = {} if example_C is None else _photos(tree, shown, level_N, images_N, example_C, photos)
    return {
        "levels": list(taxonomy.levels),
        "runs": [group.name for group in report.run_groups],
        "name": [taxonomy.names[level_N[n]][n - tree.starts_L[level_N[n]]] for n in shown],
        "level": level_N[shown].tolist(),
        "parent": position_N[parent_N[shown]].tolist(),
        "train": train_N[shown].tolist(),
        "images": images_N[shown].tolist(),
        "cells": [_cells(tree.rows.get(int(node))) for node in shown],
        "photo": {int(position_N[node]): uri for node, uri in uris.items()},
        "omitted": tree.nodes - len(shown),
    }


def _no_parents(count: int) -> NDArray[np.int32]:
    return np.full(count, -1, dtype=np.int32)


def _shown_nodes(tree: TreeRows, images_N: NDArray[np.int64], train_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the nodes to show, ascending: MOST_LEAVES leaves, those with the most images, and all nodes above them."""
    leaf_C = tree.node_CL[:, -1]
    largest = np.lexsort((-train_N[leaf_C], -images_N[leaf_C]))[:MOST_LEAVES]
    return np.unique(tree.node_CL[largest])


def _cells(row: Row | None) -> list[list[int] | None] | None:
    return None if row is None else [_cell(cell) for cell in row.cells]


def _cell(cell: Cell | None) -> list[int] | None:
    if cell is None:
        return None
    numbers = [cell.value, *cell.interval]
    if cell.gain is not None:
        numbers += [cell.gain.value, *cell.gain.interval]
    return [round(1000 * number) for number in numbers]


def _photos(
    tree: TreeRows,
    shown: NDArray[np.int64],
    level_N: NDArray[np.int64],
    images_N: NDArray[np.int64],
    example_C: NDArray[np.int64],
    photos: Thumbnails,
) -> dict[int, str]:
    """Return the photos by node, first those of the upper levels, then those of the leaves with the most images.

    A node of an upper level has the photo of its leaf with the most images.
    """
    example_N = np.full(tree.nodes, -1, dtype=np.int64)
    ascending = np.argsort(images_N[tree.node_CL[:, -1]], kind="stable")
    ascending = ascending[example_C[ascending] >= 0]
    for node_C in tree.node_CL.T:
        example_N[node_C[ascending]] = example_C[ascending]
    order = shown[np.lexsort((-images_N[shown], level_N[shown]))]
    uris = ((int(node), photos.uri(int(example_N[node]), PHOTO_SIDE)) for node in order if example_N[node] >= 0)
    return {node: uri for node, uri in uris if uri is not None}
