"""Selection of photos from a scores file: errors, the most or least confident predictions, or any (S fig. 6).

The file is read once in chunks, and only the selected photos are stored: memory does not grow with the rows.

Shapes: R rows of a chunk; C classes of a level; K classes with scores per row (all C, or those of a top-k file);
G segments (see positions.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, Mismatch, did_you_mean
from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.reader import Scores
from prodrec.eval.gallery_contents import Gallery, GalleryOptions, GalleryPhoto
from prodrec.eval.report.positions import segment_rows_by_class
from prodrec.eval.report.row_results import source_level


def choose_photos(scores: Scores, options: GalleryOptions) -> Gallery:
    """Evaluate every photo of the split and select up to `options.count` of those that match.

    The confidence is the softmax over the level's scores. If the run did not score the level, the probabilities of the
    classes below are summed. A photo without a label at the level is neither right nor wrong.

    Raise BadOption if no photo matches or a name is unknown, Mismatch if the file cannot evaluate the level, and the
    errors of `Scores.chunks`.
    """
    level, source = _resolve_level(scores, options.level)
    depth = scores.levels.index(level)
    ancestor_C = None if source == level else scores.taxonomy.ancestors_of_level(source, level)
    root = _class_index(scores, 0, options.root, "--root")
    leaf = _class_index(scores, -1, options.leaf, "--leaf")
    random, selection = np.random.default_rng(options.seed), FirstRows(options.count)
    images, errors, without_label = 0, 0, 0
    with console.progress("choosing photos", total=scores.count(options.split), unit="photos") as advance:
        for chunk in scores.chunks(options.split, levels=(source,)):
            random_R = random.random(len(chunk))  # drawn for every row: the selection is the same for all chunk sizes
            predicted_R, confidence_R = predict_class(chunk, source, ancestor_C)
            label_R, true_R, true_depth_R = _true_classes(chunk.labels_RL, depth)
            match_R = np.ones(len(chunk), dtype=bool)
            for column, class_index in ((0, root), (-1, leaf)):
                match_R &= class_index is None or chunk.labels_RL[:, column] == class_index
            labelled_R, wrong_R = label_R >= 0, predicted_R != label_R
            without_label += int((match_R & ~labelled_R).sum())
            counted_R = match_R & labelled_R
            images, errors = images + int(counted_R.sum()), errors + int((counted_R & wrong_R).sum())
            if options.only != "all":
                match_R = counted_R & (wrong_R == (options.only == "errors"))
            sort_key_R = {"random": random_R, "confident": -confidence_R, "unsure": confidence_R}[options.order]
            columns = (chunk.rows_R, chunk.ids_R, predicted_R, true_R, true_depth_R, confidence_R)
            selection.add(match_R, sort_key_R, *columns)
            advance(len(chunk))
    names = scores.taxonomy.names
    photos = [
        GalleryPhoto(
            int(row),
            photo_id.decode("utf-8", "replace"),
            names[depth][predicted],
            names[true_depth][true],
            float(confidence),
            None if true_depth == depth else scores.levels[true_depth],
        )
        for row, photo_id, predicted, true, true_depth, confidence in selection.rows()
    ]
    if not photos:
        raise BadOption(f"{scores.path}: {_no_photo_message(options, level, images, without_label)}.")
    stored = scores.top_k if scores.top_k is not None and scores.top_k < scores.taxonomy.count(source) else None
    return Gallery(scores.origin.title, level, options, images, errors, stored, photos, without_label)


def _true_classes(
    labels_RL: NDArray[np.int32], depth: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Return the labels at the level `depth`, and the label and the depth of the deepest level down to it that has one.

    All are [R].
    """
    depth_R = np.minimum((labels_RL >= 0).sum(axis=1) - 1, depth)
    return labels_RL[:, depth], labels_RL[np.arange(len(labels_RL)), depth_R], depth_R


def predict_class(
    chunk: ScoreChunk, source: str, ancestor_C: NDArray[np.int32] | None, *, temperature: float = 1.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the most probable class, int64 [R], and its probability, float64 [R]; the lowest index of equal ones.

    ancestor_C:  the class to predict for each class of level `source`; None to predict the classes of `source`.
    temperature: divides the scores before the softmax.
    """
    scores_RK = chunk.scores[source].astype(np.float64) / temperature
    probabilities_RK = np.exp(scores_RK - scores_RK.max(axis=1, keepdims=True))
    probabilities_RK /= probabilities_RK.sum(axis=1, keepdims=True)
    rows = np.arange(len(probabilities_RK))
    if ancestor_C is None:
        best_R = probabilities_RK.argmax(axis=1)  # a top-k file stores equal scores in ascending order of the class
        class_R = best_R if chunk.classes is None else chunk.classes[source][rows, best_R].astype(np.int64)
        return class_R, probabilities_RK[rows, best_R]
    class_RK = ancestor_C[np.arange(len(ancestor_C))[None] if chunk.classes is None else chunk.classes[source]]
    segments = segment_rows_by_class(np.broadcast_to(class_RK, probabilities_RK.shape))
    sorted_RK = np.take_along_axis(probabilities_RK, segments.order_RK, axis=1)
    probability_G = np.add.reduceat(sorted_RK.ravel(), segments.start_G)
    order_G = np.lexsort((segments.class_G, -probability_G, segments.row_G))
    best_R = order_G[np.searchsorted(segments.row_G, rows)]
    return segments.class_G[best_R], probability_G[best_R]


class FirstRows:
    """The first `count` rows by sort key over all chunks; rows with equal keys by row number."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._columns: list[NDArray[Any]] | None = None

    def add(self, match_R: NDArray[np.bool_], sort_key_R: NDArray[np.float64], *columns: NDArray[Any]) -> None:
        """Add the rows of a chunk that match; the first of `columns` is the row number."""
        merged = [column[match_R] for column in (sort_key_R, *columns)]
        if self._columns is not None:
            merged = [np.concatenate(pair) for pair in zip(self._columns, merged, strict=True)]
        order = np.lexsort((merged[1], merged[0]))[: self._count]
        self._columns = [column[order] for column in merged]

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the values of `columns` for every selected row."""
        return [] if self._columns is None else list(zip(*self._columns[1:], strict=True))


def _resolve_level(scores: Scores, level: str | None) -> tuple[str, str]:
    """Return the level to evaluate and its `source_level`, as in a report."""
    if not scores.scored_levels:
        raise Mismatch(f"{scores.path} has scores of no level of the category tree; a gallery needs one.")
    level = scores.scored_levels[-1] if level is None else level
    if level not in scores.levels:
        hint = did_you_mean(level, scores.levels)
        raise BadOption(f"--level {level}: {scores.path} has the levels {', '.join(scores.levels)}{hint}.")
    source = source_level(scores, level)
    if source is None:
        scored = ", ".join(scores.scored_levels)
        raise Mismatch(
            f"{scores.path} has scores of {scored} only, which do not determine the {level}; give another --level."
        )
    return level, source


def _class_index(scores: Scores, depth: int, name: str | None, option: str) -> int | None:
    """Return the index of a class of the level at `depth`; None without a name. Raise BadOption if it is unknown."""
    if name is None:
        return None
    names = scores.taxonomy.names[depth]
    if name not in names:
        level = scores.levels[depth]
        raise BadOption(
            f"{option} {name}: {scores.path} has no such class of level {level}{did_you_mean(name, names)}."
        )
    return names.index(name)


def _no_photo_message(options: GalleryOptions, level: str, images: int, without_label: int) -> str:
    """Return why no photo matches, given the numbers of photos of the split and class with and without a label."""
    filters = [f"{option} {name}" for option, name in (("--root", options.root), ("--leaf", options.leaf)) if name]
    of_class = f" of {' and '.join(filters)}" if filters else ""
    if not images and without_label:
        return (
            f"none of the {without_label:,} photos{of_class} has a label at level {level}, so none is right or wrong; "
            f"omit --only {options.only}, or give another --level"
        )
    if not images:
        return f"split {options.split} has no photo{of_class}; ask for another split or class"
    result = "wrong" if options.only == "errors" else "right"
    return f"none of the {images:,} photos{of_class} is {result}; omit --only {options.only}"
