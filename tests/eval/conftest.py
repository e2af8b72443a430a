"""A small tree of three levels, score files on it from given predictions, and plain loops to compare with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter

COLOUR = Attribute("colour", ("red", "green"))
SIZE = Attribute("size", ("S", "M", "L"))


@pytest.fixture
def tree() -> Taxonomy:
    """Roots A B; middles a b under A and c under B; leaves 0 1 under a, 2 under b, 3 4 under c."""
    return Taxonomy(
        levels=("root", "middle", "leaf"),
        names=(("A", "B"), ("a", "b", "c"), ("0", "1", "2", "3", "4")),
        parents=tuple(np.array(p, dtype=np.int32) for p in ([-1, -1], [0, 0, 1], [0, 0, 1, 2, 2])),
    )


@pytest.fixture
def predicted(tree: Taxonomy, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a scores file.

    Its arguments are the true leaves, the class with the best score of every row by level, and attributes by name, each
    as the codes of the true states and the best states (None for an attribute without scores). `depths` are the numbers
    of levels at which the rows have a label, by default all. `products` are the products of the rows, by default one
    each.
    """

    def write(
        name: str,
        truth: Sequence[int],
        best: Mapping[str, Sequence[int]],
        *,
        attributes: Mapping[str, tuple[Sequence[int], Sequence[int] | None]] | None = None,
        top_k: int | None = None,
        seed: int = 0,
        first_row: int = 0,
        depths: Sequence[int] | None = None,
        products: Sequence[int] | None = None,
    ) -> Path:
        rows = len(truth)
        first = None if products is None else first_row + np.array([list(products).index(p) for p in products])
        labels = tree.ancestors()[list(truth)].copy()
        if depths is not None:
            labels[np.arange(3) >= np.array(depths)[:, None]] = -1
        known = [a for a in (COLOUR, SIZE) if a.name in (attributes or {})]
        scores, classes, states = {}, {}, {}
        for level, wanted in best.items():
            values = np.tile(-np.arange(tree.count(level), dtype=np.float32), (rows, 1))
            values[np.arange(rows), list(wanted)] = 5
            if top_k is not None:
                classes[level] = np.argsort(-values, axis=1, kind="stable")[:, :top_k].astype(np.int32)
                values = np.take_along_axis(values, classes[level], axis=1)
            scores[level] = values
        for attribute in known:
            best_state = (attributes or {})[attribute.name][1]
            if best_state is not None:
                states[attribute.name] = np.eye(len(attribute.states), dtype=np.float32)[list(best_state)]
        path = tmp_path / f"{name}-{seed}.h5"
        family = {"family": name, "training": {"seed": seed}}
        origin = Origin(name, name, {"dataset": "d"}, splits=("test",), seed=seed, recipe=family)
        with ScoresWriter(
            path, origin=origin, taxonomy=tree, train_images=[9] * 5, id_bytes=8, attributes=known
        ) as writer:
            writer.append(
                ids=[str(i) for i in range(rows)],
                rows_B=np.arange(rows) + first_row,
                split_B=np.ones(rows, dtype=np.uint8),
                labels_BL=labels,
                products_B=None if first is None else (first, first),
                features_BD=np.zeros((rows, 1)),
                scores=scores,
                classes=classes if top_k is not None else None,
                attributes_BA=np.array([(attributes or {})[a.name][0] for a in known]).T if known else None,
                attribute_scores=states or None,
            )
        return path

    return write


@pytest.fixture
def slow_position() -> Callable[[Any, int], int]:
    """Return a function that sorts classes by descending score, then by index, and returns the label's position."""

    def position(scores: Any, label: int) -> int:
        return sorted(range(len(scores)), key=lambda c: (-float(scores[c]), c)).index(label)

    return position


@pytest.fixture
def slow_sums() -> Callable[[Any, Any, int], list[float]]:
    """Return a function that computes log Σ exp of the scores below each of `classes` upper classes."""

    def sums(scores: Any, above: Any, classes: int) -> list[float]:
        logs = []
        for c in range(classes):
            below = [float(s) for s, a in zip(scores, above, strict=True) if a == c]
            top = max(below, default=-math.inf)
            logs.append(top + math.log(sum(math.exp(s - top) for s in below)) if below else -math.inf)
        return logs

    return sums
