"""What a user should know about a dataset before a model is trained on it: classes and titles that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base import console
from prodrec.models.settings.heads import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prodrec.core.data.dataset import Dataset
    from prodrec.models.families import Recipe

NAMES_SHOWN = 3
"""Classes that a sentence names."""
FEW_TITLES = 0.9
"""Share of the training photos with a title below which a sentence says so."""


def report_gaps(data: Dataset, recipe: Recipe) -> None:
    """Print a warning for each gap of the dataset that limits what the model can learn or how it is judged."""
    for sentence in _gaps(data, recipe):
        console.warn(sentence)


def _gaps(data: Dataset, recipe: Recipe) -> Iterator[str]:
    level, classes = data.taxonomy.leaf_level, data.taxonomy.count(data.taxonomy.leaf_level)
    if classes == 1:
        yield f"there is one class at level {level}, so every prediction is right and nothing can be learned."
    untrained_C = data.train_images == 0
    if untrained_C.any():
        yield (
            f"{_count(untrained_C, 'classes')} of {level} {_have(untrained_C)} no training photo and cannot be "
            f"predicted: {_names(data, untrained_C)}; prepare the dataset with another split, or without them."
        )
    labels_M = data.labels_NL[data.rows("validation"), -1]
    unvalidated_C = (np.bincount(labels_M[labels_M >= 0], minlength=classes) == 0) & ~untrained_C
    if not len(labels_M):
        yield (
            "there is no validation photo, so nothing can be chosen or judged during training; prepare the dataset "
            "with one, such as --split 8:1:1."
        )
    elif unvalidated_C.any():
        yield (
            f"{_count(unvalidated_C, 'classes')} of {level} {_have(unvalidated_C)} no validation photo, so choices on "
            f"validation photos do not know them: {_names(data, unvalidated_C)}."
        )
    if recipe.network.titles is not None or WORDS in recipe.network.heads:
        rows = data.rows("train")
        titled = int((np.diff(data.tokens.offsets)[rows] > 0).sum())
        if titled < FEW_TITLES * len(rows):
            yield (
                f"{len(rows) - titled:,} of {len(rows):,} training photos have no title with a known word; they train "
                "on the photo alone."
            )


def _count(is_missing_C: np.ndarray, noun: str) -> str:
    return f"{int(is_missing_C.sum()):,} of {len(is_missing_C):,} {noun}"


def _have(is_missing_C: np.ndarray) -> str:
    return "has" if is_missing_C.sum() == 1 else "have"


def _names(data: Dataset, is_missing_C: np.ndarray) -> str:
    missing = np.flatnonzero(is_missing_C)
    names = ", ".join(data.taxonomy.leaves[int(index)] for index in missing[:NAMES_SHOWN])
    return names + (", …" if len(missing) > NAMES_SHOWN else "")
