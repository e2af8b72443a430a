"""Checks before scoring: which splits to score, whether a run fits a dataset, and whether scores are up to date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.config import split_list
from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch
from prodrec.core.base.scoring_views import CENTRE
from prodrec.core.scores.reader import open_scores
from prodrec.inference.neighbours.operating_points import PLAIN_POINT, OperatingPoint

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run

DEFAULT_SPLITS = ("test", "validation")


def choose_splits(dataset: Dataset, requested: str | None) -> tuple[str, ...]:
    """Return the splits that `requested` names, such as `test,validation` or `all`.

    None requests those of DEFAULT_SPLITS that have photos. Raise BadOption for an unknown split or one without photos.
    """
    counts = np.bincount(dataset.split_N, minlength=len(SPLITS))
    with_photos = [name for name, count in zip(SPLITS, counts, strict=True) if count]
    if requested is None:
        default = tuple(name for name in DEFAULT_SPLITS if name in with_photos)
        if not default:
            raise BadOption(
                f"{dataset.path} has no test and no validation photos; score the training photos with --split train."
            )
        return default
    names = with_photos if requested == "all" else split_list(requested)
    known = f"there are {', '.join(SPLITS)}, or all"
    if not names:
        raise BadOption(f"--split {requested}: it names no split; {known}.")
    for name in names:
        if name not in SPLITS:
            raise BadOption(f"--split {requested}: there is no split {name!r}; {known}.")
        if name not in with_photos:
            raise BadOption(f"--split {requested}: {dataset.path} has no {name} photos.")
    return tuple(name for name in SPLITS if name in names)


def check_run_fits_dataset(
    run: Run,
    dataset: Dataset,
    *,
    with_titles: bool = False,
    other_dataset: bool = False,
    other_classes: bool = False,
) -> None:
    """Raise BadArtefact if the run is not finished, and Mismatch if it was trained on another dataset.

    other_dataset: allow another dataset with the same kind of inputs, levels, classes, predicted attributes and, with
                   titles, vocabulary
    other_classes: with `other_dataset`, allow other classes
    """
    if not run.finished:
        raise BadArtefact(
            f"{run.path} is not finished; continue with `prodrec train {run.family} --resume --out {run.path}`."
        )
    if with_titles and run.vocabulary.words != dataset.vocabulary.words:
        raise Mismatch(
            f"{run.path} and {dataset.path} have different vocabularies: word ids mean different words; "
            "score without --with-titles."
        )
    if run.dataset_fingerprint == dataset.fingerprint:
        return
    if run.feature_width != dataset.feature_width:
        trained_on, inputs = (
            "photos" if width is None else f"vectors of {width:,} numbers"
            for width in (run.feature_width, dataset.feature_width)
        )
        raise Mismatch(
            f"{run.path} was trained on {trained_on}, and {dataset.path} contains {inputs}; score another dataset."
        )
    difference = run.taxonomy.difference(dataset.taxonomy)
    is_allowed = other_classes and run.taxonomy.levels == dataset.taxonomy.levels
    if difference and not (is_allowed and other_dataset):
        remedy = "score the dataset that the run was trained on"
        if is_allowed:
            remedy += ", or add --other-dataset: photos of classes that the run does not know count as wrong then"
        raise Mismatch(f"{run.path} (here) and {dataset.path} (there) have other classes: {difference}; {remedy}.")
    if not other_dataset:
        raise Mismatch(
            f"{run.path} was trained on another dataset than {dataset.path}, with the same classes; photos that it was "
            "trained on may be in the test split here: if you are sure that they are not, add --other-dataset."
        )
    check_attributes(run, dataset)


def check_attributes(run: Run, dataset: Dataset) -> None:
    """Raise Mismatch if the run predicts an attribute that the dataset does not have, or has with other states."""
    network = run.recipe["network"]
    for attribute in run.attributes if "attributes" in network["heads"] else ():
        is_predicted = attribute.name in network["attributes"] or list(network["attributes"]) == ["all"]
        if is_predicted and attribute not in dataset.attributes:
            raise Mismatch(
                f"{run.path} predicts the attribute {attribute.name}, and {dataset.path} does not have it, "
                "or has it with other states; score a dataset that has the same attribute."
            )


def reason_out_of_date(
    scores_path: Path,
    run: Run,
    dataset: Dataset,
    *,
    splits: Sequence[str],
    top_k: int | None,
    with_titles: bool,
    point: OperatingPoint = PLAIN_POINT,
    views: str = CENTRE,
    tree_weight: float = 0.0,
    engine: str = TORCH,
) -> str | None:
    """Return why scoring again would change the scores at `scores_path`, or None if they are up to date.

    A damaged file is out of date. Raise NotFound if it does not exist.
    """
    try:
        with open_scores(scores_path) as scores:
            origin, file_top_k, scored_levels = scores.origin, scores.top_k, scores.scored_levels
    except BadArtefact as error:
        return str(error)
    if origin.made_from.get("run") != run.fingerprint:
        return f"it contains the scores of another run than {run.path} as it is now"
    if origin.made_from.get("dataset") != dataset.fingerprint:
        return f"it contains the scores of another dataset than {dataset.path} as it is now"
    if not set(splits) <= set(origin.splits):
        return f"it contains the splits {', '.join(origin.splits)} only"
    if origin.with_titles != with_titles:
        return f"it was scored {'with' if origin.with_titles else 'without'} titles"
    if origin.views != views:
        return f"it contains the scores of other views of the photos ({origin.views})"
    if origin.tree_weight != tree_weight:
        return f"it was scored with the tree weight {origin.tree_weight:g}"
    if origin.engine != engine:
        return f"it was scored by the engine {origin.engine}"
    if origin.operating_point != point.as_json():
        return "it was scored at another operating point"
    # a level stores no more scores than the run has classes, and attributes always store the scores of all states
    most_classes = max((run.taxonomy.count(level) for level in scored_levels), default=None)
    new_top_k = None if top_k is None or most_classes is None else min(top_k, most_classes)
    if file_top_k != new_top_k:
        return f"it contains {'all scores' if file_top_k is None else f'the {file_top_k} best scores only'}"
    return None
