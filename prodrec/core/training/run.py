"""The run directory: what is needed to score and to deploy without the dataset, and to resume training with it.

    run.json            header, family, status, identity, settings ("recipe"), precision ("arithmetic"), word vectors,
                        form of the inputs, tokenizer, result; with the network of another run also its "origin"
    catalogue.json      levels, attributes and their states
    classes/            names and parents of the classes of every level; train_images.npy of the leaves, and
                        train_images-N.npy of level N, counted from 0
    vocabulary.tsv      words of the titles, in the order of their ids
    model.safetensors   weights of the finished run
    neighbours.h5       vectors of the training photos, and operating_points.json; see inference/neighbours/
    history.csv         a row per epoch
    curves.svg          the same as a picture
    tensorboard/        the same values, if TensorBoard is installed
    checkpoints/        during training only
    .replaced-by        in a run that `train --force` has renamed to NAME.previous: identity of the run that replaces it

This module opens runs, and `write_run.py` creates and finishes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.arrays import load_array
from prodrec.core.base.artefact import read_json_artefact
from prodrec.core.base.errors import DAMAGE, BadArtefact, NotFound
from prodrec.core.base.json_types import check_types, read_json
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.dataset_file import CatalogueFile
from prodrec.core.training.run_file import RunFile
from prodrec.core.training.weights import map_weights

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.core.data.titles.vocabulary import Vocabulary

REPLACED_MARK = ".replaced-by"
ADD_CLASSES = "add-classes"
"""The method of a run to which classes without photos were added."""


@dataclass(frozen=True, repr=False)
class Run:
    """An opened run directory.

    header:       content of run.json
    train_images: training images of every leaf, int64 [leaves]
    """

    path: Path
    header: dict[str, Any]
    taxonomy: Taxonomy
    attributes: tuple[Attribute, ...]
    train_images: NDArray[np.int64]
    vocabulary: Vocabulary

    def __repr__(self) -> str:
        """Return path, family, status, epochs and, after validation, top-1 and MACC of its weights, in one line."""
        epochs = self.header["result"].get("epochs", [])
        facts = [str(self.path), self.family, str(self.header["status"])]
        if self.origin is not None:
            facts.append(f"{self.origin['method']} on the network of {self.origin['run']}")
        if epochs:
            facts.append("1 epoch" if len(epochs) == 1 else f"{len(epochs)} epochs")
            top1, macc = self.kept_row.get("validation_top1"), self.kept_row.get("validation_macc")
            if top1 is not None:
                facts.append(f"validation top-1 {top1:.2%}, MACC {macc:.2%}")
        return f"Run({', '.join(facts)})"

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.path.resolve().name

    @property
    def family(self) -> str:
        """Name of the model family."""
        return str(self.header["family"])

    @property
    def recipe(self) -> dict[str, Any]:
        """All settings of the run, as plain values."""
        return dict(self.header["recipe"])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the identity and, if the run is finished, of its weights."""
        return str(self.header["fingerprint"])

    @property
    def identity(self) -> str:
        """Fingerprint of settings, dataset, precision and word vectors. It is known before training."""
        return str(self.header["identity"])

    @property
    def dataset_fingerprint(self) -> str:
        """Fingerprint of the dataset that the run is trained on."""
        return str(self.header["made_from"]["dataset"])

    @property
    def train_images_by_level(self) -> dict[str, NDArray[np.int64]]:
        """Number of training images of every class, by level: int64 [classes]. Raise BadArtefact for a damaged file.

        Runs of older versions have no files of the upper levels; there, the images of the leaves below are summed.
        """
        images = {}
        for depth, level in enumerate(self.taxonomy.levels[:-1]):
            path, count = self.path / "classes" / f"train_images-{depth}.npy", self.taxonomy.count(level)
            if path.is_file():
                images[level] = load_array(path, np.int64, (count,), remedy="train the run again")
            else:
                images[level] = np.zeros(count, np.int64)
                np.add.at(images[level], self.taxonomy.ancestors()[:, depth], self.train_images)
        return {**images, self.taxonomy.leaf_level: self.train_images}

    @property
    def prior_images_by_level(self) -> dict[str, NDArray[Any]]:
        """Numbers of training images by level from which the prior of the classes is computed [classes].

        They are those of `train_images_by_level`, but classes without photos that were added have those of a typical
        class. Raise BadArtefact for a damaged file.
        """
        images = self.train_images_by_level
        typical = self.origin["typical_images"] if self.origin is not None and self.has_added_classes else {}
        return {level: np.where(n_C > 0, n_C, typical.get(level, 0)) for level, n_C in images.items()}

    @property
    def kept_row(self) -> dict[str, Any]:
        """The row of history.csv of the epoch whose weights the run has; empty for a run without epochs."""
        epochs: list[dict[str, Any]] = self.header["result"].get("epochs", [])
        kept = self.header["result"].get("kept_epoch", len(epochs))  # older versions did not record it
        return epochs[kept - 1] if epochs else {}

    @property
    def origin(self) -> dict[str, Any] | None:
        """Name and fingerprint of the run whose network this one has, and how its classifiers were fitted.

        `method` is that of a second stage, or ADD_CLASSES. None for a run that was trained as a whole.
        """
        return self.header.get("origin")

    @property
    def has_added_classes(self) -> bool:
        """Whether classes without photos were added to another run."""
        return self.origin is not None and self.origin["method"] == ADD_CLASSES

    @property
    def stored_side(self) -> int | None:
        """Shorter side in pixels to which the dataset resized its photos, or None if it uses the original files.

        Only for runs that were trained on photos.
        """
        photos = self.header["inputs"]["photos"]
        return None if photos["in_place"] else int(photos["size"])

    @property
    def feature_width(self) -> int | None:
        """Length of the feature vectors of the dataset, or None if the run was trained on photos."""
        features = self.header["inputs"].get("features")
        return None if features is None else int(features["width"])

    @property
    def finished(self) -> bool:
        """Whether training has reached its end."""
        return bool(self.header["status"] == "finished")

    def require_finished(self) -> None:
        """Raise BadArtefact if training has not reached its end."""
        if not self.finished:
            resume = f"`prodrec train {self.family} --resume --out {self.path}`"
            raise BadArtefact(f"{self.path} is not finished; continue it with {resume}.")

    @property
    def checkpoints(self) -> Path:
        """Directory of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def weights_path(self) -> Path:
        """File of the finished weights."""
        return self.path / "model.safetensors"

    def weights(self) -> dict[str, Tensor]:
        """Return the finished weights by name, mapped from the disk. Raise BadArtefact if there are none."""
        if not self.weights_path.is_file():
            raise BadArtefact(f"{self.path} has no model.safetensors; finish it with `prodrec train --resume`.")
        return map_weights(self.weights_path)


def open_run(path: Path) -> Run:
    """Open a run directory, finished or not. Raise NotFound or BadArtefact."""
    from prodrec.core.data.titles.vocabulary import Vocabulary

    path = Path(path)
    header = read_json_artefact(path, kind="run", schema=RunFile)
    if not header["inputs"]:
        raise BadArtefact(f"{path / 'run.json'} is damaged: inputs is empty; train the run again.")
    if header["result"].get("kept_epoch", 0) > len(header["result"].get("epochs", [])):
        raise BadArtefact(f"{path / 'run.json'} is damaged: it lacks the epoch that it has kept; train the run again.")
    if not (path / "catalogue.json").is_file():
        raise BadArtefact(f"{path} is incomplete: it has no catalogue.json; train the run again.")
    catalogue = read_json(path / "catalogue.json", remedy="train the run again")
    check_types(catalogue, CatalogueFile, path / "catalogue.json", remedy="train the run again")
    try:
        tokenizer, taxonomy = header["tokenizer"], Taxonomy.load(path / "classes", catalogue["taxonomy"])
        return Run(
            path=path,
            header=header,
            taxonomy=taxonomy,
            attributes=tuple(Attribute(a["name"], tuple(a["states"])) for a in catalogue["attributes"]),
            train_images=load_array(
                path / "classes" / "train_images.npy", np.int64, (len(taxonomy.leaves),), remedy="train the run again"
            ),
            vocabulary=Vocabulary.load(
                path / "vocabulary.tsv", tokenizer=tokenizer["name"], tokenizer_version=tokenizer["version"]
            ),
        )
    except DAMAGE as error:
        raise BadArtefact(f"{path} is incomplete: {error}; train the run again.") from error


def run_paths(directory: Path) -> list[Path]:
    """Return the runs in `directory`, sorted by name, without those that are being replaced."""
    paths = (file.parent for file in Path(directory).glob("*/run.json"))
    return sorted(path for path in paths if not (path / REPLACED_MARK).exists())


def finished_runs(directory: Path) -> list[Run]:
    """Return the finished runs in `directory`, sorted by name. Raise NotFound if there is none.

    A damaged run is skipped with a warning.
    """
    runs = []
    for path in run_paths(directory):
        try:
            run = open_run(path)
        except BadArtefact as error:
            console.warn(f"{error} It is skipped.")
            continue
        if run.finished:
            runs.append(run)
    if not runs:
        raise NotFound(f"{directory} contains no finished run; make one with `prodrec train sicot`.")
    return runs
