"""Choose the runs that `prodrec score` scores, and the files that it writes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base import console
from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch, NotFound, OutputExists
from prodrec.core.base.scoring_views import CENTRE
from prodrec.pipeline.engines import EngineChoice, choose_engine
from prodrec.pipeline.tree_weight import check_run_has_upper_level

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.inference.neighbours.operating_points import OperatingPoint
    from prodrec.pipeline.index_scoring import IndexScoring


def find_inputs(paths: Sequence[Path], dataset: Path | None) -> tuple[list[Path], Path]:
    """Split `paths`, which may have any order, into run directories and the dataset directory.

    A path may be the name of a run in `runs/`. The dataset is `dataset/` unless `paths` or the argument name another.
    Raise NotFound, BadArtefact or BadOption.
    """
    runs = []
    for path in paths:
        if (path / "dataset.json").is_file():
            if dataset is not None:
                raise BadOption(f"{dataset} and {path} are both datasets; give one.")
            dataset = path
        elif not path.exists() and (Path("runs") / path / "run.json").is_file():
            runs.append(Path("runs") / path)
        elif not path.exists():
            raise NotFound(
                f"{path} does not exist; expected a run directory, the name of a run in runs/, or a dataset."
            )
        elif not (path / "run.json").is_file():
            raise BadArtefact(f"{path} is neither a run (it has no run.json) nor a dataset (it has no dataset.json).")
        else:
            runs.append(path)
    return runs, dataset or Path("dataset")


def find_run(path: Path) -> Path:
    """Return the directory of a run from its path or its name in `runs/`. Raise the errors of `find_inputs`."""
    runs, _ = find_inputs([path], None)
    if not runs:
        raise BadOption(f"{path} is a dataset; expected a run directory, or the name of a run in runs/.")
    return runs[0]


@dataclass(frozen=True)
class ScoreTarget:
    """A run to score, the operating point of each of the files to write, and the engine."""

    run: Path
    outputs: dict[Path, OperatingPoint]
    engine: EngineChoice


def choose_targets(
    runs: Sequence[Path],
    data: Dataset,
    *,
    out: Path | None,
    splits: Sequence[str],
    top_k: int | None,
    with_titles: bool,
    other_dataset: bool,
    operating_point: str | None = None,
    neighbours: bool = True,
    views: str = CENTRE,
    tree_weight: float = 0.0,
    engine: str = TORCH,
    index: IndexScoring | None = None,
    force: bool,
) -> tuple[list[ScoreTarget], list[Path]]:
    """Return the runs to score, each with its scores files, and the files that are up to date.

    An empty `runs` means all finished runs in `runs/`. Raise BadOption, OutputExists, or the error of a run that
    cannot be scored.
    """
    from prodrec.core.training.run import open_run
    from prodrec.inference.scoring_checks import check_run_fits_dataset, reason_out_of_date

    opened = [open_run(path) for path in runs] if runs else runs_of_dataset(data, other_dataset)
    if out is not None and len(opened) > 1:
        raise BadOption(f"--out {out} is one place for {len(opened)} runs; name one run, or omit --out.")
    targets, up_to_date = [], []
    for run in opened:
        check_run_fits_dataset(run, data, with_titles=with_titles, other_dataset=other_dataset, other_classes=True)
        check_run_has_upper_level(run, tree_weight)
        choice = choose_engine(engine, run)
        outputs: dict[Path, OperatingPoint] = {}
        if index is not None:
            points = index.points(run, operating_point, only_one=out is not None)
        else:
            points = operating_points_of(
                run, operating_point, neighbours=neighbours, with_titles=with_titles, only_one=out is not None
            )
        for point in points:
            file = out or Path("scores") / _file_name(
                run,
                point,
                with_titles=with_titles,
                neighbours=neighbours,
                views=views,
                tree_weight=tree_weight,
                engine=choice.name,
                suffix="" if index is None else index.suffix,
            )
            if not file.is_file() or force:
                outputs[file] = point
                continue
            reason = reason_out_of_date(
                file,
                run,
                data,
                splits=splits,
                top_k=top_k,
                with_titles=with_titles,
                point=point,
                views=views,
                tree_weight=tree_weight,
                engine=choice.name,
            )
            if reason:
                raise OutputExists(f"{file} exists and {reason}; add --force to replace it, or give another --out.")
            up_to_date.append(file)
        if outputs:
            targets.append(ScoreTarget(run.path, outputs, choice))
    return targets, up_to_date


def operating_points_of(
    run: Run, name: str | None, *, neighbours: bool = True, with_titles: bool = False, only_one: bool = False
) -> list[OperatingPoint]:
    """Return the operating points of names; for None natural and balanced, or with `only_one` the natural one.

    name:        names of points, joined by commas
    neighbours:  let neighbours vote, if the run has them
    with_titles: the points for scoring with titles

    A run without operating points, such as one that predicts attributes alone, has the plain point only. Raise
    BadOption for an unknown name, for one that the run does not have, and for several with `only_one`; BadArtefact for
    a damaged file.
    """
    from prodrec.inference.neighbours import operating_points

    names = (operating_points.NATURAL, operating_points.BALANCED)
    known = (*names, *(operating_points.DEFAULT_PREFIX + default for default in names), operating_points.PLAIN)
    wanted = list(names[:1] if only_one else names) if name is None else list(dict.fromkeys(name.split(",")))
    if unknown := [point for point in wanted if point not in known]:
        raise BadOption(f"--operating-point {unknown[0]}: expected {', '.join(known[:-1])} or {known[-1]}.")
    if only_one and len(wanted) > 1:
        raise BadOption(f"--operating-point {name}: expected one point here.")
    path = run.path / operating_points.OPERATING_POINTS_FILE
    if wanted == [operating_points.PLAIN]:
        return [operating_points.PLAIN_POINT]
    if not path.is_file():
        remedy = f"make them with `prodrec neighbours {run.path}`"
        if name is not None:
            raise BadOption(f"--operating-point {name}: {run.path} has no operating points; {remedy}.")
        is_expected = run.recipe["training"].get("operating_points") != "none"
        if is_expected and list(run.recipe["network"]["heads"]) != ["attributes"]:
            console.warn(f"{run.path} has no operating points, so the classifier alone scores; {remedy}.")
        return [operating_points.PLAIN_POINT]
    points = operating_points.OperatingPoints.read(path, run_fingerprint=run.fingerprint)
    return [points.choose(point, neighbours=neighbours, with_titles=with_titles) for point in wanted]


def _file_name(
    run: Run,
    point: OperatingPoint,
    *,
    with_titles: bool,
    neighbours: bool,
    views: str,
    tree_weight: float,
    engine: str,
    suffix: str,
) -> str:
    """Return the default name of a scores file: RUN.h5 for the natural point or a run's only one, or RUN@POINT.h5.

    A run can be named like a point (`sicot-balanced`), but hardly contain an @.
    """
    from prodrec.inference.neighbours.operating_points import NATURAL, OPERATING_POINTS_FILE

    without_neighbours = not neighbours and point.tau is not None
    is_main = point.name == NATURAL or not (run.path / OPERATING_POINTS_FILE).is_file()
    name = run.name if is_main and not without_neighbours else f"{run.name}@{point.name}"
    suffixes = (
        "-no-neighbours" * without_neighbours,
        f"-{views}" * (views != CENTRE),
        f"-tree-{tree_weight:g}" * (tree_weight > 0),
        f"-{engine}" * (engine != TORCH),
        "-with-titles" * with_titles,
        suffix,
    )
    return f"{name}{''.join(suffixes)}.h5"


def runs_of_dataset(data: Dataset, other_dataset: bool) -> list[Run]:
    """Return the finished runs in `runs/` that were trained on `data`, or with `other_dataset` on any dataset.

    Print a warning for every other run. Raise NotFound if no run is finished, Mismatch if none was trained on `data`.
    """
    from prodrec.core.training.run import finished_runs, open_run, run_paths

    finished = finished_runs(Path("runs"))
    names = {run.path.name for run in finished}
    for path in run_paths(Path("runs")):
        if path.name in names:
            continue
        with suppress(BadArtefact):  # `finished_runs` has warned about it
            resume = f"`prodrec train {open_run(path).family} --resume --out {path}`"
            console.warn(f"{path} is not finished and is skipped; continue it with {resume}.")
    trained_on_data = [run for run in finished if other_dataset or run.dataset_fingerprint == data.fingerprint]
    for run in finished:
        if run not in trained_on_data:
            console.warn(f"{run.path} was trained on another dataset than {data.path} and is skipped.")
    if not trained_on_data:
        raise Mismatch(
            f"no run in runs/ was trained on {data.path} as it is now; train one, or name a run and --other-dataset."
        )
    return trained_on_data
