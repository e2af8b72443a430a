"""Photos as tensors: read, then cropped and resized to the network's input, with random augmentation for training.

Shapes: C=3 channels, H height and W width of a photo or of a view.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from torch import Tensor

from prodrec.core.base.errors import BadPhoto
from prodrec.core.base.scoring_views import CENTRE
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.data.photos.examine import PhotoRules, encode_for_store
from prodrec.core.data.photos.rand_augment import rand_augment
from prodrec.core.data.photos.upright import PhotoRejected, crop_shares, open_upright

if TYPE_CHECKING:
    from prodrec.core.data.photos.store import PhotoStore


# --- reading


def read_stored_photo(store: PhotoStore, row: int) -> Tensor:
    """Return the photo of dataset row `row`: uint8 [3, H, W]. Raise BadArtefact if it cannot be decoded."""
    photo_CHW = _decode_jpeg(store.read(row)) if store.all_jpeg else None
    return torch.from_numpy(store.decode(row)) if photo_CHW is None else photo_CHW


def read_photo(
    data: bytes,
    *,
    stored_side: int | None,
    box: tuple[float, float, float, float] | None = None,
    pixel_limit: int = PhotoRules.pixel_limit,
) -> Tensor:
    """Decode a photo from outside the dataset to the pixels that `prepare` would store: uint8 [3, H, W].

    stored_side: short side in pixels that `prepare --size` stores; None for a dataset prepared with --in-place
    box:         the part of the photo to read, see `crop_shares`
    pixel_limit: photos with more pixels are rejected before they are decoded

    Raise BadPhoto.
    """
    return read_photo_and_bytes(data, stored_side=stored_side, box=box, pixel_limit=pixel_limit)[0]


def read_photo_and_bytes(
    data: bytes,
    *,
    stored_side: int | None,
    box: tuple[float, float, float, float] | None = None,
    pixel_limit: int = PhotoRules.pixel_limit,
) -> tuple[Tensor, bytes]:
    """Return what `read_photo` returns, and the bytes that `prepare` would store; in place, `data` itself."""
    rules = PhotoRules(store=False) if stored_side is None else PhotoRules(size=stored_side)
    try:
        image, is_plain_jpeg = open_upright(data, pixel_limit=pixel_limit)
        if box is not None:
            image, is_plain_jpeg = crop_shares(image, box), False
        encoded, _ = encode_for_store(image, data if is_plain_jpeg else None, rules)
    except PhotoRejected as error:
        raise BadPhoto(f"the photo cannot be used: {error.reason}, {error}.") from error
    photo_CHW = _decode_jpeg(encoded) if rules.store else None
    if photo_CHW is None:
        photo_CHW = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    return photo_CHW, encoded or data


def encode_photo(
    data: bytes, *, short_side: int, box: tuple[float, float, float, float] | None = None, pixel_limit: int
) -> bytes:
    """Return a photo, or the part of it in a box, as an upright JPEG without metadata. Raise BadPhoto."""
    try:
        image, _ = open_upright(data, pixel_limit=pixel_limit)
        image = image if box is None else crop_shares(image, box)
        return encode_for_store(image, None, PhotoRules(size=short_side))[0]
    except PhotoRejected as error:
        raise BadPhoto(f"the photo cannot be used: {error.reason}, {error}.") from error


def _decode_jpeg(data: bytes) -> Tensor | None:
    """Return a JPEG as uint8 [3, H, W], or None if the fast decoder refuses it; Pillow may still decode it."""
    try:
        return torch.from_numpy(simplejpeg.decode_jpeg(data, strict=False)).permute(2, 0, 1)
    except ValueError:
        return None


# --- the view without augmentation


def centre_view(photo_CHW: Tensor, photos: PhotoConfig) -> Tensor:
    """Return the centre crop, resized to the network's input: uint8 [3, H, W]."""
    rows, columns = centre_crop(photo_CHW.shape[1:], photos)
    return _resize(photo_CHW[:, rows, columns], photos)


def centre_crop(size: Sequence[int], photos: PhotoConfig) -> tuple[slice, slice]:
    """Return the rows and columns of the largest centred crop with the aspect ratio of the network's input.

    size: height and width of the photo in pixels
    """
    height, width = size
    aspect = photos.width / photos.height
    h, w = min(height, round(width / aspect)), min(width, round(height * aspect))
    top, left = (height - h) // 2, (width - w) // 2
    return slice(top, top + h), slice(left, left + w)


# --- several views without augmentation

FIVE_CROP_SIDE = 224 / 256
"""Side of a crop as a share of the largest crop's (Krizhevsky et al. 2012, "ImageNet classification with deep
convolutional neural networks", §4.1: crops of 224 pixels out of 256)."""


def scoring_views(photo_CHW: Tensor, photos: PhotoConfig, views: str) -> list[Tensor]:
    """Return the views of a photo that are scored together, one of SCORING_VIEWS: uint8 [3, H, W] each.

    centre:    the centre crop
    flip:      the centre crop, and its mirror image
    five-crop: smaller crops in the four corners of the photo and in its centre (Krizhevsky et al. 2012, §4.1, without
               the mirror images)
    """
    if views != "five-crop":
        view_CHW = centre_view(photo_CHW, photos)
        return [view_CHW] if views == CENTRE else [view_CHW, view_CHW.flip(-1)]
    height, width = photo_CHW.shape[1:]
    rows, columns = centre_crop((height, width), photos)
    h, w = (max(1, round(FIVE_CROP_SIDE * (side.stop - side.start))) for side in (rows, columns))
    bottom, right = height - h, width - w
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    return [_resize(photo_CHW[:, top : top + h, left : left + w], photos) for top, left in corners]


# --- augmentation, paper S §4.2: random crop, mirror and deformation


def random_view(photo_CHW: Tensor, photos: PhotoConfig, random: np.random.Generator) -> Tensor:
    """Return a random crop, resized to the network's input and augmented as `photos` sets: uint8 [3, H, W]."""
    height, width = photo_CHW.shape[1:]
    h, w = _random_crop_size(height, width, photos, random)
    top, left = random.integers(0, height - h + 1), random.integers(0, width - w + 1)
    view_CHW = _resize(photo_CHW[:, top : top + h, left : left + w], photos)
    if photos.mirror and random.random() < 0.5:
        view_CHW = view_CHW.flip(-1)
    if photos.deform:
        view_CHW = _deform(view_CHW, photos.deform, random)
    if photos.colour_jitter:
        view_CHW = _jitter(view_CHW, photos.colour_jitter, random)
    if photos.rand_augment:
        view_CHW = rand_augment(view_CHW, photos.rand_augment, random)
    if photos.random_erasing and random.random() < photos.random_erasing:
        view_CHW = _erase(view_CHW, random)
    return view_CHW


def _random_crop_size(height: int, width: int, photos: PhotoConfig, random: np.random.Generator) -> tuple[int, int]:
    """Return height and width of a crop, with random area and aspect ratio as `photos` sets.

    A crop that is higher or wider than the photo is made smaller and keeps its aspect ratio.
    """
    area = height * width * random.uniform(*photos.crop_area)
    stretch = math.exp(random.uniform(-1, 1) * math.log(photos.crop_aspect))
    aspect = photos.width / photos.height * stretch
    h, w = math.sqrt(area / aspect), math.sqrt(area * aspect)
    shrink = min(1.0, height / h, width / w)
    return max(1, round(shrink * h)), max(1, round(shrink * w))


def _resize(photo_CHW: Tensor, photos: PhotoConfig) -> Tensor:
    """Return the photo in the size of the network's input."""
    size = (photos.height, photos.width)
    if tuple(photo_CHW.shape[1:]) == size:
        return photo_CHW
    resized_CHW: Tensor = F.interpolate(photo_CHW[None], size=size, mode="bilinear", antialias=True)[0]
    return resized_CHW


def _deform(view_CHW: Tensor, max_radians: float, random: np.random.Generator) -> Tensor:
    """Rotate and shear around the centre by up to `max_radians` each; border pixels fill the uncovered corners."""
    turn, shear = random.uniform(-max_radians, max_radians, size=2)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    affine = rotation @ np.array([[1.0, math.tan(shear)], [0.0, 1.0]])
    theta = torch.tensor(np.column_stack([affine, [0.0, 0.0]])[None], dtype=torch.float32)
    grid = F.affine_grid(theta, [1, *view_CHW.shape], align_corners=False)
    deformed = F.grid_sample(view_CHW[None].float(), grid, padding_mode="border", align_corners=False)
    return deformed[0].round_().clamp_(0, 255).to(torch.uint8)


def _jitter(view_CHW: Tensor, max_change: float, random: np.random.Generator) -> Tensor:
    """Multiply brightness, contrast and saturation, each by a random factor in 1 ± `max_change`."""
    brightness, contrast, saturation = 1 + random.uniform(-max_change, max_change, size=3)
    bright_CHW = view_CHW.float() * brightness
    grey = bright_CHW.mean(0, keepdim=True)
    saturated_CHW = grey + saturation * (bright_CHW - grey)
    mean = saturated_CHW.mean()
    jittered_CHW: Tensor = mean + contrast * (saturated_CHW - mean)
    return jittered_CHW.round_().clamp_(0, 255).to(torch.uint8)


ERASED_AREA = (0.02, 0.4)
"""Smallest and largest share of the area that random erasing replaces, as in Zhong et al. 2020."""
ERASED_ASPECT = 0.3
"""Smallest aspect ratio of the erased rectangle; the largest is its inverse, as there."""
ERASING_TRIES = 100
"""Draws of a rectangle until one fits into the view; the paper draws without a limit."""


def _erase(view_CHW: Tensor, random: np.random.Generator) -> Tensor:
    """Replace a random rectangle by uniform noise (random erasing, Zhong et al. 2020, algorithm 1)."""
    height, width = view_CHW.shape[1:]
    for _ in range(ERASING_TRIES):
        area = height * width * random.uniform(*ERASED_AREA)
        aspect = random.uniform(ERASED_ASPECT, 1 / ERASED_ASPECT)
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < h < height and 0 < w < width:
            top, left = random.integers(0, height - h + 1), random.integers(0, width - w + 1)
            erased_CHW = view_CHW.clone()
            noise_Chw = torch.from_numpy(random.integers(0, 256, (len(view_CHW), h, w), dtype=np.uint8))
            erased_CHW[:, top : top + h, left : left + w] = noise_Chw
            return erased_CHW
    return view_CHW
