"""Runs a finished network over a dataset and writes what it says of every photo to scores.h5, batch by batch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console, dist
from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.config import split_list
from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch
from prodrec.core.scores.reader import open_scores
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import EncodedBatch, ScoresWriter

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.core.data.batches import Batch
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run

USUAL_SPLITS = ("test", "validation")


class Scored(Protocol):
    """Features B×D, unnormalised scores B×C by level, and B×m by attribute."""

    @property
    def features_BD(self) -> Tensor: ...
    @property
    def scores(self) -> dict[str, Tensor]: ...
    @property
    def attribute_scores(self) -> dict[str, Tensor]: ...


class TopK(Scored, Protocol):
    """Features, and the K best scores and classes B×K by level."""

    @property
    def classes(self) -> dict[str, Tensor]: ...


class Network(Protocol):
    """What scoring asks of a network that is ready on its device."""

    def score(self, batch: Batch, *, with_titles: bool = False) -> Scored: ...
    def top_k(self, batch: Batch, k: int, *, with_titles: bool = False) -> TopK: ...


def score(
    run: Run,
    dataset: Dataset,
    network: Network,
    batches: Iterable[Batch],
    *,
    own: int | None = None,
    out: Path,
    splits: Sequence[str],
    top_k: int | None = None,
    with_titles: bool = False,
    arithmetic: AbstractContextManager[Any] | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Score `batches`, the rows of `rows_of(dataset, splits)` in that order and on the network's device, into `out`.

    On several ranks each is given its batches by `deal`, the first `own` of which are its to score; rank 0 writes, and
    the file is that of one process. top_k keeps the K best classes of every level instead of all scores; arithmetic is
    the autocast to compute in. Memory does not grow with the rows. Nothing stands at `out` before all is written.
    Raises OutputExists, Mismatch and BadArtefact as `check_belongs`, ProdrecError for scores that are not finite.
    """
    import torch

    ids, rows = dataset.ids(), rows_of(dataset, splits)
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

    def encoded(batch: Batch) -> EncodedBatch:
        found = network.score(batch, with_titles=with_titles) if top_k is None else None
        best = network.top_k(batch, top_k, with_titles=with_titles) if top_k is not None else None
        answer = found or best
        assert answer is not None
        row_B = batch.rows_B.cpu().numpy()
        return writer.encode(
            ids=ids.take(row_B),
            rows_B=row_B,
            split_B=dataset.split_N[row_B],
            labels_BL=dataset.labels_NL[row_B],
            attributes_BA=dataset.attributes_NA[row_B],
            features_BD=_numpy(answer.features_BD),
            scores={level: _numpy(values) for level, values in answer.scores.items()},
            classes=None if best is None else {level: _numpy(which) for level, which in best.classes.items()},
            attribute_scores={name: _numpy(values) for name, values in answer.attribute_scores.items()},
        )

    started = time.monotonic()
    with (
        writer if dist.is_main() else nullcontext(),
        torch.inference_mode(),
        arithmetic or nullcontext(),
        console.progress(f"score {run.name}", total=len(rows), unit="photos") as advance,
    ):
        for number, batch in enumerate(batches):
            columns = encoded(batch)
            counts = own is None or number < own
            for rank_batch in dist.gather(columns if counts else None):
                if rank_batch is not None:
                    writer.append_encoded(rank_batch)
                    advance(len(rank_batch["row"]))
        assert writer.n == len(rows) or not dist.is_main(), "the batches are the rows that were to be scored"
    seconds = time.monotonic() - started
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


def deal(rows: NDArray[np.int64], *, batch_size: int) -> tuple[list[NDArray[np.int64]], int]:
    """This rank's batches of `rows`, every so manieth of those of one process; and how many of them are its own.

    All ranks get as many, since classes that are divided among them are asked for by all together: where batches are
    left over, the other ranks look at a row that is not theirs to score.
    """
    from prodrec.core.data.batches import sequential_order

    order = sequential_order(rows, batch_size=batch_size)
    mine = order[dist.rank() :: dist.world_size()]
    rounds = math.ceil(len(order) / dist.world_size())
    return [*mine, *[rows[:1]] * (rounds - len(mine))], len(mine)


def _numpy(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = (values.float() if values.is_floating_point() else values).cpu().numpy()
    return array


def choose_splits(dataset: Dataset, wanted: str | None) -> tuple[str, ...]:
    """Splits from `test,validation` or `all`; without a wish those of test and validation that have photos.

    Raises BadOption for an unknown split, one without photos, or a dataset with photos in neither of the usual ones.
    """
    counts = np.bincount(dataset.split_N, minlength=len(SPLITS))
    filled = [name for name, count in zip(SPLITS, counts, strict=True) if count]
    if wanted is None:
        usual = tuple(name for name in USUAL_SPLITS if name in filled)
        if not usual:
            raise BadOption(f"{dataset.path} has no test and no validation photos; score others with --split train.")
        return usual
    names = filled if wanted == "all" else split_list(wanted)
    if not names:
        raise BadOption(f"--split {wanted}: it names no split; there are {', '.join(SPLITS)}, or all.")
    for name in names:
        if name not in SPLITS:
            raise BadOption(f"--split {wanted}: there is no split {name!r}; there are {', '.join(SPLITS)}, or all.")
        if name not in filled:
            raise BadOption(f"--split {wanted}: {dataset.path} has no {name} photos.")
    return tuple(name for name in SPLITS if name in names)


def rows_of(dataset: Dataset, splits: Sequence[str]) -> NDArray[np.int64]:
    """The rows of `splits`, ascending whatever their split: int64."""
    wanted = np.isin(dataset.split_N, [SPLITS.index(name) for name in splits])
    return np.flatnonzero(wanted).astype(np.int64)


def check_belongs(run: Run, dataset: Dataset, *, with_titles: bool = False, other_dataset: bool = False) -> None:
    """Refuse a run that is not finished or that does not belong to the dataset.

    other_dataset allows another dataset of the same classes. Raises BadArtefact or Mismatch.
    """
    if not run.finished:
        raise BadArtefact(
            f"{run.path} is not finished; go on with `prodrec train {run.family} --resume --out {run.path}`."
        )
    if run.dataset_fingerprint == dataset.fingerprint:
        return
    if run.feature_width != dataset.feature_width:
        seen, there = (
            "photos" if width is None else f"vectors of {width:,} numbers"
            for width in (run.feature_width, dataset.feature_width)
        )
        raise Mismatch(f"{run.path} was trained on {seen}, and {dataset.path} holds {there}; score another dataset.")
    difference = run.taxonomy.difference(dataset.taxonomy)
    if difference:
        raise Mismatch(
            f"{run.path} (here) and {dataset.path} (there) have other classes: {difference}; "
            "score the dataset that the run was trained on."
        )
    if not other_dataset:
        raise Mismatch(
            f"{run.path} was trained on another dataset than {dataset.path}, with the same classes; photos that it was "
            "trained on may be in the test split here: if that is sure not to be so, add --other-dataset."
        )
    network = run.recipe["network"]
    for attribute in run.attributes if "attributes" in network["heads"] else ():
        chosen = attribute.name in network["attributes"] or list(network["attributes"]) == ["all"]
        if chosen and attribute not in dataset.attributes:
            raise Mismatch(
                f"{run.path} predicts the attribute {attribute.name}, and {dataset.path} has none of that name, "
                "or with other states; score a dataset with the same one."
            )
    if with_titles and run.vocabulary.words != dataset.vocabulary.words:
        raise Mismatch(
            f"{run.path} and {dataset.path} have other vocabularies, so that word numbers mean other words; "
            "score without --with-titles."
        )


def why_stale(
    out: Path, run: Run, dataset: Dataset, *, splits: Sequence[str], top_k: int | None, with_titles: bool
) -> str | None:
    """Why the scores at `out` are not what scoring anew would give, or None where they are up to date."""
    try:
        with open_scores(out) as scores:
            origin, kept = scores.origin, scores.top_k
            most = max((scores.taxonomy.count(level) for level in scores.scored_levels), default=None)
    except BadArtefact as error:
        return str(error)
    if origin.made_from.get("run") != run.fingerprint:
        return f"it holds the scores of another run than {run.path} as it is now"
    if origin.made_from.get("dataset") != dataset.fingerprint:
        return f"it holds the scores of another dataset than {dataset.path} as it is now"
    if not set(splits) <= set(origin.splits):
        return f"it holds the splits {', '.join(origin.splits)} only"
    if origin.with_titles != with_titles:
        return f"it was scored {'with' if origin.with_titles else 'without'} titles"
    wanted = None if top_k is None or most is None else min(top_k, most)  # no level has more, attributes have all
    if kept != wanted:
        return f"it keeps {'all scores' if kept is None else f'the {kept} best scores only'}"
    return None
