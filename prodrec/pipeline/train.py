"""`prodrec train`: train a model on a dataset."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console, dist
from prodrec.core.base.config import format_value
from prodrec.core.base.errors import BadOption, Mismatch, did_you_mean
from prodrec.pipeline.build_train_state import build_train_state
from prodrec.pipeline.choose_family import resolve_family
from prodrec.pipeline.choose_settings import adapt_to, choose_recipe, read_budget
from prodrec.pipeline.classifier_start import start_classifiers
from prodrec.pipeline.training_notes import report_gaps
from prodrec.pipeline.word_vectors import load_word_vectors_of

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.core.training.train_state import TrainState
    from prodrec.models.families import Recipe
    from prodrec.models.situation import Budget


def train(
    family: str = "auto",
    dataset: str | Path = "dataset",
    *,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
    embeddings: str | Path | None = None,
    preset: str = "auto",
    time: str | None = None,
    resume: bool = False,
    auto_resume: bool = False,
    device: str = "auto",
    workers: int | None = None,
    force: bool = False,
) -> Run:
    """Train a model of a family on a prepared dataset and return the finished run.

    Args:
        family: visual, sicot, words, titled, bcnn, sscnn, bmtl-rl, bmtl-ca, ssmtl-rl, ssmtl-ca; or auto: words or
            visual, by what titles say about small classes.
        dataset: directory that `prepare` wrote.
        out: run directory; by default `runs/FAMILY`.
        settings: settings by key, such as `{"lr": 0.01, "backbone": "resnet18"}`; the keys of `--set`.
        config: TOML file with settings; those in `settings` win over it.
        embeddings: file of word vectors; by default `embeddings.h5` in the dataset, which is made if it is missing.
        preset: auto, fast or best choose the settings that are not set, for the dataset, this machine and 20, 5 or
            120 minutes; paper takes those of the family's paper.
        time: time for the training in place of that of the preset: 90s, 20m, 1.5h.
        resume: continue an unfinished run at `out` from its newest checkpoint, with the settings of the run.
        auto_resume: resume if `out` contains a run, else start it: for scripts that are started again.
        device: auto, cpu, cuda or cuda:N.
        workers: processes that load photos; None chooses by the number of cores.
        force: train anew if `out` contains a run; a finished one is kept until the new one is finished.

    Raises:
        BadOption: for an unknown family, or settings that are unknown or contradict each other.
        NotFound, BadArtefact, Mismatch: if the dataset, the run or the embeddings are missing or do not fit.
        OutputExists: if `out` exists and neither `resume` nor `force` is set.
        RunLocked: if another process trains this run.
        Interrupted: after Ctrl-C, as soon as a checkpoint is complete.
        LostContact: if another rank is gone.
        ProdrecError: if the loss is not finite, or a file cannot be written.
    """
    budget = read_budget(time, preset)
    family, data = resolve_family(family, dataset)
    recipe, explicit = read_recipe(family, settings or {}, config=config, source="settings")
    return train_recipe(
        recipe,
        explicit=explicit,
        budget=budget,
        dataset=data,
        out=Path(out) if out is not None else default_run(family),
        embeddings=None if embeddings is None else Path(embeddings),
        device=device,
        workers=workers,
        resume=resume,
        auto_resume=auto_resume,
        force=force,
    )


def default_run(family: str) -> Path:
    """Return the default run directory of a family."""
    return Path("runs") / family


def read_recipe(
    family: str, settings: Mapping[str, Any], *, config: str | Path | None = None, source: str = "--set"
) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe of a family after the settings of a TOML file and then `settings`, and the keys of both.

    `source` names the origin of `settings` in errors. Raise NotFound or BadOption.
    """
    from prodrec.core.base.config import mapping_keys, read_toml
    from prodrec.models.families import make_recipe

    from_file = read_toml(Path(config), mappings=mapping_keys(make_recipe(family).parts())) if config else {}
    sources = dict.fromkeys(from_file, str(config)) | dict.fromkeys(settings, source)
    changes = {**from_file, **settings}
    return make_recipe(family, changes, source=sources), tuple(changes)


def train_recipe(
    recipe: Recipe,
    *,
    explicit: Collection[str] | None = None,
    budget: Budget | None = None,
    dataset: Path | Dataset,
    out: Path,
    embeddings: Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    resume: bool = False,
    auto_resume: bool = False,
    force: bool = False,
) -> Run:
    """Train `recipe` on a dataset (opened, or its directory) into the run directory `out`, and return the finished run.

    explicit: keys of the settings that the user has set; None is all. Raise BadOption if the dataset cannot use one.
    budget:   choose the settings that are not explicit for this time; None keeps them
    resume:   continue the run at `out`, with its settings. Raise BadOption if there is none, or if an explicit setting
              differs from them
    auto_resume: resume if there is a run at `out`, else start it

    See `train` for the other arguments and errors.
    """
    from prodrec.core.base.device import choose_workers
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training.run import open_run, run_paths
    from prodrec.core.training.train import train as train_run
    from prodrec.core.training.training_batches import refuse_tiny_batches
    from prodrec.core.training.validate import require_validation
    from prodrec.core.training.write_run import refuse_if_taken, remove_leftovers
    from prodrec.models.families import Recipe
    from prodrec.pipeline.neighbours import complete_run

    data = open_dataset(dataset) if isinstance(dataset, Path) else dataset
    data.require_inputs()
    # Rank 0 decides for all ranks: shared storage may show a new file to one machine before another.
    is_run = dist.broadcast((out / "run.json").is_file())
    if resume and not is_run:
        others = [path.name for path in run_paths(out.parent)]
        raise BadOption(
            f"{out} is no run{did_you_mean(out.name, others)}, so nothing can be resumed; omit --resume, or "
            "give --auto-resume in a script that is started again."
        )
    resume |= auto_resume and is_run
    run = open_run(out) if resume else None
    if run is not None:
        _check_resumable(run, data, adapt_to(data, recipe, explicit or ()), explicit)
        recipe = Recipe.from_json(run.recipe)
        if run.finished:
            console.info(f"{out} is finished already.")
            if dist.is_main():
                remove_leftovers(run)  # the training may have been interrupted before it removed them
            complete_run(run, data, device=device, workers=workers)
            return run
    else:
        dist.run_on_main(lambda: refuse_if_taken(out, force=force))
        require_validation(data, recipe.training)
        recipe = choose_recipe(data, recipe, explicit, device=device, budget=budget, workers=workers)
        report_gaps(data, recipe)
    refuse_tiny_batches(data, recipe.training)
    run, train_state = _resume(run, data, recipe, device) or _start(
        data, recipe, out, embeddings, device, workers=workers, resume=resume, force=force
    )
    loaders = choose_workers(workers, train_state.device, photos=data.photos is not None)
    run = train_run(run, data, train_state, recipe.photos, workers=loaders)
    del train_state
    complete_run(run, data, device=device, workers=workers)
    return run


def _check_resumable(run: Run, data: Dataset, recipe: Recipe, explicit: Collection[str] | None) -> None:
    """Raise Mismatch or BadOption if dataset, family or explicit settings differ from those of the run."""
    if run.origin is not None and not run.finished:
        if run.has_added_classes:
            kind, command = "run with added classes", f"prodrec add-classes {run.origin['run']} {data.path}"
        else:
            kind, command = "second stage", f"prodrec retrain-head {run.origin['run']} --method {run.origin['method']}"
        remedy = f"make it again with `{command} --out {run.path} --force`"
        raise BadOption(f"{run.path} is an unfinished {kind}, not a training; {remedy}.")
    if run.dataset_fingerprint != data.fingerprint:
        raise Mismatch(
            f"{run.path} was trained on another dataset than {data.path}; name the dataset that it was started with."
        )
    if run.family != recipe.family:
        raise BadOption(f"{run.path} is a {run.family} run, not {recipe.family}; name its family, or another --out.")
    own = type(recipe).from_json(run.recipe)
    pairs = list(zip(recipe.parts(), own.parts(), strict=True))
    keys = {name for part, _ in pairs for name in vars(part)} if explicit is None else set(explicit)
    different = [
        (key, format_value(getattr(other, key)), format_value(getattr(part, key)))
        for part, other in pairs
        for key in vars(part)
        if key in keys and getattr(part, key) != getattr(other, key)
    ]
    if different:
        listed = ", ".join(f"{key}={was}, not {wanted}" for key, was, wanted in different)
        sets = [f"--set={key}={wanted}" for key, _, wanted in different if key != "weights"]
        further = ["prodrec", "train", run.family, str(data.path), f"--set=weights={run.path}", *sets]
        place = run.path.with_name(f"{run.path.name}-further")
        raise BadOption(
            f"{run.path} was started with {listed}; a resumed run keeps its settings: omit --set. To train its network "
            f"further in a new run: `{shlex.join([*further, '--out', str(place)])}`."
        )


def _resume(run: Run | None, data: Dataset, recipe: Recipe, device: str) -> tuple[Run, TrainState] | None:
    """Return the unfinished run and a TrainState for its newest checkpoint, or None if it has no checkpoint."""
    import numpy as np

    from prodrec.core.training.checkpoint_files import has_checkpoint
    from prodrec.core.training.precision import Precision

    if run is None or not dist.broadcast(has_checkpoint(run.checkpoints)):
        return None
    dimension = run.header["word_vectors"].get("dimension", 0)
    vectors_VE = np.zeros((len(data.vocabulary), dimension), np.float32) if dimension else None
    return run, build_train_state(
        recipe, data, vectors_VE, device, precision=Precision.from_json(run.header["arithmetic"])
    )


def _start(
    data: Dataset,
    recipe: Recipe,
    out: Path,
    embeddings: Path | None,
    device: str,
    *,
    workers: int | None,
    resume: bool,
    force: bool,
) -> tuple[Run, TrainState]:
    """Create the run directory `out` and return the new run and its TrainState, before the first step."""
    from prodrec.core.training.run import open_run
    from prodrec.core.training.training_batches import refuse_single_photos
    from prodrec.core.training.write_run import create_run, refuse_if_taken
    from prodrec.models.backbone_source import library_of
    from prodrec.models.backbones import describe_source

    if resume:
        console.info(f"{out} has no checkpoint; starting from the beginning.")
    refuse_if_taken(out, force=force or resume)
    word_vectors = load_word_vectors_of(recipe, data, embeddings)
    train_state = build_train_state(recipe, data, word_vectors.vectors_VE if word_vectors else None, device)
    refuse_single_photos(data, recipe.photos, train_state)
    start_classifiers(train_state, recipe, data, workers=workers)
    library = library_of(recipe.network.backbone)
    source = describe_source(recipe.network.backbone, recipe.network.weights)
    dist.barrier()  # all ranks have checked `out` before rank 0 changes it
    if dist.is_main():
        create_run(
            out,
            data,
            recipe=recipe.as_json(),
            precision=train_state.precision,
            backbone=source.as_json() if source is not None else {},
            libraries=[library] if library is not None else [],
            word_vectors=(
                {"fingerprint": word_vectors.fingerprint, "dimension": word_vectors.dimension} if word_vectors else {}
            ),
            force=force or resume,
        )
    dist.barrier()
    dist.wait_for_path(out / "run.json")
    return open_run(out), train_state
