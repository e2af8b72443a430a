"""Score files of one dataset, aligned by row: one file with several levels, or one file for each level.

Shapes: R rows of a chunk; n categories of the refined levels; L refined levels; C classes of a level; K top-k classes.
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
from prodrec.eval.refine.top_k_samples import TopKSamples, relative_scores
from prodrec.eval.refine.tree import Tree

MAX_DENSE_CATEGORIES = 3000
"""With more categories than this, only the top-k scores of every row are read, because a first fit with R_c = Ω has n²
weights."""

TOP_K_OF_DENSE = 100
"""Scores of a level that are read from a file with all scores if there are more than MAX_DENSE_CATEGORIES."""

MAX_CHUNK_ROWS = 4096
CHUNK_BYTES = 16 * 2**20
"""Bytes of the scores of all files in one chunk."""

MAX_LISTED = 3
"""Names or row numbers that one message lists."""


@dataclass(frozen=True)
class AlignedChunk:
    """Some rows of all files.

    main:             the rows of the file with the leaves.
    labels_RL:        category numbers of the refined levels; -1 without a label.
    scores:           scores of every refined level, float32 R×C, or R×K in any order if `classes` is not None.
    classes:          class indices of the top-k scores of every level, R×K, or None if all scores were read.
    attribute_scores: scores of attributes by name, from all files.
    """

    main: ScoreChunk
    labels_RL: NDArray[np.int64]
    scores: dict[str, NDArray[np.float32]]
    classes: dict[str, NDArray[np.int32]] | None
    attribute_scores: dict[str, NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.main)

    def concatenated_scores(self) -> NDArray[np.float32]:
        """Return f of S eq. 2: the scores of all levels, concatenated, R×n."""
        assert self.classes is None
        return np.concatenate(list(self.scores.values()), axis=1)

    def top_k_samples(self, tree: Tree, fold_R: NDArray[np.int64]) -> TopKSamples:
        """Return the top-k scores of all levels as relative scores, with category numbers."""
        assert self.classes is not None
        return TopKSamples(
            tree,
            tuple(
                (classes_RK + start).astype(np.int32)
                for classes_RK, start in zip(self.classes.values(), tree.starts_L1[:-1].tolist(), strict=True)
            ),
            tuple(relative_scores(scores_RK) for scores_RK in self.scores.values()),
            self.labels_RL,
            fold_R,
        )


@dataclass(frozen=True)
class AlignedScores:
    """Open score files that contain the same rows.

    main:              the file with the scores of the leaves.
    level_sources:     the file with the scores of each refined level.
    attribute_sources: the file from which the scores of each attribute are copied.
    top_k:             number of scores per level that are read, or None for all.
    """

    files: tuple[Scores, ...]
    main: Scores
    level_sources: dict[str, Scores]
    attribute_sources: dict[str, Scores]
    tree: Tree
    top_k: int | None

    @property
    def levels(self) -> tuple[str, ...]:
        return self.tree.levels

    def chunks(self, *, with_copied: bool = False) -> Iterator[AlignedChunk]:
        """Yield all rows in order.

        with_copied: also read the columns that refinement copies: features, attributes and their scores.
        """
        row_bytes = sum(  # float32 scores and int32 classes of top-k files; else scores in float16 and in float32
            8 * file.top_k if file.top_k else 6 * file.taxonomy.count(level)
            for level, file in self.level_sources.items()
        )
        rows = max(1, min(MAX_CHUNK_ROWS, CHUNK_BYTES // row_bytes))
        columns = [self.main.levels.index(level) for level in self.levels]
        streams = [
            file.chunks(
                rows=rows,
                levels=tuple(level for level in self.levels if self.level_sources[level] is file),
                attributes=with_copied and file is self.main,
                features=with_copied and file is self.main,
                attribute_scores=with_copied,
            )
            for file in self.files
        ]
        for file_chunks in zip(*streams, strict=True):
            chunk_of = dict(zip(map(id, self.files), file_chunks, strict=True))
            main = chunk_of[id(self.main)]
            scores, classes = {}, {}
            for level, file in self.level_sources.items():
                scores[level], classes[level] = self._scores_and_classes(chunk_of[id(file)], level)
            yield AlignedChunk(
                main,
                self.tree.numbers(main.labels_RL[:, columns]),
                scores,
                None if self.top_k is None else classes,
                {
                    name: chunk_of[id(file)].attribute_scores[name]
                    for name, file in self.attribute_sources.items()
                    if with_copied
                },
            )

    def _scores_and_classes(self, chunk: ScoreChunk, level: str) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Return the scores of one level and their class indices: all of them, or the top-k in any order."""
        scores = chunk.scores[level]
        if chunk.classes is not None:
            return scores, chunk.classes[level]
        class_count = scores.shape[1]
        if self.top_k is None or self.top_k >= class_count:
            return scores, np.broadcast_to(np.arange(class_count, dtype=np.int32), scores.shape)
        classes_RK = np.argpartition(-scores, self.top_k - 1, axis=1)[:, : self.top_k].astype(np.int32)
        return np.take_along_axis(scores, classes_RK, axis=1), classes_RK


def align_scores(paths: Sequence[Path], stack: ExitStack, *, levels: Sequence[str] | None = None) -> AlignedScores:
    """Open score files and align them by row. `stack` closes them.

    levels: the levels to refine, by default all that are scored.
    Raise the errors of `open_scores`, BadOption if a level is scored twice or not at all or if a file has no level to
    refine, and Mismatch if the files are of different datasets, classes or rows.
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
                    f"{sources[level].path} and {file.path} both contain scores of level {level}; "
                    "give one file for each level, or name the levels to refine with --levels."
                )
            sources[level] = file
    listed_paths = ", ".join(str(file.path) for file in files)
    sources = _select_levels(sources, first.levels, levels, listed_paths)
    main = sources[first.levels[-1]]
    used = [file for file in files if file in sources.values()]
    for file in files:
        if file not in used:
            raise BadOption(f"{file.path} contains scores of no level that is refined ({', '.join(sources)}).")
    for file in used:
        if file is not main:
            _check_same_rows(main, file)
    tree = Tree.from_taxonomy(first.taxonomy, list(sources))
    top_k = max((file.top_k for file in used if file.top_k is not None), default=None)
    if top_k is None and tree.n > MAX_DENSE_CATEGORIES:
        top_k = TOP_K_OF_DENSE
    attribute_sources = {}
    for attribute in main.attributes:
        scored_in = [file for file in used if attribute.name in file.scored_attributes]
        if main in scored_in or len(scored_in) == 1:
            attribute_sources[attribute.name] = main if main in scored_in else scored_in[0]
    return AlignedScores(tuple(used), main, sources, attribute_sources, tree, top_k)


def _select_levels(
    sources: dict[str, Scores], all_levels: Sequence[str], levels: Sequence[str] | None, listed_paths: str
) -> dict[str, Scores]:
    """Return the sources of the levels to refine, shallowest first. Raise BadOption if a level is missing."""
    for level in levels or ():
        if level not in all_levels:
            raise BadOption(
                f"--levels {','.join(levels or ())}: {listed_paths} has no level {level!r} ({', '.join(all_levels)})."
            )
    for level in (all_levels[-1], *(levels or ())):
        if level not in sources:
            raise BadOption(
                f"{listed_paths} contains no scores of level {level} (only of {', '.join(sources) or 'attributes'}); "
                f"give also the scores of a run with heads={level}."
            )
    if levels is not None and all_levels[-1] not in levels:
        raise BadOption(f"--levels {','.join(levels)}: the leaves ({all_levels[-1]}) must be among them.")
    if levels is None and len(sources) == 1:
        others = ", ".join(level for level in all_levels if level not in sources)
        raise BadOption(
            f"{listed_paths} contains scores of level {all_levels[-1]} alone; give also the scores of a run with "
            f"another level{f' ({others})' if others else ''}, or refine the leaves by themselves with "
            f"--levels {all_levels[-1]}."
        )
    return {level: sources[level] for level in all_levels if level in (sources if levels is None else levels)}


def _check_same_dataset(first: Scores, file: Scores) -> None:
    """Raise Mismatch unless both files are of one dataset."""
    difference = file.taxonomy.difference(first.taxonomy)
    if difference:
        raise Mismatch(f"{file.path} has other classes than {first.path}: {difference}; score both on one dataset.")
    if file.origin.made_from.get("dataset") != first.origin.made_from.get("dataset"):
        raise Mismatch(
            f"{file.path} contains scores of another dataset than {first.path}; score both runs on one dataset."
        )


def _check_same_rows(main: Scores, file: Scores) -> None:
    """Raise Mismatch unless both files contain the same rows of the dataset."""
    main_rows, file_rows = _row_numbers(main), _row_numbers(file)
    for rows, other_rows, path, other in (
        (main_rows, file_rows, file.path, main.path),
        (file_rows, main_rows, main.path, file.path),
    ):
        missing = np.setdiff1d(rows, other_rows, assume_unique=True)
        if len(missing):
            listed = ", ".join(str(row) for row in missing[:MAX_LISTED].tolist())
            more = f" and {len(missing) - MAX_LISTED:,} more" if len(missing) > MAX_LISTED else ""
            raise Mismatch(f"{path} lacks rows of {other}: {listed}{more}; score both runs with the same --split.")


def _row_numbers(file: Scores) -> NDArray[np.int64]:
    return np.concatenate([chunk.rows_R for chunk in file.chunks(rows=65536, levels=())])
