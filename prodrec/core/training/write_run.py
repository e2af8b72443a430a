"""Create a run directory before training, and finish it afterwards. `run.py` lists its files."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base import dist
from prodrec.core.base.artefact import Fingerprint, make_header, read_json_artefact
from prodrec.core.base.errors import OutputExists
from prodrec.core.base.lock import HOLDER_NAME, LOCK_NAME, lock_directory
from prodrec.core.base.outputs import new_directory, refuse_if_inside_file, write_json
from prodrec.core.training.precision import Precision
from prodrec.core.training.run import REPLACED_MARK, Run, open_run
from prodrec.core.training.weights import write_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from prodrec.core.data.dataset import Dataset

PACKAGES = {"open_clip": "open_clip_torch"}
"""Names on PyPI of libraries whose packages have another name."""

# --- before training


def refuse_if_taken(path: Path, *, force: bool) -> None:
    """Raise OutputExists if `path` exists and may not be replaced. With `force`, a run may be replaced."""
    refuse_if_inside_file(path, kind="run")
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir():
        raise OutputExists(f"{path} is a file; expected a place for a run directory: give another with --out.")
    if not (path / "catalogue.json").is_file():
        raise OutputExists(f"{path} is not a prodrec run and is not replaced; give another place with --out.")
    if force:
        return
    if _is_finished(path):
        raise OutputExists(f"{path} contains a finished run; add --force to train anew.")
    raise OutputExists(f"{path} contains an unfinished run; add --resume to continue, or --force to train anew.")


def create_run(
    path: Path,
    dataset: Dataset,
    *,
    recipe: dict[str, Any],
    precision: Precision,
    word_vectors: dict[str, Any],
    backbone: Mapping[str, Any] | None = None,
    libraries: Sequence[str] = (),
    force: bool,
    origin: dict[str, Any] | None = None,
    network_of: Run | None = None,
    train_images: Mapping[str, NDArray[np.int64]] | None = None,
) -> Run:
    """Create the directory of a new run of `recipe` on `dataset`, with status "training".

    word_vectors: fingerprint and dimension of the initial word vectors; empty if the recipe uses none
    backbone:     origin and licence of the backbone's weights, if its library states them
    libraries:    names of the libraries whose versions are recorded, besides torch and torchvision
    force:        replace a run at `path`. A finished one is kept as `NAME.previous` until the new one is finished; if
                  something else has this name, as `NAME.previous-2`, and so on
    origin:       of a run with the network of another one: that run, and how its classifiers were fitted
    network_of:   that run, whose inputs, attributes and words the new run has in place of those of `dataset`
    train_images: numbers of training images by level, in place of those of `dataset`

    Raise OutputExists as `refuse_if_taken` does, and RunLocked if another process trains the run at `path`.
    """
    refuse_if_taken(path, force=force)
    identity = Fingerprint().add("recipe", recipe).add("dataset", dataset.fingerprint)
    identity.add("arithmetic", precision.as_json()).add("word_vectors", word_vectors)
    if origin is not None:
        identity.add("origin", origin)
    attributes, vocabulary = (network_of or dataset).attributes, (network_of or dataset).vocabulary
    header = make_header(
        "run", fingerprint=identity.hexdigest(), made_from={"dataset": dataset.fingerprint}, **_versions(libraries)
    )
    content = {
        **header,
        "family": recipe["family"],
        "status": "training",
        "identity": identity.hexdigest(),
        "recipe": recipe,
        "arithmetic": precision.as_json(),
        "word_vectors": word_vectors,
        "backbone": dict(backbone or {}),
        **({} if origin is None else {"origin": origin}),
        "inputs": _describe_inputs(dataset) if network_of is None else network_of.header["inputs"],
        "tokenizer": {"name": vocabulary.tokenizer, "version": vocabulary.tokenizer_version},
        "result": {},
    }
    if path.exists():
        _clear(path, identity.hexdigest())
    with new_directory(path, kind="run") as partial:
        catalogue = {
            "taxonomy": dataset.taxonomy.save(partial / "classes"),
            "attributes": [{"name": a.name, "states": list(a.states)} for a in attributes],
        }
        *upper_levels, leaves = (train_images or dataset.train_images_by_level).values()
        np.save(partial / "classes" / "train_images.npy", leaves, allow_pickle=False)
        for depth, images in enumerate(upper_levels):
            np.save(partial / "classes" / f"train_images-{depth}.npy", images, allow_pickle=False)
        write_json(partial / "catalogue.json", catalogue)
        vocabulary.save(partial / "vocabulary.tsv")
        write_json(partial / "run.json", content)
    return open_run(path)


def _clear(path: Path, identity: str) -> None:
    """Make room for the run `identity`: rename a finished run and mark it, or remove the files of an unfinished one."""
    if _is_finished(path):
        _remove_replaced(path)  # a kill may have come before the run removed it
        (path / REPLACED_MARK).write_text(identity, "utf-8")
        path.rename(next(previous for previous in _previous_names(path) if not os.path.lexists(previous)))
        return
    with lock_directory(path):
        for previous in _replaced_by(path):
            (previous / REPLACED_MARK).write_text(identity, "utf-8")
        for entry in path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name not in (LOCK_NAME, HOLDER_NAME):  # which `lock_directory` removes
                entry.unlink()


def _is_finished(path: Path) -> bool:
    return (path / "run.json").is_file() and read_json_artefact(path, kind="run").get("status") == "finished"


def _replaced_by(path: Path) -> list[Path]:
    """Return the finished runs that were renamed to make room for the run at `path`."""
    identity = read_json_artefact(path, kind="run").get("identity") if (path / "run.json").is_file() else None
    marks = [previous / REPLACED_MARK for previous in itertools.takewhile(os.path.lexists, _previous_names(path))]
    return [mark.parent for mark in marks if mark.is_file() and mark.read_text("utf-8") == identity]


def _remove_replaced(path: Path) -> None:
    for previous in _replaced_by(path):
        shutil.rmtree(previous, ignore_errors=True)


def _previous_names(path: Path) -> Iterator[Path]:
    yield path.with_name(f"{path.name}.previous")
    yield from (path.with_name(f"{path.name}.previous-{number}") for number in itertools.count(2))


def _describe_inputs(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return the form of the photos or the length of the feature vectors that the network expects."""
    if dataset.feature_width is not None:
        return {"features": {"width": dataset.feature_width}}
    return {"photos": {name: dataset.header["photos"][name] for name in ("size", "in_place")}}


def _versions(libraries: Sequence[str]) -> dict[str, str]:
    import torch
    import torchvision

    others = {name: version(PACKAGES.get(name, name)) for name in libraries}
    return {"torch": torch.__version__, "torchvision": torchvision.__version__, **others}


# --- after training


def finish_run(
    run: Run, weights: Mapping[str, Tensor], result: dict[str, Any], *, shards: Mapping[str, dist.Shard] | None = None
) -> Run:
    """Write the weights, set the status to "finished" and remove what is no longer needed. Return the finished run.

    All ranks must call this. shards: by name, this rank's shard of every weight whose rows are divided among the ranks
    """
    partial = run.path / ".model.safetensors.partial"  # one name for all ranks, which write the file together
    write_weights(partial, weights, shards or {})
    if dist.is_main():
        fingerprint = Fingerprint().add("run", run.identity).add("weights", np.memmap(partial, np.uint8, mode="r"))
        partial.replace(run.weights_path)
        content = {**run.header, "status": "finished", "result": result, "fingerprint": fingerprint.hexdigest()}
        write_json(run.path / "run.json", content)
        remove_leftovers(run)
    dist.barrier()
    return open_run(run.path)


def remove_leftovers(run: Run) -> None:
    """Remove what a finished run no longer needs: its checkpoints, and the run that it replaces, which has a mark."""
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    _remove_replaced(run.path)
