"""The run directory: all that is needed to go on training, to score and to deploy, without the dataset.

run.json            header, family, settings, what was resolved (device, arithmetic), result, status
catalogue.json      levels, attributes and their states
classes/            names and parents of every level's classes, see taxonomy; train_images.npy of every leaf
vocabulary.tsv      words of the titles, in id order
model.safetensors   weights of the finished run, see weights
history.csv         a row an epoch
checkpoints/        while training
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console, dist
from prodrec.core.base.arrays import load_array
from prodrec.core.base.artefact import Fingerprint, make_header, read_json_artefact
from prodrec.core.base.errors import BadArtefact, NotFound, OutputExists
from prodrec.core.base.outputs import new_directory, refuse_if_inside_file, write_json
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.training.lock import held_by_this_process
from prodrec.core.training.weights import map_weights, write_weights

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.data.titles.vocabulary import Vocabulary


@dataclass(frozen=True)
class Run:
    """An opened run directory. `header` is run.json; `train_images` is int64 [leaves]."""

    path: Path
    header: dict[str, Any]
    taxonomy: Taxonomy
    attributes: tuple[Attribute, ...]
    train_images: NDArray[np.int64]
    vocabulary: Vocabulary

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def family(self) -> str:
        return str(self.header["family"])

    @property
    def recipe(self) -> dict[str, Any]:
        return dict(self.header["recipe"])

    @property
    def fingerprint(self) -> str:
        return str(self.header["fingerprint"])

    @property
    def identity(self) -> str:
        """Fingerprint of what the run was asked to be; known before training, kept in its checkpoints."""
        return str(self.header["identity"])

    @property
    def dataset_fingerprint(self) -> str:
        return str(self.header["made_from"]["dataset"])

    @property
    def stored_side(self) -> int | None:
        """Pixels of the shorter side of photos as the dataset stored them; None where it left them as they were."""
        photos = self.header["inputs"]["photos"]
        return None if photos["in_place"] else int(photos["size"])

    @property
    def feature_width(self) -> int | None:
        """Numbers of the feature vectors that it was trained on; None where it was trained on photos."""
        features = self.header["inputs"].get("features")
        return None if features is None else int(features["width"])

    @property
    def finished(self) -> bool:
        return bool(self.header["status"] == "finished")

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def weights_path(self) -> Path:
        return self.path / "model.safetensors"

    def weights(self) -> dict[str, Tensor]:
        """Its finished weights by name, mapped from the disk. Raises BadArtefact for a missing or damaged file."""
        if not self.weights_path.is_file():
            raise BadArtefact(f"{self.path} has no model.safetensors; finish it with `prodrec train --resume`.")
        return map_weights(self.weights_path)


def create_run(
    path: Path,
    dataset: Dataset,
    *,
    recipe: dict[str, Any],
    arithmetic: dict[str, Any],
    word_vectors: dict[str, Any],
    force: bool,
) -> Run:
    """Make the directory of a new run of `recipe` on `dataset`, status "training".

    arithmetic: number type and memory layout; word_vectors: fingerprint and dimension of those it starts from.
    With `force` a finished run already there is set aside as `NAME.previous` until the new one is finished.
    Raises OutputExists, RunLocked where another process trains there.
    """
    refuse_if_taken(path, force=force)
    identity = Fingerprint().add("recipe", recipe).add("dataset", dataset.fingerprint)
    identity.add("arithmetic", arithmetic).add("word_vectors", word_vectors)
    content = {
        **make_header(
            "run", fingerprint=identity.hexdigest(), made_from={"dataset": dataset.fingerprint}, **_versions()
        ),
        "family": recipe["family"],
        "status": "training",
        "identity": identity.hexdigest(),
        "recipe": recipe,
        "arithmetic": arithmetic,
        "word_vectors": word_vectors,
        "inputs": _inputs_of(dataset),
        "tokenizer": {"name": dataset.vocabulary.tokenizer, "version": dataset.vocabulary.tokenizer_version},
        "result": {},
    }
    _make_room(path)
    with new_directory(path, kind="run") as beside:
        catalogue = {
            "taxonomy": dataset.taxonomy.save(beside / "classes"),
            "attributes": [{"name": a.name, "states": list(a.states)} for a in dataset.attributes],
        }
        np.save(beside / "classes" / "train_images.npy", dataset.train_images, allow_pickle=False)
        write_json(beside / "catalogue.json", catalogue)
        dataset.vocabulary.save(beside / "vocabulary.tsv")
        write_json(beside / "run.json", content)
    return open_run(path)


def _inputs_of(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """What must be known of the dataset's photos, or feature vectors, to make a network see others alike."""
    if dataset.feature_width is not None:
        return {"features": {"width": dataset.feature_width}}
    return {"photos": {name: dataset.header["photos"][name] for name in ("size", "in_place")}}


def refuse_if_taken(path: Path, *, force: bool) -> None:
    """Raise OutputExists where `path` is taken and may not be replaced; with `force` only a run is."""
    refuse_if_inside_file(path, kind="run")
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir():
        raise OutputExists(f"{path} is a file; expected a place for a run directory: give another with --out.")
    if not (path / "catalogue.json").is_file():
        raise OutputExists(f"{path} is not a prodrec run and is not replaced; give another place with --out.")
    if not force:
        how = "add --force to train anew" if _is_finished(path) else "add --resume to go on, or --force to train anew"
        raise OutputExists(f"{path} holds {'a finished' if _is_finished(path) else 'an unfinished'} run; {how}.")


def _is_finished(path: Path) -> bool:
    return (path / "run.json").is_file() and read_json_artefact(path, kind="run").get("status") == "finished"


def _make_room(path: Path) -> None:
    """Set a finished run aside, as the only one of that name; remove an unfinished one."""
    if not path.exists():
        return
    if _is_finished(path):
        previous = path.with_name(f"{path.name}.previous")
        shutil.rmtree(previous, ignore_errors=True)
        path.rename(previous)
    else:
        with held_by_this_process(path):
            shutil.rmtree(path)


def open_run(path: Path) -> Run:
    """Open a run directory, finished or not. Raises NotFound, BadArtefact."""
    from prodrec.core.data.titles.vocabulary import Vocabulary

    path = Path(path)
    found = read_json_artefact(path, kind="run")
    try:
        tokenizer = found["tokenizer"]
        catalogue = json.loads((path / "catalogue.json").read_text("utf-8"))
        vocabulary = Vocabulary.load(
            path / "vocabulary.tsv", tokenizer=tokenizer["name"], tokenizer_version=tokenizer["version"]
        )
        taxonomy = Taxonomy.load(path / "classes", catalogue["taxonomy"])
        leaves = (len(taxonomy.leaves),)
        run = Run(
            path=path,
            header=found,
            taxonomy=taxonomy,
            attributes=tuple(Attribute(a["name"], tuple(a["states"])) for a in catalogue["attributes"]),
            train_images=load_array(
                path / "classes" / "train_images.npy", np.int64, leaves, remedy="train the run again"
            ),
            vocabulary=vocabulary,
        )
        for key in ("family", "status", "identity", "recipe", "arithmetic", "word_vectors", "inputs", "made_from"):
            found[key]
    except (OSError, KeyError, TypeError, ValueError, AssertionError) as error:
        raise BadArtefact(f"{path} is incomplete: {error}; train the run again.") from error
    return run


def finish_run(
    run: Run, weights: Mapping[str, Tensor], result: dict[str, Any], *, shards: Mapping[str, dist.Shard] | None = None
) -> Run:
    """Write the weights, mark the run finished, remove its checkpoints and the run that it replaces.

    All ranks call it; `shards` says which rows this one holds of weights that they share.
    """
    beside = run.path / ".model.safetensors.partial"
    write_weights(beside, weights, shards or {})
    if dist.is_main():
        fingerprint = Fingerprint().add("run", run.identity).add("weights", np.memmap(beside, np.uint8, mode="r"))
        beside.replace(run.weights_path)
        content = {**run.header, "status": "finished", "result": result, "fingerprint": fingerprint.hexdigest()}
        write_json(run.path / "run.json", content)
        clear_up(run)
    dist.barrier()
    return open_run(run.path)


def clear_up(run: Run) -> None:
    """Remove what a finished run needs no longer: its checkpoints and the run that it replaces."""
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    shutil.rmtree(run.path.with_name(f"{run.path.name}.previous"), ignore_errors=True)


def finished_runs(directory: Path) -> list[Run]:
    """The finished runs in `directory`, by name. Raises NotFound where there is none."""
    places = sorted(p.parent for p in Path(directory).glob("*/run.json") if not p.parent.name.endswith(".previous"))
    runs = []
    for place in places:
        try:
            run = open_run(place)
        except BadArtefact as error:
            console.warn(f"{error} It is left out.")
            continue
        runs += [run] if run.finished else []
    if not runs:
        raise NotFound(f"{directory} holds no finished run; make one with `prodrec train sicot`.")
    return runs


def _versions() -> dict[str, str]:
    import torch
    import torchvision

    return {"torch": torch.__version__, "torchvision": torchvision.__version__}
