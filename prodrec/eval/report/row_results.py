"""Evaluation of every row of a score file, in chunks.

Shapes: R rows of a chunk; C classes of a level; K best classes stored per row in a top-k file; L levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.reader import Scores
from prodrec.eval.report.class_counts import ProductCounts
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.pooled_chunks import pooled_chunks
from prodrec.eval.report.positions import (
    LevelSegments,
    segment_level,
    sum_probabilities,
    true_position,
    true_position_above_top_k,
    true_position_in_top_k,
)
from prodrec.eval.report.tree_measures import measure_tree

NO_POSITION = np.iinfo(np.int64).max
"""Position of the true class in a row that has none: the row is correct for no k."""


@dataclass
class RowResults:
    """Results of one run on R rows.

    end_R:           the end class (see end_classes.py), int32 [R].
    positions:       by level, the position of the true class (see positions.py), int64 [R]; NO_POSITION for a row
                     without a label at the level. A level for which the run has no scores is missing.
    states:          by attribute of the file, the code of the true state, int32 [R]; 0 if the product has none
                     (S eq. 7).
    state_positions: by scored attribute, the position of the true state, int64 [R]; meaningless where the code is 0.
    tree_measures:   by name, see tree_measures.py; int64 [R]; meaningless for a row without a leaf.
    """

    rows_R: NDArray[np.int64]
    ids_R: NDArray[np.bytes_]
    end_R: NDArray[np.int32]
    positions: dict[str, NDArray[np.int64]]
    states: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    state_positions: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    tree_measures: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows_R)

    def split(self, index: int) -> tuple[RowResults, RowResults]:
        """Return the rows before `index` and the others."""

        def select(value: Any, rows: slice) -> Any:
            return {name: array[rows] for name, array in value.items()} if isinstance(value, dict) else value[rows]

        first, rest = (
            RowResults(**{f.name: select(getattr(self, f.name), rows) for f in fields(self)})
            for rows in (slice(None, index), slice(index, None))
        )
        return first, rest

    def same_rows(self, other: RowResults) -> bool:
        """Return whether both contain the same products with the same labels and states."""
        return (
            np.array_equal(self.rows_R, other.rows_R)
            and np.array_equal(self.ids_R, other.ids_R)
            and np.array_equal(self.end_R, other.end_R)
            and all(np.array_equal(self.states[name], other.states[name]) for name in self.states.keys() & other.states)
        )


def evaluate_rows(
    scores: Scores,
    split: str,
    levels: Sequence[str],
    *,
    attributes: Sequence[str] = (),
    tree_measures: bool = False,
    pooled: ProductCounts | None = None,
    observe: Callable[[ScoreChunk], None] | None = None,
    rows_per_chunk: int | None = None,
) -> Iterator[RowResults]:
    """Yield the results of the rows of `split`, chunk by chunk.

    levels:     the levels to evaluate, each by the scores of its `source_level`. The score of a class above the source
                is log Σ exp over the classes below it; in a top-k file only over the stored ones, and a class without
                any comes last.
    attributes: names of the attributes to evaluate.
    pooled:     if given, a row is a product with the mean scores of its photos (see pooled_chunks.py); the products are
                counted here.
    observe:    is called with every chunk, which has the scores of these levels and, if attributes are evaluated, their
                codes.
    Raise the errors of `Scores.chunks`.
    """
    sources = {level: source for level in levels if (source := source_level(scores, level)) is not None}
    levels_read = tuple(dict.fromkeys([*sources.values(), *(scores.scored_levels if tree_measures else ())]))
    ancestors = {
        level: scores.taxonomy.ancestors_of_level(source, level) for level, source in sources.items() if level != source
    }
    segments = {level: segment_level(ancestor_C) for level, ancestor_C in ancestors.items() if scores.top_k is None}
    scored_attributes = [name for name in scores.scored_attributes if name in attributes]
    end_classes = EndClasses(scores.taxonomy)
    columns: dict[str, Any] = {
        "levels": levels_read,
        "rows": rows_per_chunk,
        "attributes": bool(attributes),
        "attribute_scores": bool(scored_attributes),
    }
    chunks = (
        scores.chunks(split, **columns) if pooled is None else pooled_chunks(scores, split, counts=pooled, **columns)
    )
    for chunk in chunks:
        if observe is not None:
            observe(chunk)
        positions: dict[str, NDArray[np.int64]] = {}
        for level, source in sources.items():
            label_R = chunk.labels_RL[:, scores.levels.index(level)].astype(np.int64)
            without_label = np.flatnonzero(label_R < 0)
            label_R[without_label] = 0
            if level == source:
                positions[level] = _own_position(chunk, level, label_R)
            else:
                positions[level] = _summed_position(
                    chunk, source, label_R, ancestors[level], segments.get(level), scores.taxonomy.count(level)
                )
            positions[level][without_label] = NO_POSITION
        results = RowResults(chunk.rows_R, chunk.ids_R, end_classes.of_rows(chunk.labels_RL), positions)
        for column, attribute in enumerate(scores.attributes):
            if attribute.name in attributes and chunk.attributes_RA is not None:
                results.states[attribute.name] = state_R = chunk.attributes_RA[:, column]
                if attribute.name in scored_attributes:
                    # Code 0 has no state; its position is not used.
                    label_R = np.maximum(state_R.astype(np.int64) - 1, 0)
                    results.state_positions[attribute.name] = true_position(
                        chunk.attribute_scores[attribute.name], label_R
                    )
        if tree_measures:
            predicted = {level: predicted_class(chunk, level) for level in scores.scored_levels}
            results.tree_measures = measure_tree(predicted, chunk.labels_RL, scores.taxonomy)
        yield results


def source_level(scores: Scores, level: str) -> str | None:
    """Return the level whose scores evaluate `level`.

    This is `level` itself if the run scored it, else the deepest scored level; None if that one is above `level`.
    """
    if level in scores.scored_levels:
        return level
    deepest = scores.scored_levels[-1] if scores.scored_levels else None
    if deepest is None or scores.levels.index(deepest) < scores.levels.index(level):
        return None
    return deepest


def predicted_class(chunk: ScoreChunk, level: str) -> NDArray[np.int64]:
    """Return the class of `level` with the largest score, int64 [R]; the lowest index of equal ones."""
    if chunk.classes is None:
        dense_R: NDArray[np.int64] = chunk.scores[level].argmax(axis=1)
        return dense_R
    scores_RK, classes_RK = chunk.scores[level], chunk.classes[level].astype(np.int64)
    largest_RK = scores_RK == scores_RK.max(axis=1, keepdims=True)
    class_R: NDArray[np.int64] = np.where(largest_RK, classes_RK, np.iinfo(np.int64).max).min(axis=1)
    return class_R


def _own_position(chunk: ScoreChunk, level: str, label_R: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position of the true class by the run's own scores of `level`."""
    if chunk.classes is None:
        return true_position(chunk.scores[level], label_R)
    return true_position_in_top_k(chunk.scores[level], chunk.classes[level], label_R)


def _summed_position(
    chunk: ScoreChunk,
    source: str,
    label_R: NDArray[np.int64],
    ancestor_C: NDArray[np.int32],
    segments: LevelSegments | None,
    classes: int,
) -> NDArray[np.int64]:
    """Return the position of the true class at a level above `source`, by summed probabilities.

    ancestor_C: the class at the upper level of every class of `source`; segments: the same sorted, for a dense file;
    classes: number of classes of the upper level.
    """
    if chunk.classes is None:
        assert segments is not None, "a dense file has segments"
        return true_position(sum_probabilities(chunk.scores[source], segments, classes), label_R)
    return true_position_above_top_k(chunk.scores[source], ancestor_C[chunk.classes[source]], label_R)
