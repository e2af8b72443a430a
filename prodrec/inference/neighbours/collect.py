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
from prodrec.core.base.turns import gather_in_turn
from prodrec.inference.neighbours.choose_lists import AUTO, choose_lists
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
    search: str = AUTO,
    query_MD: NDArray[np.float16] | None = None,
    autocast: AbstractContextManager[Any] | None = None,
) -> None:
    """Write the vectors of the training photos that have a label at `level` to the run directory.

    batches, own_batches: of these rows, as `prodrec.inference.score.rank_batches` returns them
    search:               one of SEARCHES
    query_MD:             features on which the recall of approximate search is measured, see `choose_lists`; on rank 0

    Rank 0 writes the file, and its content does not depend on the number of ranks.
    """
    row_N = labelled_rows(dataset, "train", level)
    chunks = feature_chunks(
        network, batches, own_batches=own_batches, photos=len(row_N), autocast=autocast or nullcontext()
    )
    if not dist.is_main():
        for _ in chunks:  # take part in gathering
            pass
        return
    _, first_G, group_R = np.unique(dataset.group_N, return_index=True, return_inverse=True)
    group_N = first_G[group_R[row_N]].astype(np.int64)
    write_training_features(
        run.path / NEIGHBOURS_FILE,
        chunks,
        run_fingerprint=run.fingerprint,
        dataset_fingerprint=dataset.fingerprint,
        level=level,
        class_N=dataset.labels_NL[row_N, dataset.taxonomy.levels.index(level)].astype(np.int32),
        group_N=group_N,
        row_N=row_N,
        ids=dataset.ids().take(row_N),
        choose_lists=lambda vectors, projection: choose_lists(
            vectors, group_N, projection, search=search, query_MD=query_MD
        ),
    )


def feature_chunks(
    network: FusibleNetwork,
    batches: Iterable[Batch],
    *,
    own_batches: int,
    photos: int,
    autocast: AbstractContextManager[Any],
) -> Iterator[NDArray[np.float16]]:
    """Yield on rank 0 the features by which photos are compared, in the order of the rows; nothing on the others."""
    import torch

    with (
        torch.inference_mode(),
        autocast,
        console.progress("neighbours", total=photos, unit="photos") as advance,
    ):
        vectors: Iterable[NDArray[np.float16]] = (
            network.search_vectors(network.features(batch)).to(torch.float16).cpu().numpy() for batch in batches
        )
        for vectors_BD in gather_in_turn(vectors, own=own_batches):
            advance(len(vectors_BD))
            yield vectors_BD
