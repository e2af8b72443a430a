"""Photos depend on leaf, colour, pattern and seed, and are reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.demo.photos import COLOURS, PATTERNS, draw_photo, draw_product
from prodrec.demo.shapes import SHAPES
from prodrec.demo.titles import MATERIALS, TREE


def test_every_leaf_has_a_shape_and_every_root_materials() -> None:
    assert set(SHAPES) == set(TREE)
    assert {leaf.root for leaf in TREE.values()} == set(MATERIALS)


@pytest.mark.parametrize("leaf", SHAPES)
def test_photo_is_reproducible_and_depends_on_the_seed(leaf: str) -> None:
    first = draw_product(leaf, "red", "plain", size=48, seed=1)
    assert (first.size, first.mode) == ((48, 48), "RGB")
    assert first.tobytes() == draw_product(leaf, "red", "plain", size=48, seed=1).tobytes()
    assert first.tobytes() != draw_product(leaf, "red", "plain", size=48, seed=2).tobytes()


def test_the_place_of_the_product_is_known() -> None:
    """Two colours of one product differ there, and nowhere else: backgrounds have the same seed."""
    for seed in range(4):
        (red, place), (blue, same) = (
            draw_photo(SHAPES["Mugs"], c, "plain", size=64, seed=seed) for c in ("red", "blue")
        )
        assert place.tobytes() == same.tobytes()
        inside = np.asarray(place) == 255
        assert 0.05 < inside.mean() < 0.9 and set(np.unique(np.asarray(place))) == {0, 255}
        differs = (np.asarray(red, np.int16) - np.asarray(blue, np.int16))[..., 0] > 40
        assert differs[inside].mean() > 0.9 and differs[~inside].mean() < 0.05


def test_every_colour_and_pattern_gives_another_photo() -> None:
    photos = [draw_product("Mugs", colour, pattern, size=48, seed=5) for colour in COLOURS for pattern in PATTERNS]
    assert len({photo.tobytes() for photo in photos}) == len(COLOURS) * len(PATTERNS)
    red, blue = (np.asarray(draw_product("Mugs", c, "plain", size=48, seed=5), np.float32) for c in ("red", "blue"))
    assert (red - blue)[..., 0].max() > 80
    assert (blue - red)[..., 2].max() > 80
