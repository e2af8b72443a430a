"""The options of a gallery, and the photos that it contains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.errors import BadOption, did_you_mean

ONLY = ("all", "errors", "right")
SORTS = ("random", "confident", "unsure")


@dataclass(frozen=True)
class GalleryOptions:
    """The photos to select. Raise BadOption for an unknown choice or a negative seed.

    level:      the level to evaluate; None for the deepest scored level.
    only:       "all", "errors" or "right": the photos to select from.
    sort:       "random", "confident" or "unsure"; None for "confident" if `only` is "errors", else "random".
    leaf, root: names of the true leaf and the true root (class of the shallowest level); None for all.
    count:      largest number of photos.
    seed:       seed of the random order.
    """

    split: str = "test"
    level: str | None = None
    only: str = "all"
    sort: str | None = None
    leaf: str | None = None
    root: str | None = None
    count: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("split", SPLITS), ("only", ONLY), ("sort", SORTS)):
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise BadOption(
                    f"--{name} {value}: expected one of {', '.join(choices)}{did_you_mean(value, choices)}."
                )
        if self.seed < 0:
            raise BadOption(f"--seed {self.seed}: expected a number from 0.")

    @property
    def order(self) -> str:
        """The sort, with its default resolved."""
        return self.sort or ("confident" if self.only == "errors" else "random")


@dataclass(frozen=True)
class GalleryPhoto:
    """A photo with its predicted and true class.

    confidence: probability of the predicted class.
    true_level: the deepest level at which the photo has a label, if that is above the evaluated level. `true_class` is
                then the class of this level. Otherwise None.
    """

    row: int
    id: str
    predicted_class: str
    true_class: str
    confidence: float
    true_level: str | None = None

    @property
    def correct(self) -> bool | None:
        """Whether the predicted class is the true one; None if the photo has no label at the evaluated level."""
        return None if self.true_level is not None else self.predicted_class == self.true_class


@dataclass(frozen=True)
class Gallery:
    """The selected photos in display order.

    images, errors: number of all photos of the split and class with a label at the level, and of the wrong ones among
                    them.
    without_label:  number of photos of the split and class without a label at the level.
    top_k:          number of stored scores per photo if a top-k file lacks some; the probabilities of the stored
                    classes then sum to 1. None if all classes have scores.
    """

    run: str
    level: str
    options: GalleryOptions
    images: int
    errors: int
    top_k: int | None
    photos: list[GalleryPhoto] = field(default_factory=list)
    without_label: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "run": self.run,
            "split": self.options.split,
            "level": self.level,
            "only": self.options.only,
            "sort": self.options.order,
            "images": self.images,
            "errors": self.errors,
            **({"without_label": self.without_label} if self.without_label else {}),
            "top_k": self.top_k,
            "photos": [
                {
                    "row": photo.row,
                    "id": photo.id,
                    "predicted": photo.predicted_class,
                    "true": photo.true_class,
                    **({"true_level": photo.true_level} if photo.true_level is not None else {}),
                    "confidence": photo.confidence,
                    "right": photo.correct,
                }
                for photo in self.photos
            ],
        }
