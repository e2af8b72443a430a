"""Rows of a scores file, as `Scores.chunks` reads them.

Shapes: R rows of a chunk; L levels, A attributes, D features, C classes of a level, K largest scores, m states.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ScoreChunk:
    """Some rows of a scores file, in file order.

    rows_R:           rows of the dataset
    ids_R:            UTF-8 bytes
    split_R:          index in artefact.SPLITS
    product_R:        row of the first photo of each row's product: rows_R if every product has one photo
    group_R:          first row of each row's duplicate group, which joins all photos of a product; rows_R in a file
                      without groups
    labels_RL:        class at each level; -1 below the end of the row's category path
    scores:           by level, float32 [R, C]; from a top-k file, the K largest [R, K] in descending order
    classes:          by level, the classes of the K largest scores, int32 [R, K]; None for a file with all scores
    attributes_RA:    codes of the attributes; None if they were not requested or there are none
    features_RD:      features; None if they were not requested
    attribute_scores: by attribute, float32 [R, m]; column s is the state with code s + 1; empty if not requested
    """

    rows_R: NDArray[np.int64]
    ids_R: NDArray[np.bytes_]
    split_R: NDArray[np.uint8]
    product_R: NDArray[np.int64]
    group_R: NDArray[np.int64]
    labels_RL: NDArray[np.int32]
    scores: dict[str, NDArray[np.float32]]
    classes: dict[str, NDArray[np.int32]] | None = None
    attributes_RA: NDArray[np.int32] | None = None
    features_RD: NDArray[np.float16] | None = None
    attribute_scores: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows_R)
