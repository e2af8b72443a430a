"""Run a finished network over rows of a dataset, and write the inputs of its deepest classifier to a file.

Shapes: N photos, B of a batch, V views, D numbers of a feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console, dist
from prodrec.core.base.arrays import write_rows
from prodrec.core.base.turns import gather_in_turn

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.core.data.batches import Batch


class FeatureNetwork(Protocol):
    """A network in evaluation mode; `classifier_inputs` returns the inputs of the deepest level's classifier, B×D."""

    def features(self, batch: Batch) -> Any: ...
    def classifier_inputs(self, features: Any) -> Tensor: ...


def write_frozen_features(
    path: Path,
    network: FeatureNetwork,
    batches: Iterable[Batch],
    *,
    own_batches: int,
    photos: int,
    mirror: bool,
    autocast: AbstractContextManager[Any],
) -> None:
    """Write the features of `photos` photos to the `.npy` file at `path`: float32 [N, V, D], in the order of the rows.

    batches, own_batches: as `prodrec.inference.score.rank_batches` returns them, on the device
    mirror:               add the mirror image of every photo as a second view

    Rank 0 writes the file, and its content does not depend on the number of ranks. Afterwards all ranks see it.
    """
    chunks = _rank_chunks(network, batches, own_batches=own_batches, photos=photos, mirror=mirror, autocast=autocast)
    write_rows(path, chunks, rows=photos)
    dist.barrier()
    dist.wait_for_path(path)


def _rank_chunks(
    network: FeatureNetwork,
    batches: Iterable[Batch],
    *,
    own_batches: int,
    photos: int,
    mirror: bool,
    autocast: AbstractContextManager[Any],
) -> Iterator[NDArray[np.float32]]:
    """Yield on rank 0 the features of all ranks, in the order of the rows; nothing on the others."""
    import torch

    def inputs_of(batch: Batch) -> NDArray[np.float32]:
        views = [batch, replace(batch, inputs=batch.inputs.flip(-1))] if mirror else [batch]
        inputs_BVD = torch.stack([network.classifier_inputs(network.features(view)) for view in views], 1)
        return inputs_BVD.float().cpu().numpy()

    with (
        torch.inference_mode(),
        autocast,
        console.progress("features", total=photos, unit="photos") as advance,
    ):
        for inputs_BVD in gather_in_turn(map(inputs_of, batches), own=own_batches):
            advance(len(inputs_BVD))
            yield inputs_BVD
