"""Which runs `prodrec score` scores, and where to."""

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


def read_places(places: Sequence[Path], dataset: Path | None) -> tuple[list[Path], Path]:
    """(run directories, dataset directory) from the arguments in any order; a run may be given by its name in runs/.

    No run at all stands for all of runs/. Raises NotFound, BadArtefact, BadOption.
    """
    runs = []
    for place in places:
        if (place / "dataset.json").is_file():
            if dataset is not None:
                raise BadOption(f"{dataset} and {place} are both datasets; give one.")
            dataset = place
        elif not place.exists() and (Path("runs") / place / "run.json").is_file():
            runs.append(Path("runs") / place)
        elif not place.exists():
            raise NotFound(
                f"{place} does not exist; expected a run directory, the name of a run in runs/, or a dataset."
            )
        elif not (place / "run.json").is_file():
            raise BadArtefact(f"{place} is neither a run (it has no run.json) nor a dataset (it has no dataset.json).")
        else:
            runs.append(place)
    return runs, dataset or Path("dataset")


def find_work(
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
    """The runs to score, each with the place of its scores; scores that are up to date.

    Without `runs` they are all finished ones in runs/. Raises BadOption, OutputExists, and what it finds wrong in them.
    """
    from prodrec.core.training.run import open_run
    from prodrec.inference.score import check_belongs, why_stale

    opened = [open_run(path) for path in runs] if runs else _all_runs(data, other_dataset)
    if out is not None and len(opened) > 1:
        raise BadOption(f"--out {out} is one place for {len(opened)} runs; name one run, or leave --out out.")
    suffix = "-with-titles" if with_titles else ""
    work, up_to_date = [], []
    for run in opened:
        check_belongs(run, data, with_titles=with_titles, other_dataset=other_dataset)
        place = out or Path("scores") / f"{run.name}{suffix}.h5"
        if not place.is_file() or force:
            work.append((run.path, place))
            continue
        stale = why_stale(place, run, data, splits=splits, top_k=top_k, with_titles=with_titles)
        if stale:
            raise OutputExists(f"{place} exists and {stale}; add --force to replace it, or give another --out.")
        up_to_date.append(place)
    return work, up_to_date


def _all_runs(data: Dataset, other_dataset: bool) -> list[Run]:
    """The finished runs in runs/ that were trained on `data`; the others are told. Raises NotFound, Mismatch."""
    from prodrec.core.training.run import finished_runs, open_run

    finished = finished_runs(Path("runs"))
    names = {run.path.name for run in finished}
    for place in sorted(p.parent for p in Path("runs").glob("*/run.json")):
        if place.name in names or place.name.endswith(".previous"):
            continue
        with suppress(BadArtefact):  # which `finished_runs` has told
            how = f"`prodrec train {open_run(place).family} --resume --out {place}`"
            console.warn(f"{place} is not finished and is left out; go on with {how}.")
    ours = [run for run in finished if other_dataset or run.dataset_fingerprint == data.fingerprint]
    for run in finished:
        if run not in ours:
            console.warn(f"{run.path} was trained on another dataset than {data.path} and is left out.")
    if not ours:
        raise Mismatch(
            f"no run in runs/ was trained on {data.path} as it is now; train one, or name a run and --other-dataset."
        )
    return ours
