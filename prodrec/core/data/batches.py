"""Batches of photos or feature vectors, titles and labels, made ready for a network.

Shapes: B batch, H height, W width, C=3 channels, D numbers of a vector, L levels, A attributes, T words of the longest
title.

What a photo looks like in an epoch depends only on (seed, epoch, row), and the order of the rows only on (seed, epoch):
any number of workers and any resumed run see the same batches.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from prodrec.core.base import dist
from prodrec.core.base.errors import BadPhoto, ProdrecError
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.data.photos.examine import PhotoRules, UnusablePhoto, open_upright, to_store

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.data.photos.store import PhotoStore


@dataclass
class Batch:
    """Rows of a dataset. Photos are uint8 as loaded, and float and normalised after `to_device`.

    inputs: what the network sees of every row, photos [B, C, H, W], or vectors [B, D] (float16 as loaded)
    whole: rows of the batch of all ranks, of which these are one rank's share; None where they are all. Means are over
    `in_all` rows, so that the losses of the ranks add up.
    """

    rows_B: Tensor
    inputs: Tensor
    labels_BL: Tensor
    attributes_BA: Tensor
    tokens_BT: Tensor
    whole: int | None = None

    def __len__(self) -> int:
        return len(self.rows_B)

    @property
    def in_all(self) -> int:
        return len(self) if self.whole is None else self.whole

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, from where it goes to a GPU while that computes; the loader calls this."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "whole"}
        return Batch(**{name: tensor.pin_memory() for name, tensor in tensors.items()}, whole=self.whole)

    def to_device(self, device: torch.device, photos: PhotoConfig, *, channels_last: bool = False) -> Batch:
        """The batch on `device`, inputs as float32, of photos with mean and spread of `photos` taken out."""
        asynchronous = device.type == "cuda"
        inputs = self.inputs.to(device, non_blocking=asynchronous).float()
        if inputs.ndim == 4:
            mean = torch.tensor(photos.mean, device=device).view(3, 1, 1) * 255
            std = torch.tensor(photos.std, device=device).view(3, 1, 1) * 255
            inputs = inputs.sub_(mean).div_(std)
            if channels_last:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
        return replace(
            self,
            inputs=inputs,
            labels_BL=self.labels_BL.to(device, non_blocking=asynchronous),
            attributes_BA=self.attributes_BA.to(device, non_blocking=asynchronous),
            tokens_BT=self.tokens_BT.to(device, non_blocking=asynchronous),
        )


class RowBatches(TorchDataset["Batch | ProdrecError"]):
    """Indexed by an array of rows; gives their Batch. Augments for training, else takes the photo as it is.

    Rows may show vectors in place of photos; those are never augmented. Raises BadArtefact where rows show nothing.
    An error of ours is given as a value, for `load` to raise: torch would carry it over from a worker as a traceback.
    """

    def __init__(self, dataset: Dataset, photos: PhotoConfig, *, augment: bool, seed: int = 0, epoch: int = 0) -> None:
        dataset.refuse_nothing()
        self.dataset = dataset
        self.photos = photos
        self.augment = augment
        self.seed = seed
        self.epoch = epoch

    def __getitem__(self, rows: NDArray[np.int64]) -> Batch | ProdrecError:
        try:
            return self.batch(rows)
        except ProdrecError as error:
            return error

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """The Batch of `rows`. Raises BadArtefact for a photo that cannot be read."""
        return Batch(
            rows_B=torch.from_numpy(rows.astype(np.int64)),
            inputs=self._inputs(rows),
            labels_BL=torch.from_numpy(self.dataset.labels_NL[rows].astype(np.int64)),
            attributes_BA=torch.from_numpy(self.dataset.attributes_NA[rows].astype(np.int64)),
            tokens_BT=torch.from_numpy(self.dataset.tokens.padded(rows)),
        )

    def _inputs(self, rows: NDArray[np.int64]) -> Tensor:
        if self.dataset.features_ND is not None:
            return torch.from_numpy(np.asarray(self.dataset.features_ND)[rows])
        assert self.dataset.photos is not None
        images_BCHW = torch.empty((len(rows), 3, self.photos.height, self.photos.width), dtype=torch.uint8)
        for i, row in enumerate(rows.tolist()):
            images_BCHW[i] = self._view(self._photo(self.dataset.photos, row), row)
        return images_BCHW

    def _photo(self, photos: PhotoStore, row: int) -> Tensor:
        """The photo of a row: uint8 [3, height, width]."""
        if not photos.all_jpeg:
            return torch.from_numpy(photos.decode(row))
        try:
            return torch.from_numpy(simplejpeg.decode_jpeg(photos.read(row), strict=False)).permute(2, 0, 1)
        except ValueError:
            return torch.from_numpy(photos.decode(row))  # slower, and it says what is wrong

    def _view(self, photo_CHW: Tensor, row: int) -> Tensor:
        if not self.augment:
            return whole_view(photo_CHW, self.photos)
        random = np.random.Generator(np.random.Philox(key=[self.seed, (self.epoch << 40) + row]))
        return random_view(photo_CHW, self.photos, random)


def read_photo(data: bytes, *, stored_side: int | None) -> Tensor:
    """A photo in no dataset, as `prepare --size` would store and training load it: uint8 [3, H, W].

    stored_side: pixels of the shorter side, None as `prepare --in-place` leaves it. Raises BadPhoto.
    """
    rules = PhotoRules(store=False) if stored_side is None else PhotoRules(size=stored_side)
    try:
        image, as_it_was = open_upright(data, pixel_limit=rules.pixel_limit)
    except UnusablePhoto as error:
        raise BadPhoto(f"the photo cannot be used: {error.reason}, {error}.") from error
    stored, _ = to_store(image, data if as_it_was else None, rules)
    if not rules.store:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    try:
        photo_HWC = simplejpeg.decode_jpeg(stored, strict=False)
    except ValueError:
        photo_HWC = np.array(image.convert("RGB"))
    return torch.from_numpy(photo_HWC).permute(2, 0, 1)


def whole_view(photo_CHW: Tensor, photos: PhotoConfig) -> Tensor:
    """The largest centred part with the aspect ratio of the input, resized: uint8 [3, H, W]."""
    rows, columns = seen_part(photo_CHW.shape[1:], photos)
    return _resize(photo_CHW[:, rows, columns], photos)


def seen_part(size: Sequence[int], photos: PhotoConfig) -> tuple[slice, slice]:
    """Rows and columns of the largest centred part of the input's aspect ratio; `size`: the photo (height, width)."""
    height, width = size
    aspect = photos.width / photos.height
    h, w = min(height, round(width / aspect)), min(width, round(height * aspect))
    top, left = (height - h) // 2, (width - w) // 2
    return slice(top, top + h), slice(left, left + w)


def random_view(photo_CHW: Tensor, photos: PhotoConfig, random: np.random.Generator) -> Tensor:
    """A random crop, mirrored and deformed at random (S §4.2), resized: uint8 [3, H, W]."""
    height, width = photo_CHW.shape[1:]
    h, w = _crop_size(height, width, photos, random)
    top, left = random.integers(0, height - h + 1), random.integers(0, width - w + 1)
    view = _resize(photo_CHW[:, top : top + h, left : left + w], photos)
    if photos.mirror and random.random() < 0.5:
        view = view.flip(-1)
    if photos.deform:
        view = _deform(view, photos.deform, random)
    if photos.colour_jitter:
        view = _jitter(view, photos.colour_jitter, random)
    return view


def _crop_size(height: int, width: int, photos: PhotoConfig, random: np.random.Generator) -> tuple[int, int]:
    area = height * width * random.uniform(*photos.crop_area)
    stretch = math.exp(random.uniform(-1, 1) * math.log(photos.crop_aspect))
    aspect = photos.width / photos.height * stretch
    return max(1, min(height, round(math.sqrt(area / aspect)))), max(1, min(width, round(math.sqrt(area * aspect))))


def _resize(photo_CHW: Tensor, photos: PhotoConfig) -> Tensor:
    size = (photos.height, photos.width)
    if tuple(photo_CHW.shape[1:]) == size:
        return photo_CHW
    resized_CHW: Tensor = F.interpolate(photo_CHW[None], size=size, mode="bilinear", antialias=True)[0]
    return resized_CHW


def _deform(photo_CHW: Tensor, largest: float, random: np.random.Generator) -> Tensor:
    """Rotate and shear by up to `largest` radians around the centre; what comes in from outside repeats the border."""
    turn, shear = random.uniform(-largest, largest, size=2)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    affine = rotation @ np.array([[1.0, math.tan(shear)], [0.0, 1.0]])
    theta = torch.tensor(np.column_stack([affine, [0.0, 0.0]])[None], dtype=torch.float32)
    grid = F.affine_grid(theta, [1, *photo_CHW.shape], align_corners=False)
    moved = F.grid_sample(photo_CHW[None].float(), grid, padding_mode="border", align_corners=False)
    return moved[0].round_().clamp_(0, 255).to(torch.uint8)


def _jitter(photo_CHW: Tensor, largest: float, random: np.random.Generator) -> Tensor:
    """Brightness, contrast and saturation, each times a factor in 1 ± `largest`."""
    brightness, contrast, saturation = 1 + random.uniform(-largest, largest, size=3)
    photo = photo_CHW.float() * brightness
    grey = photo.mean(0, keepdim=True)
    photo = grey + saturation * (photo - grey)
    mean = photo.mean()
    jittered: Tensor = mean + contrast * (photo - mean)
    return jittered.round_().clamp_(0, 255).to(torch.uint8)


def training_order(rows: NDArray[np.int64], *, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The rows of one epoch, shuffled and cut into batches whose sizes differ by one at most (none is left tiny)."""
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    return np.array_split(order, max(1, math.ceil(len(order) / batch_size)))


def own_shares(order: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """This rank's rows of every batch of `order`; shares differ by one row at most, and may be empty."""
    return [rows[dist.shard_slice(len(rows))] for rows in order]


def in_order(rows: NDArray[np.int64], *, batch_size: int) -> list[NDArray[np.int64]]:
    """The rows as they stand, cut into batches; the last one may be small."""
    return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]


def load(batches: RowBatches, order: Sequence[NDArray[np.int64]], *, workers: int) -> Iterator[Batch]:
    """The batches of `order`, made by `workers` processes beside this one (0: in this one). Raises BadArtefact."""
    loader: DataLoader[Batch | ProdrecError] = DataLoader(
        batches,
        sampler=order,  # a sampler of whole batches
        batch_size=None,
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_leave_ctrl_c_to_parent if workers else None,
        generator=torch.Generator(),  # otherwise every iterator draws from the global generator
    )
    for batch in loader:
        if isinstance(batch, ProdrecError):
            raise batch
        yield batch


def _leave_ctrl_c_to_parent(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # torchrun's signals go to a rank and all its children, which are not to die before it
    signal.signal(signal.SIGTERM, signal.SIG_DFL if dist.world_size() == 1 else signal.SIG_IGN)
