"""Views of photos: the centre crop, and each random augmentation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.data.photos.views import _random_crop_size, centre_view, random_view, scoring_views

PHOTOS = PhotoConfig(image_size="24x18")


def test_a_photo_of_the_right_size_is_unchanged_and_others_are_cropped_in_the_centre():
    exact = torch.randint(0, 256, (3, 24, 18), dtype=torch.uint8)
    assert torch.equal(centre_view(exact, PHOTOS), exact)
    wide = torch.zeros((3, 24, 60), dtype=torch.uint8)
    wide[:, :, 21:39] = 200
    assert (centre_view(wide, PHOTOS) == 200).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"crop_area": (1.0, 1.0), "crop_aspect": 1.0, "mirror": True},
        {"crop_area": (0.5, 0.5), "mirror": False},
        {"deform": 0.3},
        {"colour_jitter": 0.4},
        {"rand_augment": 9.0},
        {"random_erasing": 1.0},
    ],
)
def test_each_augmentation_changes_photos_and_keeps_their_shape(settings):
    photos = PhotoConfig(
        image_size="24x18", **{"crop_area": (1.0, 1.0), "crop_aspect": 1.0, "mirror": False, **settings}
    )
    photo = torch.randint(0, 256, (3, 24, 18), dtype=torch.uint8)
    views = [random_view(photo, photos, np.random.default_rng(i)) for i in range(8)]
    assert all(view.shape == photo.shape and view.dtype == torch.uint8 for view in views)
    assert any(not torch.equal(view, photo) for view in views)


def test_without_augmentation_a_photo_is_unchanged():
    photos = PhotoConfig(image_size="24x18", crop_area=(1.0, 1.0), crop_aspect=1.0, mirror=False)
    photo = torch.randint(0, 256, (3, 24, 18), dtype=torch.uint8)
    assert all(torch.equal(random_view(photo, photos, np.random.default_rng(i)), photo) for i in range(5))


@pytest.mark.parametrize(("height", "width"), [(60, 80), (80, 60), (30, 90)])
def test_a_crop_whose_aspect_may_not_change_is_not_squashed(height, width):
    photos = PhotoConfig(image_size="48", crop_area=(0.6, 1.0), crop_aspect=1.0)
    sizes = [_random_crop_size(height, width, photos, np.random.default_rng(i)) for i in range(50)]
    assert all(abs(h - w) <= 1 and 1 <= h <= height and 1 <= w <= width for h, w in sizes)


def test_random_crops_keep_the_set_share_of_the_area():
    photos = PhotoConfig(image_size="32", crop_area=(0.25, 0.25), crop_aspect=1.0, mirror=False)
    ramp = torch.arange(64, dtype=torch.uint8).repeat(3, 64, 1)  # the values range over the width of a crop
    widths = []
    for i in range(20):
        view = random_view(ramp, photos, np.random.default_rng(i)).float()
        widths.append(float(view.max() - view.min()))
    assert all(width == pytest.approx(31, abs=1.5) for width in widths)


def test_random_erasing_replaces_one_rectangle_of_some_photos():
    photos = PhotoConfig(image_size="40x30", crop_area=(1.0, 1.0), crop_aspect=1.0, mirror=False, random_erasing=0.3)
    photo, erased = torch.zeros((3, 40, 30), dtype=torch.uint8), 0
    for i in range(400):
        changed = random_view(photo, photos, np.random.default_rng(i)).any(0)  # noise is rarely 0 in all channels
        rows, columns = (changed.any(side).nonzero().squeeze(1) for side in (1, 0))
        if not len(rows):
            continue
        erased += 1
        height, width = len(rows), len(columns)
        assert int(rows[-1] - rows[0]) + 1 == height and int(columns[-1] - columns[0]) + 1 == width
        assert changed.sum() >= height * width - 1
        assert 0.02 * 1200 * 0.8 <= height * width <= 0.4 * 1200 * 1.2 and 0.25 <= height / width <= 4
    assert erased / 400 == pytest.approx(0.3, abs=0.06)
    assert not photo.any()


def test_views_that_are_scored_together():
    photo = torch.randint(0, 256, (3, 32, 40), dtype=torch.uint8)
    centre = centre_view(photo, PHOTOS)
    assert [torch.equal(view, centre) for view in scoring_views(photo, PHOTOS, "centre")] == [True]
    straight, mirrored = scoring_views(photo, PHOTOS, "flip")
    assert torch.equal(straight, centre) and torch.equal(mirrored, centre.flip(-1))


def test_five_crops_lie_in_the_corners_and_the_centre():
    """The largest crop of a photo of 32 x 40 is 32 x 24; 7/8 of it are 28 x 21."""
    photo = torch.randint(0, 256, (3, 32, 40), dtype=torch.uint8)
    exact = PhotoConfig(image_size="28x21")
    crops = scoring_views(photo, exact, "five-crop")
    corners = [(0, 0), (0, 19), (4, 0), (4, 19), (2, 9)]
    assert len(crops) == 5
    for crop, (top, left) in zip(crops, corners, strict=True):
        assert torch.equal(crop, photo[:, top : top + 28, left : left + 21])
    assert all(crop.shape == (3, 24, 18) for crop in scoring_views(photo, PHOTOS, "five-crop"))
    assert all(crop.shape == (3, 24, 18) for crop in scoring_views(photo[:, :1, :1], PHOTOS, "five-crop"))
