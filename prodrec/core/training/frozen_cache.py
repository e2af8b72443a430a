"""Keeps the output of the frozen stages of a backbone on the disk while the stages after them are trained.

With a fixed number of views of every photo (the setting `views`), the frozen stages would compute the same values again
and again. The cache has the values of every view in float16, in one file of the run directory that is removed after
training. The system keeps the file in memory as far as there is room.

Shapes: V views, R training rows, B rows of a batch, D maps, h×w their height and width.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prodrec.core.base import console, dist
from prodrec.core.base.arrays import write_rows
from prodrec.core.base.errors import ProdrecError
from prodrec.core.data.batches import Batch, RowBatches, load_batches, sequential_order
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.fold_batch_norms import folded_batch_norms
from prodrec.core.training.photo_pairs import pairs_photos
from prodrec.core.training.train_state import TrainState

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

CACHE_FILE = "frozen.npy"
SHARE_OF_FREE_DISK = 0.5
"""Largest share of the free disk that the cache may take."""


class FrozenBatches(RowBatches):
    """RowBatches whose inputs are the cached output of the frozen stages, for the training rows.

    maps_VRDhw: float16, the values of epoch v of `RowBatches`
    """

    def __init__(
        self,
        source: RowBatches,
        rows_R: NDArray[np.int64],
        maps_VRDhw: NDArray[np.float16],
        stage: str,
    ) -> None:
        super().__init__(source.dataset, source.photos, augment=True, seed=source.seed, epoch=source.epoch)
        self.rows_R, self.maps_VRDhw, self.stage = rows_R, maps_VRDhw, stage

    def _inputs(self, rows: NDArray[np.int64]) -> Tensor:
        view = self.epoch % len(self.maps_VRDhw)
        return torch.from_numpy(self.maps_VRDhw[view, np.searchsorted(self.rows_R, rows)])


class FrozenCache:
    """The output of the frozen stages for the training rows of a dataset."""

    def __init__(self, path: Path, rows_R: NDArray[np.int64], stage: str) -> None:
        self.path, self.rows_R, self.stage = path, rows_R, stage
        maps_NDhw = np.load(path, mmap_mode="r")  # N = V · R: all rows in the first view, then in the second
        self.maps_VRDhw: NDArray[np.float16] = maps_NDhw.reshape(-1, len(rows_R), *maps_NDhw.shape[1:])

    def batches(self, source: RowBatches) -> FrozenBatches:
        """Return batches with the rows of `source`, and the cached values of its epoch."""
        return FrozenBatches(source, self.rows_R, self.maps_VRDhw, self.stage)


def can_cache(train_state: TrainState, photos: PhotoConfig) -> bool:
    """Return whether the settings allow a cache of the frozen stages."""
    config = train_state.config
    return (
        config.cache_frozen == "auto"
        and train_state.network.frozen_stage is not None
        and photos.views is not None
        and not pairs_photos(config)  # photos are in other pairs in every epoch
        and dist.world_size() == 1
    )


@contextmanager
def frozen_cache(
    run_path: Path, dataset: Dataset, photos: PhotoConfig, train_state: TrainState, *, epochs: int, workers: int
) -> Iterator[FrozenCache | None]:
    """Compute the cache, and remove its file at the end. Yield None if the settings or the disk do not allow a cache.

    epochs: number of epochs that remain; without more epochs than views, a cache saves nothing
    """
    stage, views = train_state.network.frozen_stage, photos.views
    if not can_cache(train_state, photos) or stage is None or views is None or epochs <= views:
        yield None
        return
    rows_R = dataset.rows("train")
    path = run_path / CACHE_FILE
    source = RowBatches(dataset, photos, augment=True, seed=train_state.config.seed)
    train_state.network.eval()
    first = frozen_maps(source.batch(rows_R[:1]), train_state, photos).cpu().numpy()
    needed, free = views * len(rows_R) * first[0].nbytes, shutil.disk_usage(run_path).free
    if needed > SHARE_OF_FREE_DISK * free:
        console.info(
            f"the output of the frozen stages would take {needed / 1e9:,.1f} GB of {free / 1e9:,.1f} GB free on the "
            "disk; it is computed in every step instead."
        )
        yield None
        return
    try:
        write_rows(path, _chunks(dataset, photos, train_state, rows_R, workers=workers), rows=views * len(rows_R))
        yield FrozenCache(path, rows_R, stage)
    finally:
        path.unlink(missing_ok=True)


def _chunks(
    dataset: Dataset, photos: PhotoConfig, train_state: TrainState, rows_R: NDArray[np.int64], *, workers: int
) -> Iterator[NDArray[np.float16]]:
    """Yield the output of the frozen stages for all rows in the first view, then in the second, and so on."""
    views = photos.views or 0
    order = sequential_order(rows_R, batch_size=train_state.config.batch_size)
    description = f"caching {views} views up to {train_state.network.frozen_stage}"
    with (
        folded_batch_norms(train_state.network),
        console.progress(description, total=views * len(rows_R), unit="photos") as advance,
    ):
        for view in range(views):
            source = RowBatches(dataset, photos, augment=True, seed=train_state.config.seed, epoch=view)
            for batch in load_batches(source, order, workers=workers):
                yield frozen_maps(batch, train_state, photos).cpu().numpy()
                advance(len(batch))


def frozen_maps(batch: Batch, train_state: TrainState, photos: PhotoConfig) -> Tensor:
    """Return the output of the frozen stages for a batch as it was loaded: float16 [B, D, h, w].

    The network must be in evaluation mode. Raise ProdrecError if float16 overflows.
    """
    batch = batch.to_device(train_state.device, photos, channels_last=train_state.precision.channels_last)
    with torch.inference_mode(), train_state.autocast():
        maps_BDhw = train_state.network.frozen_maps(batch.inputs).to(torch.float16)
    if not maps_BDhw.isfinite().all():
        raise ProdrecError(
            "the output of the frozen stages has values that float16 cannot represent; add --set cache_frozen=no."
        )
    return maps_BDhw.contiguous()
