"""Run a finished network over the training photos, and write their vectors beside its weights.

Shapes: B photos of a batch, N training photos, D numbers of a vector, R rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console, dist
from prodrec.inference.neighbours.training_features import NEIGHBOURS_FILE, write_training_features

if TYPE_CHECKING:
    from prodrec.core.data.batches import Batch
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.inference.neighbours.protocols import FusibleNetwork


def labelled_rows(dataset: Dataset, split: str, level: str) -> NDArray[np.int64]:
    """Return the rows of a split that have a label at `level`, ascending."""
    rows_R = dataset.rows(split)
    labelled_R = dataset.labels_NL[rows_R, dataset.taxonomy.levels.index(level)] >= 0
    return np.sort(rows_R[labelled_R]).astype(np.int64)


def collect(
    run: Run,
    dataset: Dataset,
    network: FusibleNetwork,
    batches: Iterable[Batch],
    *,
    own_batches: int,
    level: str,
    autocast: AbstractContextManager[Any] | None = None,
) -> None:
    """Write the vectors of the training photos that have a label at `level` to the run directory.

    batches, own_batches: of these rows, as `prodrec.inference.score.rank_batches` returns them

    Rank 0 writes the file, and its content does not depend on the number of ranks.
    """
    row_N = labelled_rows(dataset, "train", level)
    chunks = _vectors(network, batches, own_batches, len(row_N), autocast or nullcontext())
    if not dist.is_main():
        for _ in chunks:  # take part in gathering
            pass
        return
    _, first_G, group_N = np.unique(dataset.group_N, return_index=True, return_inverse=True)
    write_training_features(
        run.path / NEIGHBOURS_FILE,
        chunks,
        run_fingerprint=run.fingerprint,
        dataset_fingerprint=dataset.fingerprint,
        level=level,
        class_N=dataset.labels_NL[row_N, dataset.taxonomy.levels.index(level)].astype(np.int32),
        group_N=first_G[group_N[row_N]].astype(np.int64),
        row_N=row_N,
        ids=dataset.ids().take(row_N),
    )


def _vectors(
    network: FusibleNetwork,
    batches: Iterable[Batch],
    own_batches: int,
    total: int,
    autocast: AbstractContextManager[Any],
) -> Iterator[NDArray[np.float16]]:
    """Yield on rank 0 the vectors of the batches of all ranks, in the order of the rows; nothing on the others."""
    import torch

    with (
        torch.inference_mode(),
        autocast,
        console.progress("neighbours", total=total, unit="photos") as advance,
    ):
        for number, batch in enumerate(batches):
            vectors_BD = network.search_vectors(network.features(batch)).to(torch.float16).cpu().numpy()
            for rank_vectors_BD in dist.gather(vectors_BD if number < own_batches else None):
                if rank_vectors_BD is not None:
                    advance(len(rank_vectors_BD))
                    yield rank_vectors_BD
