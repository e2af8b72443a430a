"""`prodrec retrain-head`: fit the classifier of a finished run anew, and write a run with the same network."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base import console, dist
from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.models.second_stage.settings import SecondStage
from prodrec.models.settings.heads import ATTRIBUTES, WORDS
from prodrec.pipeline.derived_run import choose_place, write_derived_run
from prodrec.pipeline.frozen_features import frozen_features
from prodrec.pipeline.neighbours import complete_run, rows_to_choose_on
from prodrec.pipeline.scoring_targets import find_run

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.models.classifier.classifier import Classifier
    from prodrec.pipeline.scoring_network import ScoringNetwork


def retrain_head(
    run: str | Path,
    dataset: str | Path | None = None,
    *,
    method: str,
    out: str | Path | None = None,
    epochs: float | None = None,
    lr: float | None = None,
    seed: int | None = None,
    tau: float | None = None,
    shrinkage: float | None = None,
    mirror: bool = False,
    batch_size: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    force: bool = False,
) -> Run:
    """Fit the classifier of the deepest level anew on the frozen network's features, and return the new finished run.

    All other weights are those of the run. Operating points are chosen as at the end of `train`. The scores of the new
    classifier are for classes that are equally frequent; the natural operating point adds the frequencies again.

    Args:
        run: run directory, or the name of a run in `runs/`.
        dataset: directory of the dataset that the run was trained on; None is `dataset`.
        method: crt (train the classifier anew on photos drawn class by class), lws (train a scale for each class
            likewise), tau-norm (divide weights by a power of their length), ncm (nearest class mean), or lda (linear
            discriminant analysis).
        out: directory of the new run; by default `runs/NAME-METHOD`.
        epochs: with crt and lws, passes over as many draws as there are training photos; None is 10.
        lr: with crt and lws, learning rate of AdamW; None is 0.001 for crt and 0.01 for lws.
        seed: with crt and lws, seed of weights and draws; None is that of the run.
        tau: with tau-norm, the exponent; None chooses it on validation photos.
        shrinkage: with lda, share of the covariance that is replaced by a multiple of the identity; None takes that of
            Ledoit and Wolf.
        mirror: use the mirror image of every training photo too; not with tau-norm.
        batch_size: photos per batch of the network; None is that of training.
        device: auto, cpu, cuda or cuda:N.
        workers: processes that load photos; None chooses by the number of cores.
        force: replace a run at `out`.

    Raises:
        NotFound: if the run or the dataset does not exist.
        BadArtefact: if the run is unfinished or damaged.
        BadOption: for options that contradict each other, and for a run without a classifier of a level.
        Mismatch: if the run was trained on another dataset.
        OutputExists: if `out` exists and `force` is not set.
    """
    from dataclasses import replace

    from prodrec.core.base.device import choose_device
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training.run import open_run
    from prodrec.pipeline.scoring_network import ScoringNetwork

    stage = SecondStage(method, epochs=epochs, lr=lr, seed=seed, tau=tau, shrinkage=shrinkage, mirror=mirror)
    opened = open_run(dist.run_on_main(lambda: find_run(Path(run))))
    data = open_dataset(Path("dataset" if dataset is None else dataset))
    _check_run(opened, data, stage)
    new_path = choose_place(opened, out, method, force=force)
    if "seed" in stage.effective() and stage.seed is None:
        stage = replace(stage, seed=int(opened.recipe["training"]["seed"]))
    loaded = ScoringNetwork.load(
        opened,
        data,
        device=choose_device(device),
        batch_size=batch_size,
        workers=workers,
        divided=dist.world_size() > 1,
    )
    classifier, facts = _fit(loaded, data, stage, new_path)
    finished = _write(loaded, data, stage, classifier, facts, new_path, force=force)
    complete_run(finished, data, device=device, workers=workers)
    return finished


def _check_run(run: Run, data: Dataset, stage: SecondStage) -> None:
    """Raise BadArtefact, Mismatch or BadOption if the classifier of the run cannot be fitted on this dataset."""
    run.require_finished()
    if run.origin is not None:
        made = "has classes without photos, added to" if run.has_added_classes else "is a second stage of"
        raise BadOption(f"{run.path} {made} {run.origin['run']} already; name the run that was trained.")
    if run.dataset_fingerprint != data.fingerprint:
        raise Mismatch(
            f"{run.path} was trained on another dataset than {data.path}; name the dataset that it was trained on."
        )
    if set(run.recipe["network"]["heads"]) <= {ATTRIBUTES, WORDS}:
        raise BadOption(
            f"{run.path} predicts attributes alone, so it has no classifier of a level; train one with "
            "--set heads=leaf,attributes."
        )
    if run.recipe["network"].get("classifier_form") == "cosine":
        raise BadOption(
            f"{run.path} has a cosine classifier, which a linear one of a second stage cannot replace; train one with "
            "--set classifier_form=linear."
        )
    if stage.mirror and run.feature_width is not None:
        raise BadOption(f"--mirror: {data.path} contains feature vectors, not photos; omit it.")


def _fit(
    loaded: ScoringNetwork, data: Dataset, stage: SecondStage, new_path: Path
) -> tuple[Classifier, dict[str, Any]]:
    """Return the fitted classifier and facts about its fit. The features are in files beside the new run meanwhile."""
    import torch

    from prodrec.inference.neighbours.collect import labelled_rows
    from prodrec.models.second_stage.fit import fit_classifier

    level, frozen = loaded.level, loaded.network.level_heads[-1].classifier
    assert level is not None
    training_rows = validation_rows = np.zeros(0, np.int64)
    if stage.uses_training:
        training_rows = labelled_rows(data, "train", level)
    if stage.uses_validation:
        validation_rows = rows_to_choose_on(data, level)
        if not len(validation_rows):
            _report_missing_validation(stage)
    with ExitStack() as stack:
        training, validation = (
            stack.enter_context(frozen_features(loaded, data, rows, place, mirror=stage.mirror and name == "training"))
            for name, rows, place in (
                ("training", training_rows, new_path.with_name(f"{new_path.name}.training")),
                ("validation", validation_rows, new_path.with_name(f"{new_path.name}.validation")),
            )
        )
        return fit_classifier(
            frozen,
            stage,
            train_images_C=torch.from_numpy(data.train_images_by_level[level]),
            training=training,
            validation=validation,
            autocast=loaded.autocast,
            buffer_gib=loaded.recipe.network.score_buffer,
        )


def _report_missing_validation(stage: SecondStage) -> None:
    from prodrec.models.second_stage.tau_norm import PAPER_TAU

    chosen = f"tau is {PAPER_TAU}, as in the paper, and " if stage.method == "tau-norm" and stage.tau is None else ""
    console.info(
        f"no validation photo has a label and no duplicate among the training photos: {chosen}the scale of the scores "
        "is not calibrated."
    )


def _write(
    loaded: ScoringNetwork,
    data: Dataset,
    stage: SecondStage,
    classifier: Classifier,
    facts: dict[str, Any],
    path: Path,
    *,
    force: bool,
) -> Run:
    """Write the new run and return it. All ranks must call this."""
    run = loaded.run
    # Fingerprints, seeds and what the fit chose are not in the recipe: runs that differ in these are repeats.
    recipe_entry = {key: value for key, value in stage.effective().items() if key != "seed"}
    fit = {key: value for key, value in facts.items() if key != "logit_adjustment"}
    name = list(loaded.network.classifiers())[-1]
    weights = {f"{name}.weight": classifier.weight.detach(), f"{name}.bias": classifier.bias.detach()}
    return write_derived_run(
        run,
        data,
        path,
        recipe={"second_stage": recipe_entry},
        origin={**stage.effective(), "fit": fit, "logit_adjustment": facts["logit_adjustment"]},
        weights=weights,
        shards={} if classifier.shard is None else dict.fromkeys(weights, classifier.shard),
        force=force,
    )
