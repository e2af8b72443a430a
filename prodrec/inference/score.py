"""Score the photos of a dataset with a finished run and write scores.h5, batch by batch.

Shapes: B rows of a batch, D features, L levels, A attributes, K best classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console, dist
from prodrec.core.base.artefact import SPLITS
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import EncodedBatch, ScoresWriter
from prodrec.inference.protocols import ScoringNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.core.data.batches import Batch
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run


def score(
    run: Run,
    dataset: Dataset,
    network: ScoringNetwork,
    batches: Iterable[Batch],
    *,
    own_batches: int | None = None,
    out: Path,
    splits: Sequence[str],
    top_k: int | None = None,
    with_titles: bool = False,
    autocast: AbstractContextManager[Any] | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Score `batches` and write the scores file `out`. Return a summary of the file and the time, as plain values.

    batches:     the rows of `splits`, ascending, on the device of the network; on several ranks those of `rank_batches`
    own_batches: number of `batches` whose scores are written; None is all. The batches after them are scored only
                 because all ranks must score equally many.
    top_k:       keep only the K best classes of every level
    with_titles: use the titles to score the deepest level
    autocast:    context in which the network computes

    Rank 0 writes the file, and its content does not depend on the number of ranks. It appears when it is complete. The
    memory does not grow with the number of rows.

    Raise OutputExists if `out` exists and `force` is not set, ProdrecError for scores that float16 cannot represent and
    for a full disk, BadOption for titles if the network has no title encoder.
    """
    import torch

    ids, rows = dataset.ids(), rows_in_splits(dataset, splits)
    first_rows = first_rows_of_products(dataset, rows)
    origin = Origin(
        run=run.name,
        family=run.family,
        made_from={"run": run.fingerprint, "dataset": dataset.fingerprint},
        splits=tuple(name for name in SPLITS if name in splits),
        seed=run.recipe.get("training", {}).get("seed"),
        recipe=run.recipe,
        with_titles=with_titles,
    )
    writer = ScoresWriter(
        out,
        origin=origin,
        taxonomy=run.taxonomy,
        train_images=run.train_images,
        id_bytes=int(ids.lengths[rows].max()),
        rows=len(rows),
        attributes=dataset.attributes,
        libraries={"torch": torch.__version__},
        force=force,
    )

    def score_batch(batch: Batch) -> EncodedBatch:
        if top_k is None:
            scored, classes = network.score(batch, with_titles=with_titles), None
        else:
            scored = best = network.top_k(batch, top_k, with_titles=with_titles)
            classes = {level: _to_numpy(classes_BK) for level, classes_BK in best.classes.items()}
        rows_B = batch.rows_B.cpu().numpy()
        return writer.encode(
            ids=ids.take(rows_B),
            rows_B=rows_B,
            split_B=dataset.split_N[rows_B],
            labels_BL=dataset.labels_NL[rows_B],
            products_B=None if first_rows is None else (first_rows[0][rows_B], first_rows[1][rows_B]),
            attributes_BA=dataset.attributes_NA[rows_B],
            features_BD=_to_numpy(scored.features_BD),
            scores={level: _to_numpy(values) for level, values in scored.scores.items()},
            classes=classes,
            attribute_scores={name: _to_numpy(values) for name, values in scored.attribute_scores.items()},
        )

    start = time.monotonic()
    with (
        writer if dist.is_main() else nullcontext(),
        torch.inference_mode(),
        autocast or nullcontext(),
        console.progress(f"score {run.name}", total=len(rows), unit="photos") as advance,
    ):
        for number, batch in enumerate(batches):
            encoded = score_batch(batch)
            is_own = own_batches is None or number < own_batches
            for rank_batch in dist.gather(encoded if is_own else None):
                if rank_batch is not None:
                    writer.append_encoded(rank_batch)
                    advance(len(rank_batch["row"]))
        assert writer.n == len(rows) or not dist.is_main(), "the batches have other rows than the splits"
    seconds = time.monotonic() - start
    return {
        "scores": str(out),
        "fingerprint": dist.broadcast(writer.fingerprint),
        "run": run.name,
        "rows": {name: int((dataset.split_N[rows] == SPLITS.index(name)).sum()) for name in origin.splits},
        "top_k": top_k,
        "with_titles": with_titles,
        "seconds": round(seconds, 2),
        "photos_per_second": round(len(rows) / seconds, 1),
    }


def rows_in_splits(dataset: Dataset, splits: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows of the dataset that are in one of `splits`, ascending."""
    in_splits_N = np.isin(dataset.split_N, [SPLITS.index(name) for name in splits])
    return np.flatnonzero(in_splits_N).astype(np.int64)


def first_rows_of_products(
    dataset: Dataset, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return the first row of the product and of the duplicate group of every row of the dataset, int64 [N] each.

    None if no two of `rows` are photos of one product or duplicates. A group joins all photos of a product.
    """
    if len(np.unique(dataset.group_N[rows])) == len(rows):
        return None

    def first_rows(numbers_N: NDArray[np.int64]) -> NDArray[np.int64]:
        _, first_G, group_N = np.unique(numbers_N, return_index=True, return_inverse=True)
        return first_G[group_N]

    return first_rows(dataset.product_N), first_rows(dataset.group_N)


def rank_batches(rows: NDArray[np.int64], *, batch_size: int) -> tuple[list[NDArray[np.int64]], int]:
    """Return the rows of every batch that this rank scores, and the number of batches whose scores are written.

    Each rank scores every `world_size`-th batch. All ranks must score equally many batches: when the classes are
    divided among the ranks, each rank computes the scores of its classes for the batches of all ranks. A rank with
    fewer batches gets additional batches of a single row, which come last and are not counted.
    """
    from prodrec.core.data.batches import sequential_order

    order = sequential_order(rows, batch_size=batch_size)
    own = order[dist.rank() :: dist.world_size()]
    rounds = math.ceil(len(order) / dist.world_size())
    return [*own, *[rows[:1]] * (rounds - len(own))], len(own)


def _to_numpy(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = (values.float() if values.is_floating_point() else values).cpu().numpy()
    return array
