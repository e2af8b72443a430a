"""`prodrec train`: settings in, one run out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.cli.train_plan import say_plan
from prodrec.core.base import console, dist
from prodrec.core.base.errors import BadOption, Mismatch

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.data.titles.embeddings import WordVectors
    from prodrec.core.training.loop import TrainState
    from prodrec.core.training.run import Run
    from prodrec.models.families import Recipe

FAMILIES = (
    "visual (photos alone), sicot (titles help in training); bcnn, sscnn (spatial attention), bmtl-rl, ssmtl-rl "
    "(root + leaf), bmtl-ca, ssmtl-ca (leaf + attributes)."
)
EXAMPLES = """
Examples:

- `prodrec train sicot` trains on `dataset/` and writes `runs/sicot/`
- `prodrec train visual data/shop --out runs/first --set backbone=mobilenet_v2 --set weights=weights.pth --set lr=0.05`
- `prodrec train ssmtl-ca --set heads=root,leaf,attributes --set titles=bilinear` has both papers in one network
- `prodrec train bcnn --set heads=root --out runs/bcnn-root` predicts the roots, for `prodrec refine-mcr`
- `prodrec train sicot --plan` says what it would take
- `prodrec train sicot --resume` goes on after a kill or Ctrl-C
- `prodrec train sicot --settings` lists every key of `--set`

On several ranks (processes, one a GPU, of one machine or many) the same command computes the same:

- `torchrun --nproc-per-node 4 -m prodrec train sicot` divides every batch of `batch_size` photos among four ranks
- `torchrun --nproc-per-node 4 -m prodrec train sicot --set scale_batch=true` gives each of them `batch_size` photos
"""


@command("train", parallel=True, epilog=EXAMPLES)
def train_command(
    family: Annotated[str, typer.Argument(help=FAMILIES)],
    dataset: Annotated[Path, typer.Argument(help="Dataset made by `prodrec prepare`.")] = Path("dataset"),
    out: Annotated[Path | None, typer.Option(help="Run directory. [default: runs/FAMILY]", show_default=False)] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings; --set wins over it.")] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(help="Word vectors. [default: DATASET/embeddings.h5, made when missing]", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out from its newest checkpoint.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say parameters, memory and time; train nothing.")] = False,
    settings: Annotated[bool, typer.Option("--settings", help="List every setting, its value and meaning.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that load photos. [default: by cores]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Train anew where --out holds a run already.")] = False,
) -> dict[str, Any]:
    """Train a model of a family on a prepared dataset.

    Every epoch the model is validated on photos alone, as it will be used. A kill at any moment loses minutes at most.
    """
    from prodrec.core.base.config import describe, mapping_keys, parse_assignments, read_toml
    from prodrec.models.families import make_recipe

    from_file = read_toml(config, mappings=mapping_keys(make_recipe(family).parts())) if config else {}
    assigned = parse_assignments(assignments or [])
    changes = {**from_file, **assigned}
    recipe = make_recipe(family, changes, where=dict.fromkeys(from_file, str(config)) | dict.fromkeys(assigned, "--set"))
    if settings:
        rows = describe([recipe.network, recipe.training, recipe.photos])
        _say_settings(family, rows)
        return {"family": family, "settings": {key: value for key, value, _ in rows}}
    out = out or Path("runs") / family
    if plan:
        return _say_plan(recipe, given=tuple(changes), dataset=dataset, out=out, embeddings=embeddings, device=device)
    run = train(
        recipe,
        given=tuple(changes),
        dataset=dataset,
        out=out,
        embeddings=embeddings,
        device=device,
        workers=workers,
        resume=resume,
        settings_given=bool(changes),
        force=force,
    )
    console.print(f"{run.path} is finished; next: `prodrec score {run.path} {dataset}`, then `prodrec report`.")
    return {"run": str(run.path), "fingerprint": run.fingerprint, **run.header["result"]}


def train(
    recipe: Recipe,
    *,
    given: Collection[str] = (),
    dataset: Path,
    out: Path,
    embeddings: Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    resume: bool = False,
    settings_given: bool = True,
    force: bool = False,
) -> Run:
    """Train `recipe` on the dataset at `dataset` into the run directory `out`; the finished run.

    given: settings that were asked for, and are refused where the dataset has no use for them
    With `resume` an unfinished run at `out` goes on with its own settings; `settings_given` says that `recipe` was
    asked for and must equal them. Raises the UserErrors of its parts, Interrupted after Ctrl-C.
    """
    import numpy as np

    from prodrec.core.base.device import choose_workers
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training.checkpoint import has_checkpoint
    from prodrec.core.training.run import clear_up, create_run, open_run, refuse_if_taken
    from prodrec.core.training.train import refuse_tiny_batches
    from prodrec.core.training.train import train as train_run
    from prodrec.models.families import Recipe

    data = open_dataset(dataset)
    recipe = _suited(recipe, data, given)
    # rank 0 looks, for all: what one sees on shared storage, another may not see yet
    run = open_run(out) if dist.broadcast(resume and (out / "run.json").is_file()) else None
    if run is not None:
        _check_same(run, data, recipe, settings_given)
        recipe = Recipe.from_json(run.recipe)
    if run is not None and run.finished:
        console.info(f"{out} is finished already.")
        if dist.is_main():
            clear_up(run)  # where the finishing was interrupted
        return run
    refuse_tiny_batches(data, recipe.training)
    if run is not None and dist.broadcast(has_checkpoint(run.checkpoints)):
        dimension = run.header["word_vectors"].get("dimension", 0)
        vectors_VE = np.zeros((len(data.vocabulary), dimension), np.float32) if dimension else None
        train_state = _trainee(recipe, data, vectors_VE, device, arithmetic=run.header["arithmetic"])
    else:
        if resume:
            console.info(f"{out} holds no checkpoint; starting from the beginning.")
        refuse_if_taken(out, force=force or resume)
        found = _word_vectors(recipe, data, embeddings)
        train_state = _trainee(recipe, data, found.vectors_VE if found else None, device)
        dist.barrier()  # all ranks have looked at the place before rank 0 changes it
        if dist.is_main():
            create_run(
                out,
                data,
                recipe=recipe.as_json(),
                arithmetic={
                    "dtype": str(train_state.dtype).removeprefix("torch."),
                    "channels_last": train_state.channels_last,
                },
                word_vectors={"fingerprint": found.fingerprint, "dimension": found.dimension} if found else {},
                force=force or resume,
            )
        dist.barrier()
        dist.wait_for_path(out / "run.json")
        run = open_run(out)
    loaders = choose_workers(workers, train_state.device, photos=data.photos is not None)
    return train_run(run, data, train_state, recipe.photos, workers=loaders)


def _check_same(run: Run, data: Dataset, recipe: Recipe, settings_given: bool) -> None:
    if run.dataset_fingerprint != data.fingerprint:
        raise Mismatch(f"{run.path} was trained on another dataset than {data.path}; give the one it was started with.")
    if run.family != recipe.family:
        raise BadOption(f"{run.path} is a {run.family} run, not {recipe.family}; give its family, or another --out.")
    if settings_given and recipe != type(recipe).from_json(run.recipe):
        raise BadOption(f"{run.path} was started with other settings; a resumed run keeps its own: leave out --set.")


def _trainee(
    recipe: Recipe, data: Dataset, vectors_VE: Any, device: str, *, arithmetic: dict[str, Any] | None = None
) -> TrainState:
    """The network on its device with its optimiser, as training begins; `arithmetic` is that of a run to be resumed.

    A resumed run has its weights in a checkpoint, so that no weights file is read for it.
    """
    import torch

    from prodrec.core.base.device import choose_device
    from prodrec.core.training.setup import make_train_state
    from prodrec.models.assemble import build_network
    from prodrec.models.sync_batch_norm import convert_sync_batch_norm

    torch.manual_seed(recipe.training.seed)
    network = build_network(
        recipe.network,
        taxonomy=data.taxonomy,
        attributes=data.attributes,
        words=len(data.vocabulary),
        word_vectors_VE=vectors_VE,
        train_images=data.train_images,
        load_weights=arithmetic is None,
        photo_size=(recipe.photos.height, recipe.photos.width),
        feature_width=data.feature_width,
    )
    place = choose_device(device)
    if dist.world_size() > 1:
        convert_sync_batch_norm(network, place)
    pixels = recipe.photos.height * recipe.photos.width if data.feature_width is None else 0
    keep = None if arithmetic is None else (getattr(torch, arithmetic["dtype"]), arithmetic["channels_last"])
    return make_train_state(network, recipe.training, place, pixels=pixels, arithmetic=keep)


def _word_vectors(recipe: Recipe, data: Dataset, path: Path | None) -> WordVectors | None:
    """What the recipe's word vectors start from, or None where it wants none; rank 0 pretrains missing ones first."""
    from prodrec.core.data.titles.embeddings import load_word_vectors
    from prodrec.pipeline.pretrain_embeddings import pretrain_embeddings

    if recipe.network.titles is None or recipe.network.word_vectors == "random":
        if path is not None:
            raise BadOption(f"--embeddings {path} does nothing here: this recipe uses no pretrained word vectors.")
        return None
    place = path or data.path / "embeddings.h5"
    if path is None and not dist.broadcast(place.exists()):
        console.info(f"{place} does not exist; pretraining word vectors on the training titles first.")
        if dist.is_main():
            pretrain_embeddings(data, deterministic=True)
        dist.barrier()
    return load_word_vectors(place, dataset_fingerprint=data.fingerprint)


def _say_settings(family: str, rows: list[tuple[str, str, str]]) -> None:
    from rich.table import Table

    table = Table("key", "value", "meaning", title=f"settings of {family}", title_justify="left", box=None)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _suited(recipe: Recipe, data: Dataset, given: Collection[str]) -> Recipe:
    """The recipe for what the dataset shows and for the ranks that train it.

    Raises BadArtefact where it shows nothing, BadOption.
    """
    from prodrec.models.adapt import adapt_recipe

    data.refuse_nothing()
    recipe = adapt_recipe(recipe, data.inputs, given=given, where=data.path)
    return replace(recipe, training=recipe.training.on_ranks(dist.world_size()))


def _say_plan(
    recipe: Recipe, *, given: Collection[str], dataset: Path, out: Path, embeddings: Path | None, device: str
) -> dict[str, Any]:
    import numpy as np

    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.data.titles.word2vec import DEFAULT_DIMENSION
    from prodrec.core.training.plan import plan as plan_training
    from prodrec.core.training.train import refuse_tiny_batches

    data = open_dataset(dataset)
    recipe = _suited(recipe, data, given)
    vectors_VE: Any = None
    needed = recipe.network.titles is not None and recipe.network.word_vectors == "pretrained"
    if needed and embeddings is None and not (data.path / "embeddings.h5").exists():
        # Nothing is made for a plan; vectors of the usual width take as long.
        vectors_VE = np.ones((len(data.vocabulary), DEFAULT_DIMENSION), np.float32)
    elif vectors := _word_vectors(recipe, data, embeddings):
        vectors_VE = vectors.vectors_VE
    refuse_tiny_batches(data, recipe.training)
    train_state = _trainee(recipe, data, vectors_VE, device)
    found = plan_training(train_state, data, recipe.photos, streams=2 if recipe.network.titles else 1)
    console.print(f"{recipe.family} on {data.path}, {found.precision} on {found.device}: would write {out}")
    say_plan(found, epochs=recipe.training.epochs)
    return found.as_json()
