"""Chooses photos of a scores file to look at: errors, confident ones, unsure ones, or any (S fig. 6).

The file is read once in pieces and only the photos that are wanted stay: memory does not grow with its rows.

Shapes: R rows of a piece; K classes that a row has scores of (all of the level, or the best of a top-k file); C classes
of a level; W photos that are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.errors import BadOption, Mismatch, nearest
from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.reader import Scores
from prodrec.eval.report.metrics import source_of, together

ONLY = ("all", "errors", "right")
SORTS = ("random", "confident", "unsure")


@dataclass(frozen=True)
class Wanted:
    """Which photos are shown. Raises BadOption for words that are none of the choices.

    level: the level that is judged; None for the deepest that was scored
    leaf, root: only photos whose true leaf or root (shallowest class) has this name
    sort: None for confident errors first where errors alone are shown, else random
    """

    split: str = "test"
    level: str | None = None
    only: str = "all"
    sort: str | None = None
    leaf: str | None = None
    root: str | None = None
    count: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("split", SPLITS), ("only", ONLY), ("sort", SORTS)):
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise BadOption(f"--{name} {value}: expected one of {', '.join(choices)}{nearest(value, choices)}.")
        if self.seed < 0:
            raise BadOption(f"--seed {self.seed}: expected a number from 0.")

    @property
    def order(self) -> str:
        return self.sort or ("confident" if self.only == "errors" else "random")


@dataclass(frozen=True)
class JudgedPhoto:
    """One photo: its row and id, predicted and true class, and the probability of the predicted one."""

    row: int
    id: str
    predicted: str
    true: str
    confidence: float

    @property
    def right(self) -> bool:
        return self.predicted == self.true


@dataclass(frozen=True)
class Gallery:
    """The chosen photos in the order of showing; `images` and `errors` count all photos they were chosen from.

    kept: so many classes of every photo have scores in a top-k file, which alone share its probabilities; else None
    """

    run: str
    level: str
    wanted: Wanted
    images: int
    errors: int
    kept: int | None
    photos: list[JudgedPhoto] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": self.run,
            "split": self.wanted.split,
            "level": self.level,
            "only": self.wanted.only,
            "sort": self.wanted.order,
            "images": self.images,
            "errors": self.errors,
            "top_k": self.kept,
            "photos": [{**vars(photo), "right": photo.right} for photo in self.photos],
        }


def choose(scores: Scores, wanted: Wanted) -> Gallery:
    """Judge every photo of the split and keep those that are wanted most.

    Confidence is the softmax over the level's scores; a level without scores of its own adds up the probabilities of
    the classes under each of its classes. Raises BadOption where nothing fits or a name is unknown, Mismatch where the
    level cannot be judged from this file, and what `Scores.chunks` raises.
    """
    level, source = _levels(scores, wanted.level)
    at = scores.levels.index(level)
    above_C = None if source == level else scores.taxonomy.above(source, level)
    inside = [_class_of(scores, 0, wanted.root, "--root"), _class_of(scores, -1, wanted.leaf, "--leaf")]
    random, best, images, errors = np.random.default_rng(wanted.seed), _Best(wanted.count), 0, 0
    with console.progress("choosing photos", total=scores.count(wanted.split), unit="photos") as advance:
        for chunk in scores.chunks(wanted.split, levels=(source,)):
            shuffle_R = random.random(len(chunk))  # for every row, so that it does not depend on the pieces
            predicted_R, confidence_R = predict(chunk, source, above_C)
            label_R = chunk.labels_RL[:, at]
            fits_R = np.ones(len(chunk), dtype=bool)
            for column, number in zip((0, -1), inside, strict=True):
                fits_R &= number is None or chunk.labels_RL[:, column] == number
            wrong_R = predicted_R != label_R
            images, errors = images + int(fits_R.sum()), errors + int((fits_R & wrong_R).sum())
            if wanted.only != "all":
                fits_R &= wrong_R == (wanted.only == "errors")
            priority = {"random": shuffle_R, "confident": -confidence_R, "unsure": confidence_R}[wanted.order]
            best.add(fits_R, priority, chunk.rows_R, chunk.ids_R, predicted_R, label_R, confidence_R)
            advance(len(chunk))
    names = scores.taxonomy.names[at]
    photos = [
        JudgedPhoto(int(row), name.decode(), names[predicted], names[label], float(confidence))
        for row, name, predicted, label, confidence in best.rows()
    ]
    if not photos:
        raise BadOption(f"{scores.path}: {_nothing(scores, wanted, images, errors)}.")
    kept = scores.top_k if scores.top_k is not None and scores.top_k < scores.taxonomy.count(source) else None
    return Gallery(scores.origin.run, level, wanted, images, errors, kept, photos)


def predict(
    chunk: ScoreChunk, source: str, above_C: NDArray[np.int32] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(class int64 [R], its probability [R]) of the most probable class; ties go to the lower class index.

    above_C: int32 [C], the class to predict that each class of level `source` belongs to; None for these themselves
    """
    scores_RK = chunk.scores[source].astype(np.float64)
    powers_RK = np.exp(scores_RK - scores_RK.max(axis=1, keepdims=True))
    powers_RK /= powers_RK.sum(axis=1, keepdims=True)
    rows = len(powers_RK)
    if above_C is None:
        best_R = powers_RK.argmax(axis=1)  # of a top-k file's equal scores the lower class stands first
        kept_RK = None if chunk.classes is None else chunk.classes[source]
        class_R = best_R if kept_RK is None else kept_RK[np.arange(rows), best_R].astype(np.int64)
        return class_R, powers_RK[np.arange(rows), best_R]
    class_RK = above_C[np.arange(len(above_C))[None] if chunk.classes is None else chunk.classes[source]]
    order_RK, starts, row_G, class_G = together(np.broadcast_to(class_RK, powers_RK.shape))
    share_G = np.add.reduceat(np.take_along_axis(powers_RK, order_RK, axis=1).ravel(), starts)
    first = np.lexsort((class_G, -share_G, row_G))[np.searchsorted(row_G, np.arange(rows))]
    return class_G[first], share_G[first]


class _Best:
    """The W rows of the smallest priority seen so far; of equal ones those of the lower row."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._columns: list[NDArray[Any]] | None = None

    def add(self, fits_R: NDArray[np.bool_], priority_R: NDArray[np.float64], *columns: NDArray[Any]) -> None:
        """Rows that fit; the first of `columns` is their number."""
        new = [column[fits_R] for column in (priority_R, *columns)]
        if self._columns is not None:
            new = [np.concatenate(pair) for pair in zip(self._columns, new, strict=True)]
        order = np.lexsort((new[1], new[0]))[: self._count]
        self._columns = [column[order] for column in new]

    def rows(self) -> list[tuple[Any, ...]]:
        return [] if self._columns is None else list(zip(*self._columns[1:], strict=True))


def _levels(scores: Scores, level: str | None) -> tuple[str, str]:
    """The level to judge, and the one whose scores say it: those by which a report judges it (`metrics.source_of`)."""
    if not scores.scored_levels:
        raise Mismatch(f"{scores.path} has scores of no level of the category tree; a gallery needs one.")
    level = scores.scored_levels[-1] if level is None else level
    if level not in scores.levels:
        raise BadOption(
            f"--level {level}: {scores.path} has the levels {', '.join(scores.levels)}{nearest(level, scores.levels)}."
        )
    source = source_of(scores, level)
    if source is None:
        found = ", ".join(scores.scored_levels)
        raise Mismatch(f"{scores.path} has scores of {found} only, which do not say the {level}; give another --level.")
    return level, source


def _class_of(scores: Scores, depth: int, name: str | None, option: str) -> int | None:
    if name is None:
        return None
    names = scores.taxonomy.names[depth]
    if name not in names:
        level = scores.levels[depth]
        raise BadOption(
            f"{option} {name}: {scores.path} has no such class of level {level}{nearest(name, names.like(name))}."
        )
    return names.index(name)


def _nothing(scores: Scores, wanted: Wanted, images: int, errors: int) -> str:
    """Why no photo was found."""
    where = " and ".join(
        f"{option} {name}" for option, name in (("--root", wanted.root), ("--leaf", wanted.leaf)) if name
    )
    if not images:
        return f"split {wanted.split} has no photo{f' of {where}' if where else ''}; ask for another split or class"
    asked = "wrong" if wanted.only == "errors" else "right"
    return f"none of the {images:,} photos{f' of {where}' if where else ''} is {asked}; leave --only {wanted.only} out"
