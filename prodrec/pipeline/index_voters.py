"""The products of an index as voters, in memory: for scoring a dataset, and for choosing how they vote.

Shapes: N photos of the index, R rows of a dataset, C classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from prodrec.core.base.taxonomy import Taxonomy
    from prodrec.core.data.dataset import Dataset
    from prodrec.index.product_index import ProductIndex
    from prodrec.inference.neighbours.fused import Neighbours


def load_voters(
    index: ProductIndex,
    taxonomy: Taxonomy,
    data: Dataset,
    rows: NDArray[np.int64],
    device: torch.device,
    *,
    without_splits: tuple[str, ...] = (),
    sharded: bool = False,
) -> Neighbours | None:
    """Return the photos of the index that vote for classes of a run, or None if there are none.

    taxonomy:       that of the run
    data, rows:     the dataset and its rows that are scored: products, and those with the same photo, do not vote for
                    themselves
    without_splits: splits of the dataset whose products, and products with the same photos, do not vote at all
    sharded:        divide the vectors among the ranks
    """
    import torch

    from prodrec.core.base.texts import Texts
    from prodrec.index.groups import find_groups
    from prodrec.inference.neighbours.fused import Neighbours
    from prodrec.inference.neighbours.projection import Projection
    from prodrec.inference.neighbours.training_features import TrainingFeatures
    from prodrec.pipeline.index_classes import merge_paths

    level, count = index.header.level, taxonomy.count(index.header.level)
    frame, vectors_Nd = index.table.frame_and_vectors("sku", "path", "predicted", "photo_hash")
    paths = [tuple(path) for path in frame["path"].to_list()]
    class_of = {path: i for path, i in merge_paths(paths, taxonomy, level).class_of.items() if i < count}
    class_N = np.array([class_of.get(path, -1) for path in paths], np.int32)
    group_N, own_group_R, is_scored_N = find_groups(frame, data, rows, without_splits)
    votes_N = (class_N >= 0) & ~frame["predicted"].to_numpy() & ~is_scored_N
    voting = np.flatnonzero(votes_N)
    if not len(voting):
        return None
    kept_groups, voting_group = np.unique(group_N[voting], return_inverse=True)
    position = np.full(int(group_N.max()) + 1, -1, np.int64)
    position[kept_groups] = np.arange(len(kept_groups))
    own_group_R = np.where(own_group_R >= 0, position[own_group_R], -1)
    width = index.header.width
    mean_D, matrix_Dd = index.header.projection or (np.zeros(width, np.float32), np.eye(width, dtype=np.float32))
    features = TrainingFeatures(
        level=level,
        projection=Projection(torch.from_numpy(mean_D), torch.from_numpy(matrix_Dd)),
        vectors_Nd=vectors_Nd[voting],
        class_N=class_N[voting],
        group_N=voting_group.astype(np.int64),
        row_N=voting.astype(np.int64),
        ids=Texts.from_polars(frame["sku"].gather(voting)),
        fingerprint=voters_name(index, without_splits),
    )
    neighbours = Neighbours.load(features, count, device, sharded=sharded)
    return replace(neighbours, own_group_R=torch.from_numpy(own_group_R).to(device))


def voters_name(index: ProductIndex, without_splits: tuple[str, ...]) -> str:
    """Return a text that changes whenever other products vote; score files record it."""
    without = f" without {','.join(without_splits)}" if without_splits else ""
    return f"index {index.header.fingerprint} version {index.version}{without}"


def deciding_alone(voters: Neighbours) -> Neighbours:
    """Return voters whose vote decides alone: classes without a product get no probability of the classifier."""
    return replace(voters, unvoted_U=voters.unvoted_U[:0], is_unvoted_C=None)
