"""Choose between the families `visual` and `words` by what the titles of a dataset can teach the photo.

Predicting the words of titles makes learning faster where classes are small and share words, and titles say more than
the name of the class. Elsewhere, and in long trainings, it changes little (examples/LOG.md, "Where titles help").
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base import console

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

AUTO = "auto"
LARGEST_CLASS = 200
"""Training photos of the class of a typical photo, at most, for titles to help."""
FEWEST_WORDS = 1.0
"""Words to predict that a title has on average beyond the name of its class, at least."""
FEWEST_TITLED = 0.5
"""Share of the training photos with a title, at least."""


@dataclass(frozen=True)
class TitleFacts:
    """What the choice depends on.

    titled:       share of the training photos whose title has a known word
    beyond_class: mean number of words to predict in these titles, without the words of names of classes
    class_photos: training photos of the class of the median photo
    """

    titled: float
    beyond_class: float
    class_photos: int


def resolve_family(family: str, dataset: str | Path) -> tuple[str, Path | Dataset]:
    """Return `family`, or for "auto" the family that fits the dataset, after printing why; and the dataset.

    The dataset is opened if the choice needs it. Otherwise it is a path, so that a wrong option is refused at once.
    """
    from prodrec.core.data.dataset import open_dataset

    if family != AUTO:
        return family, Path(dataset)
    data = open_dataset(Path(dataset))
    chosen, reason = choose_family(data)
    console.info(reason)
    return chosen, data


def choose_family(data: Dataset) -> tuple[str, str]:
    """Return the family for a dataset, and the reason in a sentence."""
    facts = title_facts(data)
    text = (
        f"{facts.titled:.0%} of the training photos have a title, with {facts.beyond_class:.1f} words beyond the names "
        f"of classes, and half of the photos are in classes of at most {facts.class_photos:,} photos"
    )
    if facts.titled < FEWEST_TITLED:
        return "visual", f"visual: {text}; too few titles to learn from."
    if facts.beyond_class < FEWEST_WORDS:
        return "visual", f"visual: {text}; titles say little beyond the class."
    if facts.class_photos > LARGEST_CLASS:
        return "visual", f"visual: {text}; titles helped only with smaller classes."
    return "words", f"words: {text}; predicting the words of titles makes short trainings on such catalogues better."


def title_facts(data: Dataset) -> TitleFacts:
    """Return the facts about the training photos of a dataset."""
    from prodrec.core.base.errors import BadOption
    from prodrec.models.network_config import NetworkConfig
    from prodrec.models.word_targets import choose_word_targets, count_targets

    rows = data.rows("train")
    has_title_R = np.diff(data.tokens.offsets)[rows] > 0
    labels_R = data.labels_NL[rows, -1]
    labels_R = labels_R[labels_R >= 0]
    photos_R = np.bincount(labels_R)[labels_R]
    try:
        targets = choose_word_targets(NetworkConfig(heads=("leaf", "words"), word_targets="beyond-class"), data)
        beyond_class = float(count_targets(targets, data, rows[has_title_R]).mean())
    except BadOption:  # fewer than two words to predict
        beyond_class = 0.0
    return TitleFacts(
        float(has_title_R.mean()) if len(rows) else 0.0,
        beyond_class,
        int(np.median(photos_R)) if len(photos_R) else 0,
    )
