"""`prodrec neighbours`: keep the vectors of the training photos of a run, and choose its operating points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base import console, dist
from prodrec.pipeline.calibrate import write_calibration
from prodrec.pipeline.scoring_targets import find_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.inference.neighbours.fused import Neighbours
    from prodrec.inference.neighbours.operating_points import OperatingPoints
    from prodrec.inference.neighbours.seen import SeenBatch
    from prodrec.pipeline.scoring_network import ScoringNetwork


@dataclass(frozen=True)
class NeighboursResult:
    """The operating points of the runs, by the path of the run."""

    points: dict[Path, OperatingPoints]

    def __str__(self) -> str:
        return "\n".join(f"{path}:\n{describe_points(points)}" for path, points in self.points.items())

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec neighbours --json` prints them."""
        return {str(path): [dict(row) for row in points.validation] for path, points in self.points.items()}


def neighbours(
    runs: str | Path | Sequence[str | Path] | None = None,
    dataset: str | Path | None = None,
    *,
    other_dataset: bool = False,
    search: str = "auto",
    batch_size: int | None = None,
    device: str = "auto",
    workers: int | None = None,
) -> NeighboursResult:
    """Keep the vectors of the training photos of finished runs, and choose their operating points on validation photos.

    `train` does the same at its end. Do it again for runs whose training was interrupted there, or with a dataset that
    has more products: their photos vote at once, without training.

    Args:
        runs: run directories, or names of runs in `runs/`; None is every finished run in `runs/`.
        dataset: directory that `prepare` wrote; None is `dataset`.
        other_dataset: allow another dataset than that of training, with the same classes.
        search: how the nearest training photos are found on a CPU: exact, approximate (needs `prodrec[faiss]`), or
            auto, which is approximate above a million of them if faiss is installed. A GPU always searches exactly.
        batch_size: photos per batch; None is that of training.
        device: auto, cpu, cuda or cuda:N.
        workers: processes that load photos; None chooses by the number of cores.

    Raises:
        NotFound: if a run or the dataset does not exist, or `runs/` has no finished run.
        BadArtefact: for an unfinished or damaged run.
        BadOption: for an unknown `search`, or `approximate` without faiss.
        Mismatch: if a run was trained on another dataset.
    """
    from prodrec.core.base.device import choose_device
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training.run import open_run
    from prodrec.inference.neighbours.choose_lists import check_search
    from prodrec.inference.scoring_checks import check_run_fits_dataset
    from prodrec.pipeline.scoring_network import ScoringNetwork
    from prodrec.pipeline.scoring_targets import runs_of_dataset

    check_search(search)
    inputs = [runs] if isinstance(runs, str | Path) else list(runs or ())
    named_dataset = None if dataset is None else Path(dataset)
    run_paths, dataset_path = dist.run_on_main(lambda: find_inputs([Path(path) for path in inputs], named_dataset))
    data = open_dataset(dataset_path)
    opened = [open_run(path) for path in run_paths] or runs_of_dataset(data, other_dataset)
    for run in opened:
        check_run_fits_dataset(run, data, other_dataset=other_dataset)
    results = {}
    for run in opened:
        loaded = ScoringNetwork.load(run, data, device=choose_device(device), batch_size=batch_size, workers=workers)
        points = add_neighbours(loaded, data, search=search)
        if points is not None:
            results[run.path] = points
    return NeighboursResult(results)


def add_neighbours(loaded: ScoringNetwork, data: Dataset, *, search: str = "auto") -> OperatingPoints | None:
    """Write the vectors of the training photos and the operating points of a run, or those that its recipe asks for.

    search: see `neighbours`

    Return the points, or None if the network predicts no level or the recipe asks for none. All ranks must call this.
    """
    from prodrec.inference.neighbours.choose_lists import wants_lists
    from prodrec.inference.neighbours.collect import collect, labelled_rows

    level = loaded.level
    if level is None or loaded.recipe.training.operating_points == "none":
        return None
    if loaded.recipe.training.operating_points == "neighbours":
        rows = labelled_rows(data, "train", level)
        batches, own_batches = loaded.batches(data, rows)
        collect(
            loaded.run,
            data,
            loaded.network,
            batches,
            own_batches=own_batches,
            level=level,
            search=search,
            query_MD=_queries(loaded, data, level) if wants_lists(search, len(rows)) else None,
            autocast=loaded.autocast(),
        )
    return write_points(loaded, data, level)


def _queries(loaded: ScoringNetwork, data: Dataset, level: str) -> NDArray[np.float16] | None:
    """Return the features of validation photos, on which the recall of a search is measured, on rank 0.

    Return None on the other ranks, and if there are none.
    """
    from prodrec.inference.neighbours.choose_lists import draw_queries
    from prodrec.inference.neighbours.collect import feature_chunks

    rows = draw_queries(rows_to_choose_on(data, level))
    if not len(rows):
        return None
    batches, own_batches = loaded.batches(data, rows)
    chunks = list(
        feature_chunks(loaded.network, batches, own_batches=own_batches, photos=len(rows), autocast=loaded.autocast())
    )
    return np.concatenate(chunks) if chunks else None


def write_points(loaded: ScoringNetwork, data: Dataset, level: str) -> OperatingPoints:
    """Choose the operating points of a run on the validation photos, calibrate them, and write both.

    The vectors of the training photos must have been written if the recipe asks for neighbours. All ranks must call
    this.
    """
    from prodrec.inference.neighbours import training_features
    from prodrec.inference.neighbours.fused import Neighbours
    from prodrec.inference.neighbours.operating_points import OPERATING_POINTS_FILE

    run = loaded.run
    photos: Neighbours | None = None
    if loaded.recipe.training.operating_points == "neighbours":
        path = run.path / training_features.NEIGHBOURS_FILE
        dist.barrier()
        dist.wait_for_path(path)
        features = training_features.read_training_features(path, run_fingerprint=run.fingerprint)
        photos = Neighbours.load(features, data.taxonomy.count(level), loaded.device, sharded=True)
    seen = see_validation(loaded, data, level, photos)
    points = _choose_points(loaded, seen, level, photos)
    if loaded.network.title_encoder is not None:
        titled = see_validation(loaded, data, level, photos, with_titles=True)
        points = replace(points, titled=_choose_points(loaded, titled, level, photos, with_titles=True))
    if photos is not None:
        points = points.with_voters(photos.features.fingerprint)
    write_calibration(loaded, seen, data.taxonomy, level, points, photos)
    if dist.is_main():  # last: it marks the run as complete
        points.write(run.path / OPERATING_POINTS_FILE, run_fingerprint=run.fingerprint)
    dist.barrier()
    return points


def see_validation(
    loaded: ScoringNetwork, data: Dataset, level: str, photos: Neighbours | None, *, with_titles: bool = False
) -> list[SeenBatch]:
    """Return what the network sees in the validation photos on which points are chosen. All ranks must call this.

    photos: those that vote; None if none do
    """
    from prodrec.inference.neighbours.seen import see

    rows = rows_to_choose_on(data, level)
    if not len(rows):
        return []
    batches, own_batches = loaded.batches(data, rows)
    return see(
        loaded.network,
        batches,
        own_batches=own_batches,
        column=data.taxonomy.levels.index(level),
        neighbours=photos,
        total=len(rows),
        with_titles=with_titles,
        autocast=loaded.autocast(),
    )


def _choose_points(
    loaded: ScoringNetwork, seen: list[SeenBatch], level: str, photos: Neighbours | None, *, with_titles: bool = False
) -> OperatingPoints:
    """Return the operating points that are best on the validation photos, with or without their titles."""
    from prodrec.inference.neighbours.choose import choose, observe

    observations = None
    if seen:
        observations = observe(loaded.network, seen, level=level, neighbours=photos, autocast=loaded.autocast())
    return dist.run_on_main(lambda: choose(observations, with_neighbours=photos is not None, with_titles=with_titles))


def rows_to_choose_on(data: Dataset, level: str) -> NDArray[np.int64]:
    """Return the validation rows with a label at `level` and without a duplicate among the training photos."""
    from prodrec.inference.neighbours.choose import limit_rows
    from prodrec.inference.neighbours.collect import labelled_rows

    rows = labelled_rows(data, "validation", level)
    rows = rows[~np.isin(data.group_N[rows], data.group_N[data.rows("train")])]
    return limit_rows(rows, data.taxonomy.count(level))


def describe_points(points: OperatingPoints) -> str:
    """Describe the operating points, and their accuracies on the validation photos, in a line each."""
    lines = [str(point) for point in (points.with_neighbours or points.without_neighbours).values()]
    if not points.photos:
        lines.append("these are defaults: no validation photo has a label")
    for row in points.validation:
        name = row["name"] if row["neighbours"] or row["name"] == "plain" else f"{row['name']} without neighbours"
        lines.append(f"{name}: top-1 {row['top1']:.2%}, MACC {row['macc']:.2%} on {points.photos:,} validation photos")
    text = "\n".join(f"  {line}" for line in lines)
    return text if points.titled is None else f"{text}\n  with titles:\n{describe_points(points.titled)}"


def complete_run(run: Run, data: Dataset, *, device: str, workers: int | None) -> None:
    """Add neighbours and operating points to a finished run, unless it has them already, and print the points."""
    from prodrec.core.base.device import choose_device
    from prodrec.inference.neighbours.operating_points import OPERATING_POINTS_FILE
    from prodrec.pipeline.scoring_network import ScoringNetwork

    if dist.broadcast((run.path / OPERATING_POINTS_FILE).is_file()):
        return
    points = add_neighbours(ScoringNetwork.load(run, data, device=choose_device(device), workers=workers), data)
    if points is not None:
        console.info(f"operating points:\n{describe_points(points)}")
