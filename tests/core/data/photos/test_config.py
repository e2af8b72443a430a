"""Settings of photos: sizes, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from prodrec.core.data.photos.config import IMAGENET_MEAN, IMAGENET_STD, PhotoConfig


@pytest.mark.parametrize(
    ("size", "height", "width"), [("224", 224, 224), ("96x80", 96, 80), ("1x3000", 1, 3000), ("32", 32, 32)]
)
def test_height_comes_before_width(size: str, height: int, width: int) -> None:
    photos = PhotoConfig(image_size=size)
    assert (photos.height, photos.width) == (height, width)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("image_size", size)
            for size in ("", "0", "x", "96x", "x80", "96x0", "096", "-96", "96x80x3", "9 6", "96X80")
        ),
        *(("image_size", size) for size in ("224.0", "224\n", "２２４")),
        *(("crop_area", area) for area in ((0.0, 1.0), (0.9, 0.1), (0.5, 1.1), (-0.5, 0.5))),
        ("crop_aspect", 0.99),
        ("deform", -0.1),
        ("deform", 0.8),
        ("colour_jitter", 1.0),
        ("colour_jitter", -0.1),
        ("rand_augment", 31.0),
        ("random_erasing", 1.1),
        ("std", (0.2, 0.0, 0.2)),
        ("std", (0.2, 0.2, -1.0)),
    ],
)
def test_values_out_of_range_raise(key: str, value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        PhotoConfig(**{key: value})
    assert str(caught.value).startswith(key) and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("key", "value"),
    [("crop_area", (1.0, 1.0)), ("crop_aspect", 1.0), ("deform", 0.79), ("colour_jitter", 0.99), ("std", (1e-3,) * 3)],
)
def test_bounds_are_valid(key: str, value: Any) -> None:
    assert getattr(PhotoConfig(**{key: value}), key) == value


def test_the_defaults_are_those_of_pretrained_networks() -> None:
    assert (PhotoConfig().mean, PhotoConfig().std) == (IMAGENET_MEAN, IMAGENET_STD)
