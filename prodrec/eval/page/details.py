"""What the page counts of one scores file beside the counts of a report: in the same pass, and in bounded memory.

Rows without a leaf are neither right nor wrong, and are skipped.

Shapes: R rows of a chunk; C leaves; Q counts of a key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Attribute
from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.reader import Scores
from prodrec.eval.gallery import FirstRows, predict_class
from prodrec.eval.gallery_contents import GalleryPhoto
from prodrec.eval.page.sparse_counts import SparseCounts
from prodrec.eval.report.confidence import ConfidenceCounts

RANDOM_PHOTOS = 36
CONFIDENT_ERRORS = 24
"""Photos of the gallery."""


@dataclass
class Details:
    """Counts of the rows with a leaf of one file.

    confidence:  predictions by confidence.
    confusions:  wrong images by pair, with the key true leaf · C + predicted leaf; the example is the most confident
                 one.
    segments:    images and right images by leaf and state, with the key leaf · states + state, where the states of all
                 attributes are numbered one after the other.
    example_C:   the row that shows each leaf best: that of its most confident right prediction, else of its least
                 confident wrong one; -1 without images. int64 [C].
    random, confident_errors: photos of the gallery.
    """

    attributes: tuple[Attribute, ...]
    confidence: ConfidenceCounts
    confusions: SparseCounts
    segments: SparseCounts
    example_C: NDArray[np.int64]
    random: list[GalleryPhoto] = field(default_factory=list)
    confident_errors: list[GalleryPhoto] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """Number of wrong images."""
        return self.confidence.images - int(self.confidence.correct_B.sum())


class DetailsCounter:
    """Counts the details of one file, which has scores of the leaves, chunk by chunk.

    temperature: divides the scores before probabilities are computed
    """

    def __init__(self, scores: Scores, *, temperature: float = 1.0) -> None:
        leaves = len(scores.taxonomy.leaves)
        self._scores, self._temperature = scores, temperature
        self._details = Details(
            scores.attributes, ConfidenceCounts(), SparseCounts(1), SparseCounts(2), np.full(leaves, -1, dtype=np.int64)
        )
        self._quality_C = np.full(leaves, -np.inf)
        self._random, self._errors = FirstRows(RANDOM_PHOTOS), FirstRows(CONFIDENT_ERRORS)
        self._generator = np.random.default_rng(0)

    def add(self, chunk: ScoreChunk) -> None:
        """Count rows, or products, which have the scores of the leaves and the codes of the attributes."""
        details, leaves = self._details, len(self._quality_C)
        order_R = self._generator.random(len(chunk))  # drawn for every row: the same selection for all chunk sizes
        label_R, predicted_R, confidence_R = _predictions(chunk, self._scores.levels[-1], self._temperature)
        has_leaf_R, correct_R = label_R >= 0, predicted_R == label_R
        wrong_R = has_leaf_R & ~correct_R
        details.confidence.add(confidence_R[has_leaf_R], correct_R[has_leaf_R])
        details.confusions.add(
            label_R[wrong_R] * leaves + predicted_R[wrong_R],
            np.ones((int(wrong_R.sum()), 1), dtype=np.int64),
            confidence_R[wrong_R],
            chunk.rows_R[wrong_R],
        )
        _add_segments(details, chunk, label_R, correct_R)
        # Right rows, the most confident last, come after wrong ones, the least confident last.
        quality_R = np.where(correct_R, confidence_R, -confidence_R)
        rows = np.flatnonzero(has_leaf_R)[np.argsort(quality_R[has_leaf_R], kind="stable")]
        rows = rows[quality_R[rows] > self._quality_C[label_R[rows]]]
        details.example_C[label_R[rows]], self._quality_C[label_R[rows]] = chunk.rows_R[rows], quality_R[rows]
        columns = (chunk.rows_R, chunk.ids_R, predicted_R, label_R, confidence_R)
        self._random.add(has_leaf_R, order_R, *columns)
        self._errors.add(wrong_R, -confidence_R, *columns)

    def result(self) -> Details:
        """Return the details of all rows that were added."""
        random, errors = _photos(self._scores, self._random), _photos(self._scores, self._errors)
        return replace(self._details, random=random, confident_errors=errors)


def _predictions(
    chunk: ScoreChunk, leaf: str, temperature: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the true leaf, -1 if there is none, the predicted leaf, and its probability."""
    predicted_R, confidence_R = predict_class(chunk, leaf, None, temperature=temperature)
    return chunk.labels_RL[:, -1].astype(np.int64), predicted_R, confidence_R


def _add_segments(
    details: Details, chunk: ScoreChunk, label_R: NDArray[np.int64], correct_R: NDArray[np.bool_]
) -> None:
    """Count the rows that have a leaf and a state, once for every attribute."""
    if chunk.attributes_RA is None:
        return
    states, first_state = sum(len(attribute.states) for attribute in details.attributes), 0
    for column, attribute in enumerate(details.attributes):
        state_R = chunk.attributes_RA[:, column].astype(np.int64) - 1
        rows = np.flatnonzero((state_R >= 0) & (label_R >= 0))
        details.segments.add(
            label_R[rows] * states + first_state + state_R[rows],
            np.stack([np.ones(len(rows), dtype=np.int64), correct_R[rows].astype(np.int64)], axis=1),
            np.zeros(len(rows)),
            chunk.rows_R[rows],
        )
        first_state += len(attribute.states)


def _photos(scores: Scores, selection: FirstRows) -> list[GalleryPhoto]:
    """Return the selected rows with the names of their classes."""
    names = scores.taxonomy.leaves
    return [
        GalleryPhoto(int(row), id_.decode("utf-8", "replace"), names[predicted], names[true], float(confidence))
        for row, id_, predicted, true, confidence in selection.rows()
    ]
