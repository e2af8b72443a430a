"""Counts what score files have right, side by side in one pass over their rows, at constant memory.

Rows are counted in populations: all by their leaf; and for an attribute, those that are labelled with it, by its state
or by their leaf. Counts are int64 by class (leaf or state); what is counted of the hierarchy is one histogram a fact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.scores.reader import Scores
from prodrec.eval.report.hierarchy import sizes
from prodrec.eval.report.metrics import Judged, judge

Question = tuple[str, int]
"""(level or attribute, k): is the true class or state among the k best?"""
Pair = tuple[int, int]
Counts = NDArray[np.int64]

MANY_ROWS = 200_000
"""From so many on the work is shown while it goes on."""

TOP = 1
"""Attributes are asked for their best state, and the leaves of their rows for the best leaf (S table 2)."""


@dataclass
class Tally:
    """Images of every class, and how many of them are right by question; one that the run cannot answer is missing."""

    images: Counts
    right: dict[Question, Counts] = field(default_factory=dict)


@dataclass
class PairTally:
    """Images, by true class and question, that only the second run has right (better) or only the first (worse)."""

    better: dict[Question, Counts] = field(default_factory=dict)
    worse: dict[Question, Counts] = field(default_factory=dict)


@dataclass
class Counted:
    """What one pass over some files found of a population: a tally each, and one for every pair that judged the same.

    attributes: the same for the rows with an attribute, by (name, "state" or "leaf"). facts: histograms, by file;
    joint: of two files, by pair, first in rows and second in columns; both by the name of the fact.
    """

    tallies: list[Tally]
    pairs: dict[Pair, PairTally] = field(default_factory=dict)
    attributes: dict[tuple[str, str], Counted] = field(default_factory=dict)
    facts: list[dict[str, Counts]] = field(default_factory=list)
    joint: dict[Pair, dict[str, Counts]] = field(default_factory=dict)

    def drop(self, pair: Pair) -> None:
        """Forget a pair whose rows are not the same."""
        self.pairs.pop(pair, None)
        self.joint.pop(pair, None)
        for part in self.attributes.values():
            part.drop(pair)


def count(
    files: Sequence[Scores],
    split: str,
    questions: Sequence[Question],
    *,
    attributes: Sequence[str] = (),
    hierarchy: bool = False,
    pairs: Sequence[Pair] = (),
    rows: int | None = None,
) -> Counted:
    """Read all `files` side by side, once, and count.

    attributes: those to count the states of; hierarchy: whether to count how predictions lie in the tree.
    `pairs` (first, second) of file numbers are compared row by row where both have the same rows as the first file of
    all; the others are left out of the answer. `rows` is the size of a piece. Raises what `Scores.chunks` raises.
    """
    leaves = len(files[0].taxonomy.leaves)
    levels = list(dict.fromkeys([level for level, _ in questions] + ([files[0].levels[-1]] if attributes else [])))
    counted = _empty(len(files), leaves, pairs)
    for name in attributes:
        states = max(len(a.states) for file in files for a in file.attributes if a.name == name)
        counted.attributes[name, "state"] = _empty(len(files), states, pairs)
        counted.attributes[name, "leaf"] = _empty(len(files), leaves, pairs)
    if hierarchy:
        counted.facts = [{} for _ in files]
        counted.joint = {pair: {} for pair in pairs}
    streams = [judge(file, split, levels, attributes=attributes, hierarchy=hierarchy, rows=rows) for file in files]
    in_step = set(range(len(files)))
    for pieces in _shown(_side_by_side(streams), sum(file.count(split) for file in files)):
        first = pieces[0]
        for i, piece in enumerate(pieces):
            if (piece is None) != (first is None) or (piece and first and not piece.same_rows(first)):
                in_step.discard(i)
        for pair in [pair for pair in counted.pairs if not in_step.issuperset(pair)]:
            counted.drop(pair)
        _tally(counted, [_by_leaf(piece, questions) for piece in pieces])
        for name in attributes:
            labelled = [_labelled(piece, name, files[0].levels[-1]) for piece in pieces]
            for by in ("state", "leaf"):
                _tally(counted.attributes[name, by], [parts[by] for parts in labelled])
        if hierarchy:
            _add_facts(counted, pieces, files[0].levels)
    return counted


def _empty(files: int, classes: int, pairs: Sequence[Pair]) -> Counted:
    return Counted(
        [Tally(np.zeros(classes, dtype=np.int64)) for _ in range(files)], {pair: PairTally() for pair in pairs}
    )


def _side_by_side(streams: Sequence[Iterator[Judged]]) -> Iterator[list[Judged | None]]:
    """Pieces of equal length from all streams; None for a stream that has ended."""
    heads: list[Judged | None] = [next(stream, None) for stream in streams]
    while any(head is not None for head in heads):
        length = min(len(head) for head in heads if head is not None)
        pieces: list[Judged | None] = []
        for i, head in enumerate(heads):
            if head is None:
                pieces.append(None)
                continue
            piece, rest = head.split(length)
            pieces.append(piece)
            heads[i] = rest if len(rest) else next(streams[i], None)
        yield pieces


def _shown(stream: Iterator[list[Judged | None]], rows: int) -> Iterator[list[Judged | None]]:
    """The same pieces; with many rows in all, how far they are is shown."""
    with console.progress("reading scores", total=rows, least=MANY_ROWS) as advance:
        for pieces in stream:
            advance(sum(len(piece) for piece in pieces if piece is not None))
            yield pieces


class Part(NamedTuple):
    """Some rows of a file: the class by which each is counted, and by question whether it is right."""

    class_R: NDArray[np.int32]
    right: dict[Question, NDArray[np.bool_]]


def _by_leaf(piece: Judged | None, questions: Sequence[Question]) -> Part | None:
    """All rows."""
    if piece is None:
        return None
    return Part(piece.leaf_R, {(level, k): piece.ranks[level] < k for level, k in questions if level in piece.ranks})


def _labelled(piece: Judged | None, name: str, leaf: str) -> dict[str, Part | None]:
    """The rows that have attribute `name`, by its state and by their leaf; None for a file that does not know it."""
    if piece is None or name not in piece.states:
        return {"state": None, "leaf": None}
    has = piece.states[name] > 0
    parts: dict[str, Part | None] = {}
    for by, class_R, ranks_R, level in (
        ("state", piece.states[name] - 1, piece.state_ranks.get(name), name),
        ("leaf", piece.leaf_R, piece.ranks.get(leaf), leaf),
    ):
        parts[by] = Part(class_R[has], {} if ranks_R is None else {(level, TOP): ranks_R[has] < TOP})
    return parts


def _tally(counted: Counted, parts: Sequence[Part | None]) -> None:
    """Add rows to every file's tally and to every pair's; None for a file without such rows."""

    def add(to: dict[Question, Counts], question: Question, class_R: NDArray[np.int32]) -> None:
        if question not in to:
            to[question] = np.zeros(len(counted.tallies[0].images), dtype=np.int64)
        np.add.at(to[question], class_R, 1)  # not bincount: a piece has fewer rows than there may be classes

    for tally, part in zip(counted.tallies, parts, strict=True):
        if part is not None:
            np.add.at(tally.images, part.class_R, 1)
            for question, right_R in part.right.items():
                add(tally.right, question, part.class_R[right_R])
    for (i, j), pair in counted.pairs.items():
        a, b = parts[i], parts[j]
        if a is not None and b is not None:
            for question in a.right.keys() & b.right:
                add(pair.better, question, a.class_R[b.right[question] & ~a.right[question]])
                add(pair.worse, question, a.class_R[a.right[question] & ~b.right[question]])


def _add_facts(counted: Counted, pieces: Sequence[Judged | None], levels: Sequence[str]) -> None:
    for fact, size in sizes(levels).items():
        known = [None if piece is None else piece.facts.get(fact) for piece in pieces]
        for histograms, fact_R in zip(counted.facts, known, strict=True):
            if fact_R is not None:
                histograms[fact] = histograms.get(fact, 0) + np.bincount(fact_R, minlength=size)
        for (i, j), joint in counted.joint.items():
            a_R, b_R = known[i], known[j]
            if a_R is not None and b_R is not None:
                both = np.bincount(a_R * size + b_R, minlength=size * size).reshape(size, size)
                joint[fact] = joint.get(fact, 0) + both
