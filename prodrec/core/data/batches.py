"""Batches of photos or feature vectors, with titles and labels, for a network.

An *order* is a list with the dataset rows of every batch. It depends only on (seed, epoch), and the view of a photo
only on (seed, epoch, row): any number of workers and a resumed run produce the same batches.

Shapes: B rows of a batch, H height and W width of the network's input, C=3 channels, D numbers of a feature vector,
L levels, A attributes, T words of the longest title in the batch.
"""

from __future__ import annotations

import functools
import math
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from prodrec.core.base import console, dist, memory
from prodrec.core.base.errors import ProdrecError
from prodrec.core.base.scoring_views import CENTRE, SCORING_VIEWS
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.data.photos.views import random_view, read_stored_photo, scoring_views

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

PREFETCHED = 2
"""Batches that every worker process loads in advance."""
FEW_PHOTOS = 64
"""Photos that are loaded sooner than a process starts, which takes a tenth of a second and as much processor time as
loading 300 photos of 64 pixels."""


@dataclass(frozen=True)
class Partners:
    """The second labels of photos in pairs, see `core/training/photo_pairs.py`.

    labels_BL, attributes_BA, tokens_BT: as in Batch, of the partner of each row
    own_share_B:                         λ, the share of the row's own labels in the loss; 1 − λ is that of these
    """

    labels_BL: Tensor
    attributes_BA: Tensor
    tokens_BT: Tensor
    own_share_B: Tensor


@dataclass
class Batch:
    """Rows of a dataset, as loaded on the CPU or ready for the network on its device.

    rows_B:        int64, rows of the dataset
    inputs:        photos uint8 [B, C, H, W], feature vectors float16 [B, D], or with `stage` feature maps float16
                   [B, D, h, w]; float32 after `to_device`. With V views of each photo [V·B, C, H, W]: first one view of
                   all photos, then the next
    labels_BL:     int64, the class at every level; -1 for a level below the end of the row's category path
    attributes_BA: int64, 0 for an absent attribute, else 1 + its state
    tokens_BT:     int64, word ids of the titles, padded with 0
    global_size:   rows of the batch over all ranks, where this Batch is the shard of one rank. Losses are divided by
                   it, so the losses of the ranks sum to the mean. It counts rows without a label too. It defaults to
                   the number of rows here.
    stage:         the stage of the backbone whose output `inputs` are; None for photos and feature vectors
    progress:      share of the steps of the training that are completed when the batch is used, 0 to 1. It is 0 for a
                   batch that no training uses.
    partners:      second labels, if the photos are in pairs; None for photos as they are
    """

    rows_B: Tensor
    inputs: Tensor
    labels_BL: Tensor
    attributes_BA: Tensor
    tokens_BT: Tensor
    global_size: int = 0
    stage: str | None = None
    progress: float = 0.0
    partners: Partners | None = None

    def __post_init__(self) -> None:
        self.global_size = self.global_size or len(self)

    def __len__(self) -> int:
        return len(self.rows_B)

    @property
    def views(self) -> int:
        """V, the number of views of every photo."""
        return max(1, len(self.inputs) // max(1, len(self)))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory, for asynchronous copies to a GPU. The DataLoader calls this."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {name: value.pin_memory() for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **values)

    def to_device(
        self, device: torch.device, photos: PhotoConfig, *, channels_last: bool = False, normalise: bool = True
    ) -> Batch:
        """Return the batch on `device` with float32 inputs. Photos are normalised by the mean and std of `photos`.

        normalise: False leaves the inputs as they are
        """
        asynchronous = device.type == "cuda"
        inputs = self.inputs.to(device, non_blocking=asynchronous)
        inputs = inputs.float() if normalise else inputs
        if normalise and inputs.ndim == 4 and self.stage is None:
            mean = torch.tensor(photos.mean, device=device).view(3, 1, 1) * 255
            std = torch.tensor(photos.std, device=device).view(3, 1, 1) * 255
            inputs = inputs.sub_(mean).div_(std)
        if normalise and inputs.ndim == 4 and channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return replace(
            self,
            inputs=inputs,
            labels_BL=self.labels_BL.to(device, non_blocking=asynchronous),
            attributes_BA=self.attributes_BA.to(device, non_blocking=asynchronous),
            tokens_BT=self.tokens_BT.to(device, non_blocking=asynchronous),
        )


class RowBatches(TorchDataset["Batch | ProdrecError"]):
    """A map-style dataset whose index is an array of rows and whose item is the Batch of these rows.

    With `augment`, every photo is a random view that depends on (seed, epoch, row); otherwise it has the views that
    `scoring_views` makes, by default the centre view. With the setting `views`, epoch e has the views of epoch e modulo
    `views`. Feature vectors are never augmented and have one view. A dataset with neither photos nor vectors raises
    BadArtefact.

    views: one of SCORING_VIEWS

    An item may be a ProdrecError, which `load_batches` raises: an error raised in a worker process would reach the
    user as a traceback.
    """

    def __init__(
        self,
        dataset: Dataset,
        photos: PhotoConfig,
        *,
        augment: bool,
        seed: int = 0,
        epoch: int = 0,
        views: str = CENTRE,
    ) -> None:
        dataset.require_inputs()
        self.dataset = dataset
        self.photos = photos
        self.augment = augment
        self.seed = seed
        self.epoch = epoch
        self.views = views

    def __getitem__(self, rows: NDArray[np.int64]) -> Batch | ProdrecError:
        try:
            return self.batch(rows)
        except ProdrecError as error:
            return error

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return the Batch of `rows`. Raise BadArtefact if a photo cannot be read."""
        return Batch(
            rows_B=torch.from_numpy(rows.astype(np.int64)),
            inputs=self._inputs(rows),
            labels_BL=torch.from_numpy(self.dataset.labels_NL[rows].astype(np.int64)),
            attributes_BA=torch.from_numpy(self.dataset.attributes_NA[rows].astype(np.int64)),
            tokens_BT=torch.from_numpy(self.dataset.tokens.padded(rows)),
        )

    @property
    def bytes_per_row(self) -> int:
        """The bytes of the inputs of a row in a batch, without its title."""
        if self.dataset.features_ND is not None:
            return 2 * int(self.dataset.features_ND.shape[1])
        return (1 if self.augment else SCORING_VIEWS[self.views]) * 3 * self.photos.height * self.photos.width

    def _inputs(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the feature vectors or the photos of `rows`."""
        if self.dataset.features_ND is not None:
            return torch.from_numpy(np.asarray(self.dataset.features_ND)[rows])
        assert self.dataset.photos is not None
        views = 1 if self.augment else SCORING_VIEWS[self.views]
        images_VBCHW = torch.empty((views, len(rows), 3, self.photos.height, self.photos.width), dtype=torch.uint8)
        for i, row in enumerate(rows.tolist()):
            for view, view_CHW in enumerate(self._views(read_stored_photo(self.dataset.photos, row), row)):
                images_VBCHW[view, i] = view_CHW
        return images_VBCHW.flatten(0, 1)

    def _views(self, photo_CHW: Tensor, row: int) -> list[Tensor]:
        """Return the views that are scored, or with `augment` the random view of this row and epoch."""
        if not self.augment:
            return scoring_views(photo_CHW, self.photos, self.views)
        epoch = self.epoch if self.photos.views is None else self.epoch % self.photos.views
        random = np.random.Generator(np.random.Philox(key=[self.seed, (epoch << 40) + row]))
        return [random_view(photo_CHW, self.photos, random)]


def order_of(rows: NDArray[np.int64], *, batch_size: int) -> list[NDArray[np.int64]]:
    """Return `rows` in their order, in batches whose sizes differ by at most one.

    Equal sizes avoid a tiny last batch.
    """
    return np.array_split(rows, max(1, math.ceil(len(rows) / batch_size)))


def shuffled_order(rows: NDArray[np.int64], *, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Return the order of a training epoch: `rows` shuffled, in batches of `order_of`."""
    return order_of(np.random.default_rng([seed, epoch]).permutation(rows), batch_size=batch_size)


def sequential_order(rows: NDArray[np.int64], *, batch_size: int) -> list[NDArray[np.int64]]:
    """Return `rows` in batches of `batch_size` without shuffling. The last batch may be smaller."""
    return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]


def local_shards(order: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return this rank's rows of every batch. The shards of a batch differ by at most one row and may be empty."""
    return [rows[dist.shard_slice(len(rows))] for rows in order]


def load_batches(source: RowBatches, order: Sequence[NDArray[np.int64]], *, workers: int) -> Iterator[Batch]:
    """Yield the batches of `order`, loaded by `workers` processes.

    This process loads them if `workers` is 0, for FEW_PHOTOS, and if shared memory has no room for the batches.

    Raise BadArtefact for a photo that cannot be read.
    """
    workers = workers if sum(map(len, order)) > FEW_PHOTOS else 0
    if workers and not _fits_shared_memory(source, order[0], workers=workers):
        workers = 0
    loader: DataLoader[Batch | ProdrecError] = DataLoader(
        source,
        sampler=order,  # each sample is a whole batch
        batch_size=None,
        num_workers=workers,
        prefetch_factor=PREFETCHED if workers else None,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_leave_signals_to_parent if workers else None,
        generator=torch.Generator(),  # otherwise every iterator draws from the global generator
    )
    for batch in loader:
        if isinstance(batch, ProdrecError):
            raise batch
        yield batch


def _fits_shared_memory(source: RowBatches, rows: NDArray[np.int64], *, workers: int) -> bool:
    """Return whether worker processes can hand over their batches. Print a remark if they cannot.

    They hand them over in shared memory, of which a container of Docker has 64 MB. Where it is full, PyTorch waits for
    ever.
    """
    free = memory.shared_available()
    if free is None:
        return True
    needed = (1 + PREFETCHED * workers) * len(rows) * source.bytes_per_row
    if needed <= free:
        return True
    _report_small_shared_memory(memory.format_bytes(free), memory.format_bytes(needed))
    return False


@functools.cache  # once, although every epoch starts processes
def _report_small_shared_memory(free: str, needed: str) -> None:
    console.info(
        f"{memory.SHARED} has {free} free, and processes that load photos need {needed}; this process loads them. In "
        "Docker, --shm-size=2g gives more."
    )


def _leave_signals_to_parent(_: int) -> None:
    """Ignore SIGINT in a worker process, and SIGTERM too if there are several ranks; the rank stops its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # torchrun signals a rank and all its children; the children must not end before the rank
    signal.signal(signal.SIGTERM, signal.SIG_DFL if dist.world_size() == 1 else signal.SIG_IGN)
