"""What the presets know before they choose: the dataset, the machine and the time; and what they have chosen.

This module does not import torch.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from prodrec.core.base.config import format_value
from prodrec.core.training.photo_cost import PhotoCost

if TYPE_CHECKING:
    from prodrec.core.training.state_memory import StateMemory
    from prodrec.models.families import Recipe


@dataclass(frozen=True)
class Budget:
    """The time of a training in minutes, and whether it is a limit that the user has set."""

    minutes: float
    is_limit: bool = False


@dataclass(frozen=True)
class Situation:
    """What the settings depend on.

    train_photos: number of training photos or feature vectors
    photo_size:   median height and width of the stored photos in pixels; None for feature vectors
    same_aspect:  whether nearly all photos have the same aspect ratio
    gpu:          whether a GPU trains
    weights_of:   the backbone whose weights the user has given, if it is known
    cores:        cores that a rank can use
    memory_bytes: free memory of a rank: of its GPU, or its share of the machine's
    ranks:        number of ranks, which divide every batch
    validation_photos: number of validation photos
    start_photos: number of training photos whose features would start the classifiers (`classifier_start`)
    """

    train_photos: int
    photo_size: tuple[int, int] | None
    same_aspect: bool
    gpu: bool
    weights_of: str | None = None
    cores: int = 2
    memory_bytes: int = 2**36
    ranks: int = 1
    validation_photos: int = 0
    start_photos: int = 0


class Machine(Protocol):
    """Determines the cost of a recipe on the dataset and this machine. All ranks must call its methods together."""

    def state_memory(self, recipe: Recipe) -> StateMemory:
        """Return the memory of the network and its optimizer, from shapes alone."""
        ...

    def photo_cost(self, recipe: Recipe) -> PhotoCost:
        """Return the measured cost of a photo. Both numbers are infinite if a few photos do not fit into memory."""
        ...


@dataclass(frozen=True)
class Choice:
    """A setting that the user did not choose, its value as `--set` accepts it, and the reason."""

    key: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}: {self.reason}"


class Chooser:
    """Sets settings of a recipe unless they are explicit, and keeps the reasons."""

    def __init__(self, recipe: Recipe, explicit: Collection[str]) -> None:
        self.papers_recipe = self.recipe = recipe
        self.explicit = explicit
        self.choices: list[Choice] = []

    def __call__(self, reason: str, **values: Any) -> None:
        """Set values. The reason of an earlier choice of the same setting is replaced."""
        texts = {key: f"{value:g}" if type(value) is float else format_value(value) for key, value in values.items()}
        free = {key: text for key, text in texts.items() if key not in self.explicit}
        self.recipe = self.recipe.with_settings(free, source="preset")
        self.choices = [choice for choice in self.choices if choice.key not in free]
        self.choices += [Choice(key, value, reason) for key, value in free.items()]

    def is_free(self, key: str) -> bool:
        """Return whether the user has not set `key`."""
        return key not in self.explicit
