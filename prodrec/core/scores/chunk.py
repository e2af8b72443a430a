"""Rows of a scores file, as `Scores.chunks` reads them, and the checks of their values.

Shapes: R rows of a chunk; L levels, A attributes, D features, C classes of a level, K largest scores, m states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.taxonomy import Attribute, Taxonomy


@dataclass(frozen=True)
class ScoreChunk:
    """Some rows of a scores file, in file order.

    rows_R:           rows of the dataset
    ids_R:            UTF-8 bytes
    split_R:          index in artefact.SPLITS
    labels_RL:        class at each level
    scores:           by level, float32 [R, C]; from a top-k file, the K largest [R, K] in descending order
    classes:          by level, the classes of the K largest scores, int32 [R, K]; None for a file with all scores
    attributes_RA:    codes of the attributes, if requested
    features_RD:      features, if requested
    attribute_scores: by attribute, float32 [R, m], if requested; column s is the state with code s + 1
    """

    rows_R: NDArray[np.int64]
    ids_R: NDArray[np.bytes_]
    split_R: NDArray[np.uint8]
    labels_RL: NDArray[np.int32]
    scores: dict[str, NDArray[np.float32]]
    classes: dict[str, NDArray[np.int32]] | None = None
    attributes_RA: NDArray[np.int32] | None = None
    features_RD: NDArray[np.float16] | None = None
    attribute_scores: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows_R)


def check_chunk(
    chunk: ScoreChunk, previous_row: int, *, taxonomy: Taxonomy, attributes: Sequence[Attribute], path: Path
) -> None:
    """Raise BadArtefact if a value violates the schema. `previous_row` is the last row before the chunk, or -1."""
    if chunk.rows_R[0] <= previous_row or (np.diff(chunk.rows_R) <= 0).any():
        raise BadArtefact(f"{path}: its rows do not ascend after row {previous_row}; score the run again.")
    for level, label_R in zip(taxonomy.levels, chunk.labels_RL.T, strict=True):
        count = taxonomy.count(level)
        wrong = np.flatnonzero((label_R < 0) | (label_R >= count))
        if len(wrong):
            raise BadArtefact(
                f"{path}: row {chunk.rows_R[wrong[0]]} has label {label_R[wrong[0]]} at level {level}, "
                f"which has {count} classes; score the run again."
            )
    codes = [] if chunk.attributes_RA is None else zip(attributes, chunk.attributes_RA.T, strict=True)
    for attribute, code_R in codes:
        wrong = np.flatnonzero((code_R < 0) | (code_R > len(attribute.states)))
        if len(wrong):
            raise BadArtefact(
                f"{path}: row {chunk.rows_R[wrong[0]]} has code {code_R[wrong[0]]} of attribute {attribute.name}, "
                f"which has {len(attribute.states)} states; score the run again."
            )
    for level, class_RK in (chunk.classes or {}).items():
        wrong = np.flatnonzero(((class_RK < 0) | (class_RK >= taxonomy.count(level))).any(axis=1))
        if len(wrong):
            raise BadArtefact(
                f"{path}: row {chunk.rows_R[wrong[0]]} has the score of a class of {level} that does not exist; "
                "score the run again."
            )
    scores = {f"level {level}": values for level, values in chunk.scores.items()}
    scores |= {f"attribute {name}": values for name, values in chunk.attribute_scores.items()}
    for name, values in scores.items():
        wrong = np.flatnonzero(~np.isfinite(values.sum(axis=1)))
        if len(wrong):
            raise BadArtefact(
                f"{path}: the scores of {name} are not finite (NaN or infinite) in row {chunk.rows_R[wrong[0]]} "
                f"(id {chunk.ids_R[wrong[0]].decode()}); score the run again."
            )
