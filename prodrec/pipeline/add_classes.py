"""`prodrec add-classes`: add classes without photos to a finished run, by the words of their titles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base import console, dist
from prodrec.core.base.class_matching import match_classes
from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.base.taxonomy import PATH_SEPARATOR
from prodrec.models.settings.heads import WORDS
from prodrec.pipeline.derived_run import choose_place, write_derived_run
from prodrec.pipeline.frozen_features import frozen_features
from prodrec.pipeline.neighbours import describe_points, rows_to_choose_on, write_points
from prodrec.pipeline.scoring_targets import find_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.pipeline.scoring_network import ScoringNetwork

Matches = tuple["NDArray[np.int64]", ...]
"""By level, the index of every class of the run among those of the new dataset."""


def add_classes(
    run: str | Path,
    dataset: str | Path,
    *,
    trained_on: str | Path | None = None,
    out: str | Path | None = None,
    bonus: float = 0.0,
    batch_size: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    force: bool = False,
) -> Run:
    """Write a finished run with the classes of `dataset`, in which new classes are recognised by their words.

    The network remains that of the run, which must have been trained with heads=leaf,words. Known classes keep their
    weights, and are recognised by the names of their paths. The weights of a new class are made from the words of its
    training titles, of its name and of its title in the class table (`models/class_words.py`), at every level that the
    run predicts. Their scale is chosen on the validation photos of the run's own dataset, by hiding known classes
    (`models/hidden_classes.py`).

    Args:
        run: run directory, or the name of a run in `runs/`.
        dataset: directory of a dataset that has the classes of the run and new ones. It needs no photos.
        trained_on: directory of the dataset that the run was trained on; None is `dataset`.
        out: directory of the new run; by default `runs/NAME-extended`.
        bonus: nats added to the scores of new classes; above 0, they are recognised more often, and known classes less.
        batch_size: photos per batch of the network; None is that of training.
        device: auto, cpu, cuda or cuda:N.
        workers: processes that load photos; None chooses by the number of cores.
        force: replace a run at `out`.

    Raises:
        NotFound: if the run or a dataset does not exist.
        BadArtefact: if the run is unfinished or damaged.
        BadOption: on several ranks, if the run predicts no words or has a classifier that is not linear in the same
            feature, if the dataset has no new class, or a new class has no title with a word that the run predicts.
        Mismatch: if `trained_on` is not the dataset of the run, or `dataset` lacks one of its classes.
        OutputExists: if `out` exists and `force` is not set.
    """
    from prodrec.core.base.device import choose_device
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training.run import open_run
    from prodrec.pipeline.scoring_network import ScoringNetwork

    if dist.world_size() > 1:
        raise BadOption("adding classes runs in one process: start it without torchrun.")
    opened = open_run(find_run(Path(run)))
    old = open_dataset(Path("dataset" if trained_on is None else trained_on))
    new = open_dataset(Path(dataset))
    _check_run(opened, old)
    matches = _match(opened, new)
    new_path = choose_place(opened, out, "extended", force=force)
    _warn_of_trained_products(opened, old, new)
    options: dict[str, Any] = {"device": choose_device(device), "batch_size": batch_size, "workers": workers}
    loaded = ScoringNetwork.load(opened, old, **options)
    _check_network(loaded)
    relabelled = _relabelled(old, new, matches)
    finished = _write(loaded, old, new, relabelled, matches, new_path, bonus=bonus, force=force)
    _complete(ScoringNetwork.load(finished, relabelled, **options), opened, relabelled, matches)
    return finished


def _check_run(run: Run, old: Dataset) -> None:
    """Raise BadArtefact, Mismatch or BadOption if classes cannot be added to the run."""
    run.require_finished()
    if run.dataset_fingerprint != old.fingerprint:
        raise Mismatch(f"{run.path} was trained on another dataset than {old.path}; name that with --trained-on.")
    network = run.recipe["network"]
    retrain = "train one with --set"
    if WORDS not in network["heads"]:
        raise BadOption(f"{run.path} does not predict the words of titles; {retrain} heads=leaf,words.")
    if network.get("classifier_form") == "cosine":
        raise BadOption(
            f"{run.path} has a cosine classifier, which words do not give; {retrain} classifier_form=linear."
        )
    for name, part in (("word_units", "before the words"), ("embed", "before the classes")):
        if network.get(name) is not None:
            raise BadOption(
                f"{run.path} has a layer of its own {part} ({name}={network[name]}), so words and classes do not have "
                f"the same feature; {retrain} {name}=none."
            )


def _check_network(loaded: ScoringNetwork) -> None:
    """Raise BadOption if a level has private layers, which the words do not have."""
    if any(len(head.private) for head in loaded.network.level_heads):  # type: ignore[arg-type]
        raise BadOption(
            f"{loaded.run.path} has private layers before the classes, so words and classes do not have the same "
            "feature; train one with --set private_width=0."
        )


def _match(run: Run, new: Dataset) -> Matches:
    """Return the matches of the classes.

    Raise Mismatch if the dataset lacks a class or a predicted attribute, BadOption if it has no new class.
    """
    from prodrec.inference.scoring_checks import check_attributes

    if run.taxonomy.levels != new.taxonomy.levels:
        here, there = (", ".join(taxonomy.levels) for taxonomy in (run.taxonomy, new.taxonomy))
        raise Mismatch(f"the levels of {run.path} are {here}, and those of {new.path} are {there}; prepare it alike.")
    matches = match_classes(run.taxonomy, new.taxonomy)
    for level, index_C in zip(run.taxonomy.levels, matches, strict=True):
        missing = np.flatnonzero(index_C < 0)
        if len(missing):
            name = PATH_SEPARATOR.join(run.taxonomy.path(int(missing[0]), level))
            more = f" and {len(missing) - 1:,} more classes of {run.path}" if len(missing) > 1 else f" of {run.path}"
            raise Mismatch(
                f"{new.path} lacks the class {name!r}{more}; prepare the old products and the new ones together."
            )
    if not any(
        len(index_C) < new.taxonomy.count(level) for level, index_C in zip(new.taxonomy.levels, matches, strict=True)
    ):
        raise BadOption(f"{new.path} has no class that {run.path} does not have; score it with --other-dataset.")
    check_attributes(run, new)
    return matches


def _warn_of_trained_products(run: Run, old: Dataset, new: Dataset) -> None:
    """Warn if test or validation products of the new dataset were trained on."""
    ids, rows = new.ids(), np.concatenate([new.rows("test"), new.rows("validation")])
    trained = int((old.ids().take(old.rows("train")).find(ids.take(rows)) >= 0).sum())
    if trained:
        console.warn(
            f"{trained:,} test or validation products of {new.path} are among those that {run.path} was trained on, so "
            "scores on them are too high; prepare both with the same --split and --seed."
        )


def _relabelled(old: Dataset, new: Dataset, matches: Matches) -> Dataset:
    """Return the dataset of the run with the classes of the new one."""
    label_NL = np.stack(
        [
            np.where(label_N < 0, -1, index_C[label_N])
            for index_C, label_N in zip(matches, old.labels_NL.T, strict=True)
        ],
        1,
    )
    return replace(old, taxonomy=new.taxonomy, labels_NL=label_NL.astype(np.int32), class_titles=new.class_titles)


def _write(
    loaded: ScoringNetwork,
    old: Dataset,
    new: Dataset,
    relabelled: Dataset,
    matches: Matches,
    path: Path,
    *,
    bonus: float,
    force: bool,
) -> Run:
    """Fit the rows of the new classes, write the new run and return it."""
    from prodrec.core.training.run import ADD_CLASSES
    from prodrec.pipeline.new_rows import extend_heads, typical_images

    run, level = loaded.run, loaded.level
    assert level is not None
    images = {}
    for name, index_C in zip(new.taxonomy.levels, matches, strict=True):
        images[name] = np.zeros(new.taxonomy.count(name), np.int64)
        images[name][index_C] = run.train_images_by_level[name]
    rows = rows_to_choose_on(old, level)
    with frozen_features(loaded, old, rows, path.with_name(f"{path.name}.validation")) as features:
        if features is None:
            raise BadOption(
                f"{old.path} has no validation photo with a label and without a duplicate among the training photos, "
                "so the scores of new classes cannot be calibrated; prepare it with a validation split and train again."
            )
        weights, fit = extend_heads(loaded, relabelled, new, matches, images, rows=rows, features=features, bonus=bonus)
    origin: dict[str, Any] = {"method": ADD_CLASSES, "fit": fit, "typical_images": typical_images(run)}
    if run.origin is not None and "logit_adjustment" in run.origin:
        origin["logit_adjustment"] = run.origin["logit_adjustment"]
    return write_derived_run(
        run,
        new,
        path,
        recipe={"added_classes": {"bonus": bonus}},  # a training on the same dataset is not a repeat of this run
        origin=origin,
        weights=weights,
        train_images=images,
        force=force,
    )


def _complete(loaded: ScoringNetwork, source: Run, relabelled: Dataset, matches: Matches) -> None:
    """Let the training photos of the old run vote for its classes in the new one, and choose the operating points."""
    from prodrec.inference.neighbours.training_features import (
        NEIGHBOURS_FILE,
        copy_training_features,
        read_training_features,
    )

    level, wanted = loaded.level, loaded.recipe.training.operating_points
    if level is None or wanted == "none":
        return
    if wanted == "neighbours":
        features = read_training_features(source.path / NEIGHBOURS_FILE, run_fingerprint=source.fingerprint)
        index_C = matches[relabelled.taxonomy.levels.index(level)]
        copy_training_features(
            features,
            loaded.run.path / NEIGHBOURS_FILE,
            run_fingerprint=loaded.run.fingerprint,
            dataset_fingerprint=relabelled.fingerprint,
            class_N=index_C[features.class_N].astype(np.int32),
        )
    console.info(f"operating points:\n{describe_points(write_points(loaded, relabelled, level))}")
