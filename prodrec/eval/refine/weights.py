"""The HDF5 file of fitted weights.

Root attributes: the artefact header, normaliser, penalty, k (0 for R_c = Ω), lambda, kept (whether the weights were
fitted on top-k scores), fit (splits), folds, levels (of the taxonomy), refined (levels). Datasets, for n categories of
all refined levels, numbered consecutively, and P weights:

    classes/<level>/name, name_offsets, parent   of all levels of the taxonomy, as in scores.h5
    bounds   [n + 1]  int64        category c has the weights bounds[c] to bounds[c + 1] - 1
    columns  [P]      int32        R_c, ascending: the category whose score each weight multiplies
    values   [P]      float64      the weights

Shapes: n categories; P weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from typing_extensions import TypedDict

from prodrec.core.base.artefact import Fingerprint, make_header
from prodrec.core.base.errors import Mismatch, NotFound
from prodrec.core.base.hdf5 import LIBVER, open_hdf5, read_attributes, read_taxonomy, write_attributes, write_level
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.refine.model import MCRModel
from prodrec.eval.refine.related_sets import RelatedSets
from prodrec.eval.refine.tree import Tree

KIND = "mcr-weights"


@dataclass(frozen=True)
class WeightsFile:
    """The content of a weights file.

    recipe:    penalty, k and fit (the splits whose rows the weights were fitted on).
    made_from: fingerprints of the dataset and of the score files.
    """

    model: MCRModel
    taxonomy: Taxonomy
    lambda_: float
    recipe: dict[str, Any]
    made_from: dict[str, str]
    fingerprint: str


def write_weights(
    path: Path,
    model: MCRModel,
    taxonomy: Taxonomy,
    *,
    lambda_: float,
    recipe: dict[str, Any],
    made_from: dict[str, str],
) -> str:
    """Write a weights file and return its fingerprint. `recipe` contains fit, penalty, k and folds."""
    related = model.related
    attributes = {
        **recipe,
        "lambda": lambda_,
        "normaliser": model.normaliser,
        "kept": model.top_k,
        "levels": list(taxonomy.levels),
        "refined": list(related.tree.levels),
    }
    content = Fingerprint().add("made_from", made_from).add("facts", attributes)
    taxonomy.add_to(content)
    arrays = {
        "bounds": related.bounds_n1,
        "columns": related.columns_P,
        "values": model.weights_P,
        "covered": (np.ones(related.tree.n) if model.covered_n is None else model.covered_n).astype(np.uint8),
    }
    for name, array in arrays.items():
        content.add(name, array)
    fingerprint = content.hexdigest()
    head = make_header(KIND, fingerprint=fingerprint, made_from=made_from, h5py=h5py.__version__)
    with h5py.File(path, "w", libver=LIBVER, locking=False) as file:
        write_attributes(file, {**head, **attributes}, ensure_ascii=True)
        for level in taxonomy.levels:
            write_level(file, taxonomy, level)
        for name, array in arrays.items():
            file[name] = array
    return fingerprint


class WeightsHeader(TypedDict):
    """The root attributes of the file that are read."""

    fingerprint: str
    made_from: dict[str, str]
    normaliser: str
    penalty: str
    k: int
    kept: bool | int
    fit: list[str]
    levels: list[str]
    refined: list[str]


def read_weights(path: Path) -> WeightsFile:
    """Read a weights file. Raise NotFound if it does not exist, BadArtefact if it is damaged or of another kind."""
    if not Path(path).is_file():
        raise NotFound(f"weights file {path} does not exist; make one with `prodrec refine-mcr`.")
    with open_hdf5(path, remedy="fit the weights again") as file:
        head = read_attributes(
            file, kind=KIND, path=Path(path), json_names=("made_from", "fit", "levels", "refined"), schema=WeightsHeader
        )
        taxonomy = read_taxonomy(file, head["levels"])
        bounds, columns, values, covered = (file[name][:] for name in ("bounds", "columns", "values", "covered"))
        tree = Tree.from_taxonomy(taxonomy, tuple(head["refined"]))
        complete = len(bounds) == tree.n + 1 and bounds[0] == 0 and bounds[-1] == len(columns) == len(values)
        if not complete or (np.diff(bounds) < 1).any() or columns.min() < 0 or columns.max() >= tree.n:
            raise ValueError("its weights do not fit its classes")
        if covered.shape != (tree.n,):
            raise ValueError("it does not tell which classes it was fitted on")
        if not np.isfinite(values).all():
            raise ValueError("its weights are not finite")
        return WeightsFile(
            MCRModel(
                RelatedSets(tree, bounds, columns), values, head["normaliser"], bool(head["kept"]), covered.astype(bool)
            ),
            taxonomy,
            float(head["lambda"]),
            {"penalty": head["penalty"], "k": head["k"], "fit": head["fit"]},
            head["made_from"],
            head["fingerprint"],
        )


def check_same_classes(weights: WeightsFile, path: Path, taxonomy: Taxonomy, scores: Path) -> None:
    """Raise Mismatch unless the weights of `path` were fitted on the classes of the scores file `scores`."""
    difference = weights.taxonomy.difference(taxonomy)
    if difference:
        raise Mismatch(
            f"{path} (here) and {scores} (there) have other classes: {difference}; fit weights on these scores."
        )
