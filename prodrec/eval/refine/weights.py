"""Fitted weights: applied to scores, saved as HDF5, read again.

Root attributes: the artefact header, normaliser, penalty, k (0: all), lambda, kept, fit (splits), folds, levels (of the
taxonomy) and refined (levels). Datasets, n categories of the refined levels side by side, P weights:

    classes/<level>/name, name_offsets, parent   as in scores.h5, of all levels of the taxonomy
    bounds   [n + 1]  int64        the weights of category c are those from bounds[c] to bounds[c + 1]
    columns  [P]      int32        R_c, ascending: which score each weight multiplies
    values   [P]      float64

Shapes: R rows of a piece; n categories; K kept of a level; P parameters.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import Fingerprint, check_header, header
from prodrec.core.base.errors import BadArtefact, Mismatch, NotFound
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.core.scores.schema import HDF5_VERSION, key
from prodrec.eval.refine.dense import LevelProduct
from prodrec.eval.refine.kept import KeptRows, kept_scores
from prodrec.eval.refine.pattern import Pattern
from prodrec.eval.refine.related import RelatedScores
from prodrec.eval.refine.tree import tree_of

KIND = "mcr-weights"


@dataclass(frozen=True)
class Weights:
    """W of S eq. 2 inside R_c. kept: fitted on the best scores only, each relative to the smallest kept one."""

    pattern: Pattern
    values_P: NDArray[np.float64]
    normaliser: str
    kept: bool = False

    def refine_all(self, f_Rn: NDArray[Any]) -> list[NDArray[Any]]:
        """Refined scores, R×C by level, of all scores side by side: w_c · f_c, or log P(c) of eq. 2 as printed.

        In the precision of the scores given.
        """
        tree = self.pattern.tree
        f_nR = np.ascontiguousarray(f_Rn.T)
        if self.normaliser == "related":
            refined = self._related.scores(f_nR)
            return [refined[tree.starts_L1[at] : tree.starts_L1[at + 1]].T for at in range(tree.depth)]
        if f_nR.dtype not in self._prepared:
            parts = [self.values_P[self.pattern.of_level(at)] for at in range(tree.depth)]
            self._prepared[f_nR.dtype] = [
                product.prepare(part, f_nR.dtype) for product, part in zip(self._products, parts, strict=True)
            ]
        prepared = self._prepared[f_nR.dtype]
        return [
            product.scores(weights, f_nR).T.copy() for product, weights in zip(self._products, prepared, strict=True)
        ]

    def refine_kept(self, rows: KeptRows) -> list[NDArray[np.float32]]:
        """Refined scores, R×K by level, of the kept categories."""
        return kept_scores(rows, self.pattern, self.values_P, self.normaliser)

    @cached_property
    def _related(self) -> RelatedScores:
        return RelatedScores(self.pattern, self.values_P)

    @cached_property
    def _products(self) -> list[LevelProduct]:
        return [LevelProduct(self.pattern, at) for at in range(self.pattern.tree.depth)]

    @cached_property
    def _prepared(self) -> dict[Any, Any]:
        """The levels' weights as matrices, by precision."""
        return {}


@dataclass(frozen=True)
class Saved:
    """Weights from a file, and what they were fitted with and on."""

    weights: Weights
    taxonomy: Taxonomy
    refined: tuple[str, ...]
    strength: float
    facts: dict[str, Any]
    made_from: dict[str, str]
    fingerprint: str


def save(
    beside: Path,
    weights: Weights,
    taxonomy: Taxonomy,
    *,
    strength: float,
    facts: dict[str, Any],
    made_from: dict[str, str],
) -> str:
    """Write weights as HDF5 to `beside`; returns their fingerprint. facts: fit, folds, penalty, k and the like."""
    pattern = weights.pattern
    told = {
        **facts,
        "lambda": strength,
        "normaliser": weights.normaliser,
        "kept": weights.kept,
        "levels": list(taxonomy.levels),
        "refined": list(pattern.tree.levels),
    }
    content = Fingerprint().add("made_from", made_from).add("facts", told)
    taxonomy.add_to(content)
    arrays = {"bounds": pattern.bounds_n1, "columns": pattern.columns_P, "values": weights.values_P}
    for name, array in arrays.items():
        content.add(name, array)
    fingerprint = content.hexdigest()
    head = header(KIND, fingerprint=fingerprint, made_from=made_from, h5py=h5py.__version__)
    with h5py.File(beside, "w", libver=HDF5_VERSION, locking=False) as file:
        for name, value in {**head, **told}.items():
            file.attrs[name] = value if isinstance(value, str | int | float | bool) else json.dumps(value)
        for level, names, parents in zip(taxonomy.levels, taxonomy.names, taxonomy.parents, strict=True):
            group = file.create_group(f"classes/{key(level)}")
            names.write_hdf5(group, "name")
            group["parent"] = parents
        for name, array in arrays.items():
            file[name] = array
    return fingerprint


def read(path: Path) -> Saved:
    """Read saved weights. Raises NotFound, BadArtefact."""
    if not Path(path).is_file():
        raise NotFound(f"weights file {path} does not exist; make one with `prodrec refine-mcr`.")
    try:
        with h5py.File(path, "r", locking=False) as file:
            head = {name: _plain(file.attrs[name]) for name in file.attrs}
            check_header(head, kind=KIND, path=Path(path))
            levels = json.loads(head["levels"])
            names = tuple(Texts.read_hdf5(file, f"classes/{key(level)}/name") for level in levels)
            parents = tuple(file[f"classes/{key(level)}/parent"][:] for level in levels)
            bounds, columns, values = (file[name][:] for name in ("bounds", "columns", "values"))
        taxonomy, refined = Taxonomy(tuple(levels), names, parents), tuple(json.loads(head["refined"]))
        tree = tree_of(taxonomy, refined)
        whole = len(bounds) == tree.n + 1 and bounds[0] == 0 and bounds[-1] == len(columns) == len(values)
        if not whole or (np.diff(bounds) < 1).any() or columns.min() < 0 or columns.max() >= tree.n:
            raise ValueError("its weights do not fit its classes")
        if not np.isfinite(values).all():
            raise ValueError("its weights are not finite")
        facts = {name: head[name] for name in ("penalty", "k")} | {"fit": json.loads(head["fit"])}
        weights = Weights(Pattern(tree, bounds, columns), values, head["normaliser"], bool(head["kept"]))
        made_from = json.loads(head["made_from"])
        return Saved(weights, taxonomy, refined, float(head["lambda"]), facts, made_from, head["fingerprint"])
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AssertionError) as error:
        detail = " ".join(str(error).split()).rstrip(".")
        raise BadArtefact(f"{path} is no readable weights file ({detail}); fit the weights again.") from error


def check_classes(saved: Saved, path: Path, taxonomy: Taxonomy, scores: Path) -> None:
    """Raise Mismatch unless the weights of `path` are of the classes of the scores."""
    difference = saved.taxonomy.difference(taxonomy)
    if difference:
        raise Mismatch(
            f"{path} (here) and {scores} (there) have other classes: {difference}; fit weights on these scores."
        )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
