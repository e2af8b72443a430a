"""Choose the runs that `prodrec score` scores, and the files that it writes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base import console
from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch, NotFound, OutputExists

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run


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


def choose_targets(
    runs: Sequence[Path],
    data: Dataset,
    *,
    out: Path | None,
    splits: Sequence[str],
    top_k: int | None,
    with_titles: bool,
    other_dataset: bool,
    force: bool,
) -> tuple[list[tuple[Path, Path]], list[Path]]:
    """Return the runs to score, each with its scores file, and the files that are up to date.

    An empty `runs` means all finished runs in `runs/`. Raise BadOption, OutputExists, or the error of a run that
    cannot be scored.
    """
    from prodrec.core.training.run import open_run
    from prodrec.inference.scoring_checks import check_run_fits_dataset, reason_out_of_date

    opened = [open_run(path) for path in runs] if runs else _runs_of_dataset(data, other_dataset)
    if out is not None and len(opened) > 1:
        raise BadOption(f"--out {out} is one place for {len(opened)} runs; name one run, or omit --out.")
    suffix = "-with-titles" if with_titles else ""
    targets, up_to_date = [], []
    for run in opened:
        check_run_fits_dataset(run, data, with_titles=with_titles, other_dataset=other_dataset)
        file = out or Path("scores") / f"{run.name}{suffix}.h5"
        if not file.is_file() or force:
            targets.append((run.path, file))
            continue
        reason = reason_out_of_date(file, run, data, splits=splits, top_k=top_k, with_titles=with_titles)
        if reason:
            raise OutputExists(f"{file} exists and {reason}; add --force to replace it, or give another --out.")
        up_to_date.append(file)
    return targets, up_to_date


def _runs_of_dataset(data: Dataset, other_dataset: bool) -> list[Run]:
    """Return the finished runs in `runs/` that were trained on `data`, or with `other_dataset` on any dataset.

    Print a warning for every other run. Raise NotFound if no run is finished, Mismatch if none was trained on `data`.
    """
    from prodrec.core.training.run import finished_runs, open_run

    finished = finished_runs(Path("runs"))
    names = {run.path.name for run in finished}
    for path in sorted(p.parent for p in Path("runs").glob("*/run.json")):
        if path.name in names or path.name.endswith(".previous"):
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
