"""Some rows of a scores file, and the checks that every piece read goes through.

Shapes: R rows of a piece; L levels, A attributes, D features, C classes of a level, K best classes kept, m states.
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

    ids_R: UTF-8 bytes; labels_RL: one column a level; attributes_RA (codes) and features_RD where asked for.
    scores: by level, float32 R×C, or R×K with `classes` (R×K class indices by level) from a top-k file.
    attribute_scores: by attribute, float32 R×m (column s is code s + 1); empty unless asked for.
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


def check(chunk: ScoreChunk, last: int, *, taxonomy: Taxonomy, attributes: Sequence[Attribute], path: Path) -> None:
    """Raise BadArtefact for what the schema forbids; `last` is the row before the piece."""
    if chunk.rows_R[0] <= last or (np.diff(chunk.rows_R) <= 0).any():
        raise BadArtefact(f"{path}: its rows do not ascend after row {last}; score the run again.")
    for level, column in zip(taxonomy.levels, chunk.labels_RL.T, strict=True):
        count = taxonomy.count(level)
        wrong = np.flatnonzero((column < 0) | (column >= count))
        if len(wrong):
            raise BadArtefact(
                f"{path}: row {chunk.rows_R[wrong[0]]} has label {column[wrong[0]]} at level {level}, "
                f"which has {count} classes; score the run again."
            )
    codes = [] if chunk.attributes_RA is None else zip(attributes, chunk.attributes_RA.T, strict=True)
    for attribute, column in codes:
        wrong = np.flatnonzero((column < 0) | (column > len(attribute.states)))
        if len(wrong):
            raise BadArtefact(
                f"{path}: row {chunk.rows_R[wrong[0]]} has code {column[wrong[0]]} of attribute {attribute.name}, "
                f"which has {len(attribute.states)} states; score the run again."
            )
    for level, which in (chunk.classes or {}).items():
        wrong = np.flatnonzero(((which < 0) | (which >= taxonomy.count(level))).any(axis=1))
        if len(wrong):
            raise BadArtefact(f"{path}: row {chunk.rows_R[wrong[0]]} keeps a class of {level} that does not exist.")
    scores = {f"level {level}": values for level, values in chunk.scores.items()}
    scores |= {f"attribute {name}": values for name, values in chunk.attribute_scores.items()}
    for what, values in scores.items():
        wrong = np.flatnonzero(~np.isfinite(values.sum(axis=1)))
        if len(wrong):
            raise BadArtefact(
                f"{path}: the scores of {what} are not finite (NaN or infinite) in row {chunk.rows_R[wrong[0]]} "
                f"(id {chunk.ids_R[wrong[0]].decode()}); score the run again."
            )
