"""The page of `prodrec report --html`: finds the runs and the dataset of the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console
from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch, NotFound, ProdrecError

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.scores.reader import Scores
    from prodrec.core.training.run import Run
    from prodrec.eval.page.details import DetailsCounter
    from prodrec.eval.page.inputs import PageInputs, RunFacts
    from prodrec.eval.report.report import Report
    from prodrec.eval.report.sections import Sections

DEFAULT_DATASET = Path("dataset")
PARTS_OF_RECIPE = ("network", "training", "photos")


@dataclass(frozen=True)
class ReportPage:
    """The page on open score files, before their rows are read.

    inputs:   the runs and the dataset of the scores.
    sections: the sections that its report needs.
    counters: by index of a file; each must get every chunk of its rows.
    """

    files: Sequence[Scores]
    inputs: PageInputs
    sections: Sections
    counters: Mapping[int, DetailsCounter]

    def render(self, report: Report) -> str:
        """Return the page as HTML, after all rows have been read; `report` has the rows of `sections`."""
        from prodrec.eval.page.build import build_page

        return build_page(report, self.files, self.inputs, self.counters)


def prepare_page(files: Sequence[Scores], *, dataset: Path | None, mean: bool) -> ReportPage:
    """Find the runs and the dataset of the scores.

    dataset: the dataset that was scored, for the photos; None is `dataset/`, if it is that one.
    mean:    as in `Evaluation`.

    Raise NotFound or BadArtefact if `dataset` is given and cannot be opened, and Mismatch if it is not the one that was
    scored.
    """
    from prodrec.eval.page.build import page_counters, page_sections
    from prodrec.eval.page.inputs import PageInputs, PhotoSource

    data, reason = _find_dataset(files, dataset)
    runs = [_run_facts(file) for file in files]
    if data is None or data.photos is None:
        inputs = PageInputs(runs, None, _dataset_facts(data), [f"The page has no photos: {reason}."])
    else:
        inputs = PageInputs(runs, PhotoSource(data.photos.decode, data.photo_files), _dataset_facts(data), [])
    return ReportPage(files, inputs, page_sections(files), page_counters(files, runs, mean=mean))


def _find_dataset(files: Sequence[Scores], dataset: Path | None) -> tuple[Dataset | None, str]:
    """Return the dataset of the scores, or None, and why the page has no photos.

    Raise NotFound, BadArtefact or Mismatch if `dataset` is given and is not usable.
    """
    from prodrec.core.data.dataset import open_dataset

    path = dataset or DEFAULT_DATASET
    if dataset is None and not path.exists():
        return None, f"there is no {path}/ here; name the dataset that was scored with --dataset"
    try:
        data = open_dataset(path)
    except (NotFound, BadArtefact) as error:
        if dataset is not None:
            raise
        return None, str(error).rstrip(".")
    other = next((file for file in files if file.origin.made_from.get("dataset") != data.fingerprint), None)
    if other is not None:
        if dataset is not None:
            raise Mismatch(
                f"--dataset {path}: {other.path} is not of this dataset as it is now; name the dataset that was "
                "scored, or score the run again."
            )
        return None, f"{path}/ is not the dataset of {other.path}; name the one that was scored with --dataset"
    return data, f"{path}/ has {data.inputs} in place of photos"


def _dataset_facts(data: Dataset | None) -> list[tuple[str, str]]:
    from prodrec.core.base.artefact import SPLITS

    if data is None:
        return []
    splits = ", ".join(f"{split} {len(data.rows(split)):,}" for split in SPLITS)
    levels = ", ".join(f"{level} {data.taxonomy.count(level):,}" for level in data.taxonomy.levels)
    return [
        ("Dataset", str(data.path)),
        ("Photos" if data.photos is not None else "Rows", f"{len(data):,} ({splits})"),
        ("Products", f"{data.product_count:,}"),
        ("Classes by level", levels),
        ("Attributes", ", ".join(attribute.name for attribute in data.attributes) or "none"),
        ("Fingerprint", data.fingerprint),
    ]


def _run_facts(file: Scores) -> RunFacts:
    from prodrec.eval.page.inputs import RunFacts

    recipe, run = file.origin.recipe, _find_run(file)
    return RunFacts(
        settings=_flat(recipe),
        defaults=_default_settings(recipe),
        history=[] if run is None else run.header["result"].get("epochs", []),
        directory=None if run is None else str(run.path),
        temperature=1.0 if run is None else _temperature(run, file),
        made_by=file.header["made_by"],
    )


def _find_run(file: Scores) -> Run | None:
    """Return the run of a scores file: the one of its name in `runs/`, here or beside the directory of the file."""
    from prodrec.core.training.run import open_run

    for directory in (Path("runs"), file.path.resolve().parent.parent / "runs"):
        path = directory / file.origin.run
        if not (path / "run.json").is_file():
            continue
        try:
            run = open_run(path)
        except ProdrecError as error:
            console.warn(f"{error} The page has no curves of it.")
            continue
        if run.fingerprint == file.origin.made_from.get("run"):
            return run
    return None


def _temperature(run: Run, file: Scores) -> float:
    """Return the temperature by which `predict` divides the scores of the file; 1 if it does not.

    Only scores as `predict` computes them are calibrated: those of the centre view without titles, not refined, at the
    operating point that the run still has.
    """
    from prodrec.core.base.scoring_views import CENTRE
    from prodrec.pipeline.load import load_calibration
    from prodrec.pipeline.scoring_targets import operating_points_of

    origin = file.origin
    as_in_predict = origin.views == CENTRE and not origin.with_titles and not origin.tree_weight
    if origin.family != run.family or not origin.operating_point or not as_in_predict:
        return 1.0
    try:
        (point,) = operating_points_of(run, origin.operating_point["name"], only_one=True)
        calibration = load_calibration(run, point) if point.as_json() == origin.operating_point else None
    except ProdrecError as error:
        console.warn(f"{error} The page takes the probabilities of {file.path} as they are.")
        return 1.0
    return 1.0 if calibration is None else calibration.temperature


def _default_settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the family without changes; empty for a family that is unknown, such as `bcnn-mcr`."""
    from prodrec.models.families import make_recipe

    try:
        return _flat(make_recipe(str(recipe.get("family", ""))).as_json())
    except BadOption:
        return {}


def _flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recipe by name, with lists in place of tuples, as in JSON."""
    parts = (recipe.get(part, {}) for part in PARTS_OF_RECIPE)
    return {
        key: list(value) if isinstance(value, tuple) else value
        for part in parts
        if isinstance(part, Mapping)
        for key, value in part.items()
    }
