"""RandAugment: some random operations of one strength (Cubuk et al. 2020, "RandAugment: practical automated data
augmentation with a reduced search space").

The operations and their largest strengths are those of the paper, with the same number of operations for every photo.
The operations themselves are torchvision's; all random numbers come from the caller.

Shapes: C=3 channels, H height and W width of a view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

OPERATIONS_PER_PHOTO = 2
"""N of the paper on ImageNet."""
LARGEST_MAGNITUDE = 30.0
GREY = 128.0
"""Colour of uncovered corners, as in the paper."""


def rand_augment(view_CHW: Tensor, magnitude: float, random: np.random.Generator) -> Tensor:
    """Return a view after random operations: uint8 [3, H, W].

    magnitude: M of the paper, in (0, LARGEST_MAGNITUDE]
    """
    from torchvision.transforms.v2 import functional

    for _ in range(OPERATIONS_PER_PHOTO):
        name = OPERATIONS[int(random.integers(len(OPERATIONS)))]
        sign = 1.0 if random.random() < 0.5 else -1.0
        view_CHW = apply_operation(functional, name, view_CHW, magnitude / LARGEST_MAGNITUDE, sign)
    return view_CHW


def apply_operation(functional: Any, name: str, view_CHW: Tensor, strength: float, sign: float) -> Tensor:
    """Return the view after one operation: uint8 [3, H, W].

    functional: torchvision.transforms.v2.functional
    strength:   share of the largest change, 0 to 1
    sign:       direction of the change, 1 or -1, for operations that have two
    """
    change: Callable[..., Tensor] = _CHANGES[name]
    return change(functional, view_CHW, strength, sign * strength)


def _affine(
    f: Any,
    view_CHW: Tensor,
    *,
    degrees: float = 0.0,
    right: float = 0.0,
    down: float = 0.0,
    shear_x: float = 0.0,
    shear_y: float = 0.0,
) -> Tensor:
    """Rotate, move (in shares of the sides) and shear (in degrees) around the centre."""
    height, width = view_CHW.shape[1:]
    moved: Tensor = f.affine(
        view_CHW,
        angle=degrees,
        translate=[round(right * width), round(down * height)],
        scale=1.0,
        shear=[shear_x, shear_y],
        interpolation=f.InterpolationMode.BILINEAR,
        fill=[GREY] * 3,
    )
    return moved


SHEAR_DEGREES = 16.7
"""Arcus tangent of 0.3, the largest shear of the paper."""
MOVE = 150 / 331
"""Largest move as a share of the side: 150 pixels of 331 in the paper."""
DEGREES = 30.0
COLOUR = 0.9
"""Largest change of a factor of brightness, colour, contrast or sharpness."""
POSTERIZE_BITS = 4
"""Most bits of 8 that are removed."""

_CHANGES: dict[str, Callable[..., Any]] = {  # of torchvision's functions, view, strength and signed strength
    "identity": lambda f, view, s, signed: view,
    "shear_x": lambda f, view, s, signed: _affine(f, view, shear_x=signed * SHEAR_DEGREES),
    "shear_y": lambda f, view, s, signed: _affine(f, view, shear_y=signed * SHEAR_DEGREES),
    "translate_x": lambda f, view, s, signed: _affine(f, view, right=signed * MOVE),
    "translate_y": lambda f, view, s, signed: _affine(f, view, down=signed * MOVE),
    "rotate": lambda f, view, s, signed: _affine(f, view, degrees=signed * DEGREES),
    "brightness": lambda f, view, s, signed: f.adjust_brightness(view, 1 + COLOUR * signed),
    "colour": lambda f, view, s, signed: f.adjust_saturation(view, 1 + COLOUR * signed),
    "contrast": lambda f, view, s, signed: f.adjust_contrast(view, 1 + COLOUR * signed),
    "sharpness": lambda f, view, s, signed: f.adjust_sharpness(view, 1 + COLOUR * signed),
    "posterize": lambda f, view, s, signed: f.posterize(view, 8 - round(POSTERIZE_BITS * s)),
    "solarize": lambda f, view, s, signed: f.solarize(view, 255.0 * (1 - s)),
    "auto_contrast": lambda f, view, s, signed: f.autocontrast(view),
    "equalize": lambda f, view, s, signed: f.equalize(view),
}
OPERATIONS = tuple(_CHANGES)
"""Names of the operations, in the order in which a random number chooses them."""
