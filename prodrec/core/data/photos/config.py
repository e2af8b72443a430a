"""Settings of the network's input: its size, the augmentation of training photos, and their normalisation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prodrec.core.base.config import check_ranges, setting

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PhotoConfig:
    """Input size, augmentation and normalisation. Paper S §4.2 trains with random crop, mirror and deformation.

    A value outside its range raises ValueError.
    """

    image_size: str = setting(
        "224", "input size of the network in pixels: a side (224), or height x width (96x80)", group="size"
    )
    crop_area: tuple[float, float] = setting(
        (0.35, 1.0), "random crop: smallest and largest share of the photo's area", group="augmentation"
    )
    crop_aspect: float = setting(
        1.33, "random crop: largest change of the aspect ratio, as a factor; 1 keeps it", group="augmentation", ge=1
    )
    mirror: bool = setting(True, "mirror half of the training photos left to right", group="augmentation")
    deform: float = setting(
        0.0,
        "random deformation: shear and rotation up to this many radians; 0 is off",
        group="augmentation",
        ge=0,
        lt=0.8,
    )
    colour_jitter: float = setting(
        0.0,
        "random brightness, contrast and saturation, each up to this share; 0 is off",
        group="augmentation",
        ge=0,
        lt=1,
    )
    rand_augment: float = setting(
        0.0,
        "strength of two random operations on every training photo (RandAugment, Cubuk et al. 2020: 9), up to 30; "
        "0 is off",
        group="augmentation",
        ge=0,
        le=30,
    )
    random_erasing: float = setting(
        0.0,
        "share of the training photos in which noise replaces a random rectangle (Zhong et al. 2020: 0.5); 0 is off",
        group="augmentation",
        ge=0,
        le=1,
    )
    views: int | None = setting(
        None,
        "number of different random views of a photo, which take turns; none makes a new view in every epoch",
        group="augmentation",
        ge=1,
    )
    mean: tuple[float, float, float] = setting(
        IMAGENET_MEAN, "mean of each channel (values 0-1), subtracted from photos", group="normalisation"
    )
    std: tuple[float, float, float] = setting(
        IMAGENET_STD,
        "standard deviation of each channel (values 0-1), by which photos are divided",
        group="normalisation",
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)?", self.image_size):
            raise ValueError(f"image_size={self.image_size} is neither a side (224) nor height x width (96x80).")
        low, high = self.crop_area
        if not 0 < low <= high <= 1:
            raise ValueError(f"crop_area={low},{high} must be two shares in (0, 1], the smaller first.")
        if min(self.std) <= 0:
            raise ValueError("std must be positive.")

    @property
    def height(self) -> int:
        """Height of the input in pixels."""
        return int(self.image_size.split("x")[0])

    @property
    def width(self) -> int:
        """Width of the input in pixels."""
        return int(self.image_size.split("x")[-1])


def format_size(height: int, width: int) -> str:
    """Return a size in pixels as the setting `image_size` accepts it: 224, or 96x80."""
    return str(height) if height == width else f"{height}x{width}"
