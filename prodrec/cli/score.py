"""`prodrec score`: finished runs in, a scores file for each out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.cli.score_places import find_work, read_places
from prodrec.core.base import console, dist
from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from prodrec.core.data.batches import Batch
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.data.photos.config import PhotoConfig
    from prodrec.core.training.run import Run
    from prodrec.models.families import Recipe
    from prodrec.models.network import RecognitionNetwork

EXAMPLES = """
Examples:

- `prodrec score` scores every finished run in `runs/` that has no scores yet, each to `scores/NAME.h5`
- `prodrec score runs/sicot dataset --out scores/sicot.h5` scores one run
- `prodrec score sicot --with-titles` uses the titles as well, to `scores/sicot-with-titles.h5`
- `prodrec score visual --split all --top-k 100` keeps the 100 best classes of every photo
- `torchrun --nproc-per-node 4 -m prodrec score` divides the photos among four ranks; the file is that of one process,
  written by rank 0, which chooses the runs; each machine must see the dataset and the runs
"""
ROOM_ON_GPU = 0.7
"""Of a GPU's free memory, that weights may take before their classes are divided among the ranks."""


@dataclass(frozen=True)
class How:
    """How photos are scored; none changes which. Raises BadOption."""

    top_k: int | None = None
    with_titles: bool = False
    batch_size: int | None = None
    precision: str = "auto"
    device: str = "auto"
    workers: int | None = None
    divide_classes: bool = False

    def __post_init__(self) -> None:
        if self.precision not in ("auto", "fp32", "bf16"):
            raise BadOption(f"--precision {self.precision}: expected auto, fp32 or bf16.")
        if self.top_k is not None and self.top_k < 1:
            raise BadOption(f"--top-k {self.top_k}: expected at least 1.")
        if self.divide_classes and dist.world_size() == 1:
            raise BadOption("--divide-classes: there is one process; start several with torchrun, or leave it out.")
        if self.divide_classes and self.top_k is None:
            raise BadOption("--divide-classes: no rank has the scores of all classes then; add --top-k.")


@command("score", parallel=True, epilog=EXAMPLES)
def score_command(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]… [DATASET]",
            help="Run directories or names in runs/, and the dataset. [default: all of runs/, dataset]",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Dataset made by `prodrec prepare`. [default: dataset]", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Scores file. [default: scores/NAME.h5]", show_default=False)] = None,
    split: Annotated[
        str | None, typer.Option(help="Splits, or all. [default: test,validation]", show_default=False)
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Keep only the K best classes of every level.")] = None,
    with_titles: Annotated[
        bool, typer.Option("--with-titles", help="Use titles too, where the run has learnt them.")
    ] = False,
    other_dataset: Annotated[
        bool, typer.Option("--other-dataset", help="Allow a dataset other than that of training, of the same classes.")
    ] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Photos at a time. [default: as trained]")] = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16, or auto: as trained.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that load photos. [default: by cores]")] = None,
    divide_classes: Annotated[
        bool,
        typer.Option(
            "--divide-classes",
            help="Let each rank hold a part of the classes, with --top-k. [default: where all do not fit on a GPU]",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace scores that exist already.")] = False,
) -> dict[str, Any]:
    """Write what finished runs say of every photo: features and unnormalised scores of all classes.

    Photos alone are used, as in deployment, unless --with-titles is given. Runs with up-to-date scores are skipped.
    """
    how = How(top_k, with_titles, batch_size, precision, device, workers, divide_classes)
    runs, data = dist.run_on_main(lambda: read_places(places or [], dataset))
    scored, skipped = score(runs, data, out=out, split=split, how=how, other_dataset=other_dataset, force=force)
    for path in skipped:
        console.print(f"{path} is up to date")
    for found in scored:
        rows = ", ".join(f"{count:,} {name}" for name, count in found["rows"].items())
        console.print(f"{found['scores']}: {rows} photos by {found['run']}, {found['photos_per_second']:,.0f} a second")
    console.print("next: `prodrec report --by-head-tail`")
    return {"scored": scored, "up_to_date": [str(path) for path in skipped]}


def score(
    runs: Sequence[Path],
    dataset: Path,
    *,
    out: Path | None = None,
    split: str | None = None,
    how: How | None = None,
    other_dataset: bool = False,
    force: bool = False,
) -> tuple[list[dict[str, Any]], list[Path]]:
    """Score `runs`, or without any every finished run in runs/; what was scored, and files that were up to date.

    Everything is checked before the first network runs. Raises the UserErrors of its parts.
    """
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training.run import open_run
    from prodrec.inference.score import choose_splits

    how = how or How()
    data = open_dataset(dataset)
    splits = choose_splits(data, split)
    # rank 0 looks, for all: what one sees on shared storage, another may not see yet, or not at all
    work, up_to_date = dist.run_on_main(
        lambda: find_work(
            runs,
            data,
            out=out,
            splits=splits,
            top_k=how.top_k,
            with_titles=how.with_titles,
            other_dataset=other_dataset,
            force=force,
        )
    )
    opened = [(open_run(path), place) for path, place in work]
    return [_score(run, data, place, splits, how, force=force) for run, place in opened], up_to_date


def _score(run: Run, data: Dataset, place: Path, splits: Sequence[str], how: How, *, force: bool) -> dict[str, Any]:
    import torch

    from prodrec.core.base.device import choose_device, choose_workers
    from prodrec.inference.score import deal, rows_of
    from prodrec.inference.score import score as score_run
    from prodrec.models.families import Recipe

    recipe = Recipe.from_json(run.recipe, where=str(run.path))
    device, trained = choose_device(how.device), run.header["arithmetic"]
    channels_last = trained["channels_last"]
    in_bf16 = trained["dtype"] == "bfloat16" if how.precision == "auto" else how.precision == "bf16"
    batch_size = how.batch_size or recipe.training.batch_size
    order, own = deal(rows_of(data, splits), batch_size=batch_size)
    divided = how.divide_classes or _must_divide(run, device, how)
    return score_run(
        run,
        data,
        load_network(run, recipe, device, channels_last=channels_last, divided=divided),
        _batches(
            data,
            order,
            recipe.photos,
            device,
            channels_last=channels_last,
            workers=choose_workers(how.workers, device, photos=data.photos is not None),
        ),
        own=own,
        out=place,
        splits=splits,
        top_k=how.top_k,
        with_titles=how.with_titles,
        arithmetic=torch.autocast(device.type, dtype=torch.bfloat16, enabled=in_bf16),
        force=force,
    )


def _must_divide(run: Run, device: torch.device, how: How) -> bool:
    """Whether the weights are too large for the GPU of a rank. A CPU reads them from the file as they are needed."""
    import torch

    if device.type != "cuda" or dist.world_size() == 1 or how.top_k is None:
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return dist.any_rank(run.weights_path.stat().st_size > ROOM_ON_GPU * free)


def load_network(
    run: Run, recipe: Recipe, device: torch.device, *, channels_last: bool = False, divided: bool = False
) -> RecognitionNetwork:
    """The network of a finished run on `device`, ready to score. Raises BadArtefact where weights and recipe differ.

    divided: each rank holds a part of the classes of the deepest level.
    """
    import torch

    from prodrec.models.assemble import restore_network

    try:
        network = restore_network(
            recipe.network,
            run.weights(),
            taxonomy=run.taxonomy,
            attributes=run.attributes,
            photo_size=(recipe.photos.height, recipe.photos.width),
            feature_width=run.feature_width,
            divided=divided,
        )
    except Mismatch as error:
        raise BadArtefact(f"{run.path}: {error}") from error
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return network.to(device=device, memory_format=layout).eval()  # type: ignore[call-overload,no-any-return]


def _batches(
    data: Dataset,
    order: list[NDArray[np.int64]],
    photos: PhotoConfig,
    device: torch.device,
    *,
    channels_last: bool,
    workers: int,
) -> Iterator[Batch]:
    """The photos of the rows of `order` as they are, on `device`."""
    from prodrec.core.data.batches import RowBatches, load

    for batch in load(RowBatches(data, photos, augment=False), order, workers=workers):
        yield batch.to_device(device, photos, channels_last=channels_last)
