"""What the page gets from its caller beside the report: facts on the runs, and the photos of the dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RunFacts:
    """Facts on the run of one scores file.

    settings:    all settings of the run by name, as plain values.
    defaults:    the settings of the run's family without changes; empty if prodrec does not know the family.
    history:     the rows of history.csv; empty if the directory of the run was not found, or has none.
    directory:   the directory of the run; None if it was not found.
    temperature: by which `predict` divides the scores of this run; 1 if it does not, or the run was not found.
    made_by:     versions of the libraries that computed the scores, by name.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[dict[str, Any]] = ()
    directory: str | None = None
    temperature: float = 1.0
    made_by: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PhotoSource:
    """The photos of the dataset that was scored.

    read:       returns the photo of a row, uint8 [3, H, W].
    file_names: returns the names of the photos' files, by row.
    """

    read: Callable[[int], NDArray[np.uint8]]
    file_names: Callable[[Sequence[int]], Mapping[int, str]]


@dataclass(frozen=True)
class PageInputs:
    """All inputs of the page but the report and the scores.

    runs:          facts on the run of every scores file, in the order of the report's runs.
    photos:        None for a page without photos.
    dataset_facts: facts on the dataset, as (name, value); empty if it was not found.
    notes:         further notes, such as why there are no photos.
    """

    runs: Sequence[RunFacts]
    photos: PhotoSource | None = None
    dataset_facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
