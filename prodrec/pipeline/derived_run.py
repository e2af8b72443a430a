"""Write a run whose network is that of another run, with other classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import dist
from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run


def choose_place(run: Run, out: str | Path | None, suffix: str, *, force: bool) -> Path:
    """Return the directory for a run that is derived from `run`: `out`, or by default runs/NAME-SUFFIX.

    Raise BadOption if it is that of `run`, OutputExists if it exists and may not be replaced. All ranks must call this.
    """
    from prodrec.core.training.write_run import refuse_if_taken

    path = Path("runs") / f"{run.name}-{suffix}" if out is None else Path(out)
    if path.resolve() == run.path.resolve():
        raise BadOption(f"--out {path} is the run whose network is used; give another place.")
    dist.run_on_main(lambda: refuse_if_taken(path, force=force))
    return path


def write_derived_run(
    run: Run,
    data: Dataset,
    path: Path,
    *,
    recipe: Mapping[str, Any],
    origin: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    shards: Mapping[str, dist.Shard] | None = None,
    train_images: Mapping[str, NDArray[np.int64]] | None = None,
    force: bool,
) -> Run:
    """Write a finished run for the classes of `data` with the weights of `run`, and return it.

    recipe:       entries that are added to the recipe of the run
    origin:       is completed by the name and the fingerprint of `run`
    weights:      replace those of `run` by name
    shards:       this rank's shards of `weights`
    train_images: numbers of training images by level, in place of those of `data`

    All ranks must call this.
    """
    from prodrec.core.training.precision import Precision
    from prodrec.core.training.run import open_run
    from prodrec.core.training.write_run import create_run, finish_run
    from prodrec.models.backbone_source import library_of

    library = library_of(run.recipe["network"]["backbone"])
    if dist.is_main():
        create_run(
            path,
            data,
            recipe={**run.recipe, **recipe},
            precision=Precision.from_json(run.header["arithmetic"]),
            word_vectors=run.header["word_vectors"],
            backbone=run.header.get("backbone"),
            libraries=[library] if library is not None else [],
            force=force,
            origin={"run": run.name, "fingerprint": run.fingerprint, **origin},
            network_of=run,
            train_images=train_images,
        )
    dist.barrier()
    dist.wait_for_path(path / "run.json")
    return finish_run(open_run(path), {**run.weights(), **weights}, {}, shards=shards)
