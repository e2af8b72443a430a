"""Score the photos of a dataset with a finished run and write scores.h5, batch by batch.

Shapes: B rows of a batch, D features, L levels, A attributes, K best classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console, dist
from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.scoring_views import CENTRE
from prodrec.core.base.turns import gather_in_turn
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import EncodedBatch, ScoresWriter
from prodrec.inference.protocols import ScoringNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.core.base.texts import Texts
    from prodrec.core.data.batches import Batch
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.inference.merged_classes import MergedClasses
    from prodrec.inference.neighbours.operating_points import OperatingPoint


def score(
    run: Run,
    dataset: Dataset,
    network: ScoringNetwork,
    batches: Iterable[Batch],
    *,
    outputs: Mapping[Path, OperatingPoint],
    own_batches: int | None = None,
    splits: Sequence[str],
    top_k: int | None = None,
    with_titles: bool = False,
    views: str = CENTRE,
    tree_weight: float = 0.0,
    engine: str = TORCH,
    autocast: AbstractContextManager[Any] | None = None,
    merged: MergedClasses | None = None,
    force: bool = False,
) -> list[dict[str, Any]]:
    """Score `batches` at operating points and write a scores file for each. Return a summary of each, as plain values.

    batches:     the rows of `splits`, ascending, on the device of the network; on several ranks those of `rank_batches`
    outputs:     the operating point of every file; the features of a photo are computed once for all of them
    own_batches: number of `batches` whose scores are written; None is all. The batches after them are scored only
                 because all ranks must score equally many.
    top_k:       keep only the K best classes of every level
    with_titles: use the titles to score the deepest level
    views:       the views of every photo in `batches`
    tree_weight, engine: those of `network`, which the files record
    autocast:    context in which the network computes
    merged:      classes of the files if the dataset has others than the run

    Rank 0 writes the files, and their content does not depend on the number of ranks. They appear when all are
    complete. The memory does not grow with the number of rows.

    Raise OutputExists if a file exists and `force` is not set, ProdrecError for scores that float16 cannot represent
    and for a full disk, BadOption for titles if the network has no title encoder.
    """
    import torch

    ids, rows = dataset.ids(), rows_in_splits(dataset, splits)
    first_rows = first_rows_of_products(dataset, rows)
    points = list(outputs.values())
    origin = Origin(
        run=run.name,
        family=run.family,
        made_from={"run": run.fingerprint, "dataset": dataset.fingerprint},
        splits=tuple(name for name in SPLITS if name in splits),
        seed=run.recipe.get("training", {}).get("seed"),
        recipe=run.recipe,
        with_titles=with_titles,
        views=views,
        tree_weight=tree_weight,
        engine=engine,
    )
    writers = [
        _writer(run, dataset, out, replace(origin, operating_point=point.as_json()), rows, ids, merged, force=force)
        for out, point in outputs.items()
    ]

    def score_batch(batch: Batch) -> list[EncodedBatch]:
        """Return the rows of every file."""
        features = network.features(batch, points, with_titles=with_titles)
        rows_B = batch.rows_B.cpu().numpy()
        encoded = []
        for writer, point in zip(writers, points, strict=True):
            if top_k is None:
                scored, classes = network.score(features, point), None
            else:
                scored = best = network.top_k(features, top_k, point)
                classes = {level: _to_numpy(classes_BK) for level, classes_BK in best.classes.items()}
            scores = {level: _to_numpy(values) for level, values in scored.scores.items()}
            if merged is not None and classes is None:
                scores = {level: merged.spread(level, scores_BC) for level, scores_BC in scores.items()}
            elif merged is not None and classes is not None:
                classes = {level: merged.renumber(level, class_BK) for level, class_BK in classes.items()}
            rows_of_file = writer.encode(
                ids=ids.take(rows_B),
                rows_B=rows_B,
                split_B=dataset.split_N[rows_B],
                labels_BL=dataset.labels_NL[rows_B],
                products_B=None if first_rows is None else (first_rows[0][rows_B], first_rows[1][rows_B]),
                attributes_BA=dataset.attributes_NA[rows_B],
                features_BD=_to_numpy(scored.features_BD),
                scores=scores,
                classes=classes,
                attribute_scores={name: _to_numpy(values) for name, values in scored.attribute_scores.items()},
            )
            encoded.append(rows_of_file)
        return encoded

    start = time.monotonic()
    with ExitStack() as stack:
        for writer in writers if dist.is_main() else ():
            stack.enter_context(writer)
        stack.enter_context(torch.inference_mode())
        stack.enter_context(autocast or nullcontext())
        advance = stack.enter_context(console.progress(f"score {run.name}", total=len(rows), unit="photos"))
        for encoded in gather_in_turn(map(score_batch, batches), own=own_batches):
            for writer, rows_of_file in zip(writers, encoded, strict=True):
                writer.append_encoded(rows_of_file)
            advance(len(encoded[0]["row"]))
        assert not dist.is_main() or all(writer.n == len(rows) for writer in writers), "the batches have other rows"
    seconds = time.monotonic() - start
    fingerprints = dist.broadcast([writer.fingerprint for writer in writers])
    common = {
        "run": run.name,
        "rows": {name: int((dataset.split_N[rows] == SPLITS.index(name)).sum()) for name in SPLITS if name in splits},
        "top_k": top_k,
        "with_titles": with_titles,
        "views": views,
        "tree_weight": tree_weight,
        "engine": engine,
        "seconds": round(seconds, 2),
        "photos_per_second": round(len(rows) / seconds, 1),
    }
    return [
        {"scores": str(out), "fingerprint": fingerprint, "operating_point": point.name, **common}
        for (out, point), fingerprint in zip(outputs.items(), fingerprints, strict=True)
    ]


def _writer(
    run: Run,
    dataset: Dataset,
    out: Path,
    origin: Origin,
    rows: NDArray[np.int64],
    ids: Texts,
    merged: MergedClasses | None,
    *,
    force: bool,
) -> ScoresWriter:
    import torch

    return ScoresWriter(
        out,
        origin=origin,
        taxonomy=run.taxonomy if merged is None else merged.taxonomy,
        train_images=run.train_images if merged is None else merged.count_images(run.train_images),
        id_bytes=int(ids.lengths[rows].max()),
        rows=len(rows),
        attributes=dataset.attributes,
        libraries={"torch": torch.__version__},
        force=force,
    )


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
