"""Score files of one dataset side by side: one file with several levels, or one for each, joined by row.

Shapes: R rows of a piece; n categories of the refined levels; L refined levels; C classes of a level, K best kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.reader import Scores, open_scores
from prodrec.eval.refine.kept import KeptRows, relative
from prodrec.eval.refine.tree import Tree, tree_of

MOST_CATEGORIES = 3000
"""With more categories than this, rows are read as their best scores, as from a top-k file: weights would be n²."""

KEPT_OF_MORE = 100
BYTES_OF_A_PIECE = 16 * 2**20
NAMED = 3


@dataclass(frozen=True)
class Piece:
    """Some rows: what the file with the leaves holds of them, and the scores of every refined level.

    scores: float32 R×C by level; or, with `classes` (class indices), R×K best. attribute_scores: of all files.
    """

    main: ScoreChunk
    labels_RL: NDArray[np.int64]
    scores: dict[str, NDArray[np.float32]]
    classes: dict[str, NDArray[np.int32]] | None
    attribute_scores: dict[str, NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.main)

    def side_by_side(self) -> NDArray[np.float32]:
        """All scores of all levels, R×n."""
        assert self.classes is None
        return np.concatenate(list(self.scores.values()), axis=1)

    def kept(self, tree: Tree, fold_R: NDArray[np.int64]) -> KeptRows:
        """The best scores of all levels, relative, with category numbers over all levels."""
        assert self.classes is not None
        return KeptRows(
            tree,
            tuple(
                (which + start).astype(np.int32)
                for which, start in zip(self.classes.values(), tree.starts_L1[:-1].tolist(), strict=True)
            ),
            tuple(relative(values) for values in self.scores.values()),
            self.labels_RL,
            fold_R,
        )


@dataclass(frozen=True)
class Joined:
    """Open score files that hold the same rows.

    main: the file with the leaves; sources: the file that scored each refined level; states: the file whose scores of
    an attribute are taken. keep: how many of a level's scores are read, or None for all.
    """

    files: tuple[Scores, ...]
    main: Scores
    sources: dict[str, Scores]
    states: dict[str, Scores]
    tree: Tree
    keep: int | None

    @property
    def levels(self) -> tuple[str, ...]:
        return self.tree.levels

    def pieces(self, *, copied: bool = False) -> Iterator[Piece]:
        """All rows, in order; `copied` reads what is only copied as well: features, attributes, their scores."""
        width = sum(
            8 * file.top_k if file.top_k else 6 * file.taxonomy.count(level) for level, file in self.sources.items()
        )
        rows = max(1, min(4096, BYTES_OF_A_PIECE // width))
        columns = [self.main.levels.index(level) for level in self.levels]
        streams = [
            file.chunks(
                rows=rows,
                levels=tuple(level for level in self.levels if self.sources[level] is file),
                attributes=copied and file is self.main,
                features=copied and file is self.main,
                attribute_scores=copied,
            )
            for file in self.files
        ]
        for chunks in zip(*streams, strict=True):
            by_file = dict(zip(map(id, self.files), chunks, strict=True))
            main = by_file[id(self.main)]
            scores, classes = {}, {}
            for level, file in self.sources.items():
                scores[level], classes[level] = self._read(by_file[id(file)], level)
            yield Piece(
                main,
                main.labels_RL[:, columns].astype(np.int64) + self.tree.starts_L1[:-1],
                scores,
                None if self.keep is None else classes,
                {name: by_file[id(file)].attribute_scores[name] for name, file in self.states.items() if copied},
            )

    def _read(self, chunk: ScoreChunk, level: str) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Scores and classes of one level; all of them, or the `keep` best in any order."""
        values = chunk.scores[level]
        if chunk.classes is not None:
            return values, chunk.classes[level]
        classes = values.shape[1]
        if self.keep is None or self.keep >= classes:
            return values, np.broadcast_to(np.arange(classes, dtype=np.int32), values.shape)
        which = np.argpartition(-values, self.keep - 1, axis=1)[:, : self.keep].astype(np.int32)
        return np.take_along_axis(values, which, axis=1), which


def join(paths: Sequence[Path], stack: ExitStack, *, levels: Sequence[str] | None = None) -> Joined:
    """Open `paths` and join them by row; `levels` are those to refine, by default all that were scored.

    Raises the errors of `open_scores`; BadOption where a level is scored twice or not at all; Mismatch for files of
    other datasets, classes or rows.
    """
    files = [stack.enter_context(open_scores(path)) for path in dict.fromkeys(paths)]
    first = files[0]
    for file in files[1:]:
        _check_same_dataset(first, file)
    sources: dict[str, Scores] = {}
    for file in files:
        for level in file.scored_levels:
            if level in sources and (levels is None or level in levels):
                raise BadOption(
                    f"{sources[level].path} and {file.path} both hold scores of level {level}; "
                    "give one file for each level, or name the levels to refine with --levels."
                )
            sources[level] = file
    told = ", ".join(str(file.path) for file in files)
    sources = _choose_levels(sources, first.levels, levels, told)
    main = sources[first.levels[-1]]
    used = [file for file in files if file in sources.values()]
    for file in files:
        if file not in used:
            raise BadOption(f"{file.path} holds scores of no level that is refined ({', '.join(sources)}).")
    for file in used:
        if file is not main:
            _check_same_rows(main, file)
    tree = tree_of(first.taxonomy, list(sources))
    kept = [file.top_k for file in used if file.top_k is not None]
    keep = max(kept) if kept else KEPT_OF_MORE if tree.n > MOST_CATEGORIES else None
    states = {}
    for attribute in main.attributes:
        having = [file for file in used if attribute.name in file.scored_attributes]
        if main in having or len(having) == 1:
            states[attribute.name] = main if main in having else having[0]
    return Joined(tuple(used), main, sources, states, tree, keep)


def _choose_levels(
    sources: dict[str, Scores], known: Sequence[str], levels: Sequence[str] | None, told: str
) -> dict[str, Scores]:
    """The sources of the levels to refine, shallowest first. Raises BadOption for a level that is not there."""
    for level in levels or ():
        if level not in known:
            raise BadOption(f"--levels {','.join(levels or ())}: {told} knows no level {level!r} ({', '.join(known)}).")
    needed = [known[-1], *(levels or ())]
    for level in needed:
        if level not in sources:
            raise BadOption(
                f"{told} holds no scores of level {level} (only of {', '.join(sources) or 'attributes'}); give also "
                f"the scores of a run with heads={level}."
            )
    if levels is not None and known[-1] not in levels:
        raise BadOption(f"--levels {','.join(levels)}: the leaves ({known[-1]}) must be among them.")
    if levels is None and len(sources) == 1:
        others = ", ".join(level for level in known if level not in sources)
        raise BadOption(
            f"{told} holds scores of level {known[-1]} alone; give also the scores of a run with another level"
            f"{f' ({others})' if others else ''}, or refine the leaves by themselves with --levels {known[-1]}."
        )
    return {level: sources[level] for level in known if level in (sources if levels is None else levels)}


def _check_same_dataset(first: Scores, file: Scores) -> None:
    difference = file.taxonomy.difference(first.taxonomy)
    if difference:
        raise Mismatch(f"{file.path} has other classes than {first.path}: {difference}; score both on one dataset.")
    if file.origin.made_from.get("dataset") != first.origin.made_from.get("dataset"):
        raise Mismatch(
            f"{file.path} holds scores of another dataset than {first.path}; score both runs on one dataset."
        )


def _check_same_rows(main: Scores, file: Scores) -> None:
    """Rows are joined by their number in the dataset; one that is missing on either side is an error."""
    mine, theirs = _rows(main), _rows(file)
    for here, there, path, other in ((mine, theirs, file.path, main.path), (theirs, mine, main.path, file.path)):
        missing = np.setdiff1d(here, there, assume_unique=True)
        if len(missing):
            rows = ", ".join(str(row) for row in missing[:NAMED].tolist())
            more = f" and {len(missing) - NAMED:,} more" if len(missing) > NAMED else ""
            raise Mismatch(f"{path} lacks rows of {other}: {rows}{more}; score both runs with the same --split.")


def _rows(file: Scores) -> NDArray[np.int64]:
    return np.concatenate([chunk.rows_R for chunk in file.chunks(rows=65536, levels=())])
