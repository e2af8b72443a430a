"""Counting of correct predictions: one pass over several score files side by side, in constant memory.

Rows are counted in populations: all rows by their end class and, for each attribute, the rows labelled with it by
their state and by their end class. Tree measures are counted in one histogram each, over the rows with a leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.reader import Scores
from prodrec.eval.report.class_counts import (
    ClassifiedRows,
    ColumnPair,
    Criterion,
    PopulationCounts,
    ProductCounts,
    SplitCounts,
)
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.product_squares import add_squares
from prodrec.eval.report.row_results import RowResults, evaluate_rows
from prodrec.eval.report.tree_measures import value_counts

MIN_ROWS_FOR_PROGRESS = 200_000
"""Number of rows from which progress is shown; fewer are read within a few seconds."""

ATTRIBUTE_TOP = 1
"""The k of every criterion on the rows of an attribute, for its states and for the leaves (S table 2)."""


def count_scores(
    files: Sequence[Scores],
    split: str,
    criteria: Sequence[Criterion],
    *,
    attributes: Sequence[str] = (),
    tree_measures: bool = False,
    pairs: Sequence[ColumnPair] = (),
    pool_photos: bool = False,
    observers: Mapping[int, Callable[[ScoreChunk], None]] | None = None,
    rows_per_chunk: int | None = None,
) -> SplitCounts:
    """Count the rows of `split` in all `files`, which must have the same classes.

    attributes:    names of the attributes whose rows and states are counted.
    tree_measures: whether tree measures are counted.
    pairs:         pairs of columns to compare row by row. The result contains the pairs whose files all have the same
                   rows as files[0].
    pool_photos:   whether the photos of a product count as one row, with the mean of their scores.
    observers:     functions by index of a file that are called with every chunk of its rows.
    Raise the errors of `Scores.chunks`.
    """
    leaves, leaf_level = len(files[0].taxonomy.leaves), files[0].levels[-1]
    end_classes = len(EndClasses(files[0].taxonomy))
    levels = list(dict.fromkeys([level for level, _ in criteria] + ([leaf_level] if attributes else [])))
    counts = SplitCounts(PopulationCounts.zeros(len(files), end_classes, pairs))
    counts.products = [ProductCounts() for _ in files]
    counts.same_rows = set(range(len(files)))
    for name in attributes:
        states = max(len(a.states) for file in files for a in file.attributes if a.name == name)
        counts.attributes[name, "state"] = PopulationCounts.zeros(len(files), states, pairs)
        counts.attributes[name, "leaf"] = PopulationCounts.zeros(len(files), end_classes, pairs)
    if tree_measures:
        counts.tree_histograms = [{} for _ in files]
        counts.tree_pairs = {pair: {} for columns in pairs for pair in combinations(sum(columns, ()), 2)}
    streams = [
        evaluate_rows(
            file,
            split,
            levels,
            attributes=attributes,
            tree_measures=tree_measures,
            pooled=counts.products[i] if pool_photos else None,
            observe=(observers or {}).get(i),
            rows_per_chunk=rows_per_chunk,
        )
        for i, file in enumerate(files)
    ]
    for chunks in _with_progress(_aligned_chunks(streams), sum(file.count(split) for file in files)):
        first = chunks[0]
        for i, chunk in enumerate(chunks):
            if (chunk is None) != (first is None) or (chunk and first and not chunk.same_rows(first)):
                counts.drop_file(i)
        counts.all_rows.add([_by_end_class(chunk, criteria) for chunk in chunks])
        for name in attributes:
            labelled = [_by_state_and_leaf(chunk, name, leaf_level) for chunk in chunks]
            for class_type in ("state", "leaf"):
                counts.attributes[name, class_type].add([rows[class_type] for rows in labelled])
        if tree_measures:
            _add_tree_measures(counts, chunks, files[0].levels, leaves)
    if not pool_photos:
        for i, file in enumerate(files):
            add_squares(counts, i, file, split, attributes)
    return counts


def _aligned_chunks(streams: Sequence[Iterator[RowResults]]) -> Iterator[list[RowResults | None]]:
    """Yield chunks of equal length from all streams; None for a stream that has ended."""
    heads: list[RowResults | None] = [next(stream, None) for stream in streams]
    while any(head is not None for head in heads):
        length = min(len(head) for head in heads if head is not None)
        chunks: list[RowResults | None] = []
        for i, head in enumerate(heads):
            if head is None:
                chunks.append(None)
                continue
            chunk, rest = head.split(length)
            chunks.append(chunk)
            heads[i] = rest if len(rest) else next(streams[i], None)
        yield chunks


def _with_progress(stream: Iterator[list[RowResults | None]], rows: int) -> Iterator[list[RowResults | None]]:
    with console.progress("reading scores", total=rows, minimum=MIN_ROWS_FOR_PROGRESS) as advance:
        for chunks in stream:
            advance(sum(len(chunk) for chunk in chunks if chunk is not None))
            yield chunks


def _by_end_class(chunk: RowResults | None, criteria: Sequence[Criterion]) -> ClassifiedRows | None:
    """Classify all rows by their end class."""
    if chunk is None:
        return None
    positions = chunk.positions
    return ClassifiedRows(
        chunk.end_R, {(level, k): positions[level] < k for level, k in criteria if level in positions}
    )


def _by_state_and_leaf(chunk: RowResults | None, attribute: str, leaf_level: str) -> dict[str, ClassifiedRows | None]:
    """Classify the rows labelled with `attribute` by state and by end class; None if the file lacks the attribute."""
    if chunk is None or attribute not in chunk.states:
        return {"state": None, "leaf": None}
    labelled_R = chunk.states[attribute] > 0
    classified: dict[str, ClassifiedRows | None] = {}
    for class_type, class_R, position_R, level in (
        ("state", chunk.states[attribute] - 1, chunk.state_positions.get(attribute), attribute),
        ("leaf", chunk.end_R, chunk.positions.get(leaf_level), leaf_level),
    ):
        criterion = (level, ATTRIBUTE_TOP)
        correct = {} if position_R is None else {criterion: position_R[labelled_R] < ATTRIBUTE_TOP}
        classified[class_type] = ClassifiedRows(class_R[labelled_R], correct)
    return classified


def _add_tree_measures(
    counts: SplitCounts, chunks: Sequence[RowResults | None], levels: Sequence[str], leaves: int
) -> None:
    """Count the tree measures of the rows with a leaf; `leaves` is the number of leaves."""
    selected = [None if chunk is None else _rows_with_leaf(chunk, leaves) for chunk in chunks]
    for measure, size in value_counts(levels).items():
        values = [
            value_R[rows] if chunk is not None and (value_R := chunk.tree_measures.get(measure)) is not None else None
            for chunk, rows in zip(chunks, selected, strict=True)
        ]
        for histograms, value_R in zip(counts.tree_histograms, values, strict=True):
            if value_R is not None:
                histograms[measure] = histograms.get(measure, 0) + np.bincount(value_R, minlength=size)
        for (i, j), joint in counts.tree_pairs.items():
            a_R, b_R = values[i], values[j]
            if a_R is not None and b_R is not None:
                images_VV = np.bincount(a_R * size + b_R, minlength=size * size).reshape(size, size)
                joint[measure] = joint.get(measure, 0) + images_VV


def _rows_with_leaf(chunk: RowResults, leaves: int) -> slice | NDArray[np.bool_]:
    """Return an index of the rows that end at a leaf: a slice if all do."""
    has_leaf_R = chunk.end_R < leaves
    return slice(None) if has_leaf_R.all() else has_leaf_R
