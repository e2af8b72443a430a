"""Scores files drawn by numpy, without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter


@dataclass
class DrawnScores:
    """What a scores file drawn by numpy holds, to compare with what is read or reported from it."""

    path: Path
    taxonomy: Taxonomy
    train_images: NDArray[np.int64]
    rows: NDArray[np.int64]
    split: NDArray[np.uint8]
    labels: NDArray[np.int32]
    scores: dict[str, NDArray[np.float16]]
    features: NDArray[np.float16]
    attributes: NDArray[np.int32]
    attribute_scores: dict[str, NDArray[np.float16]] = field(default_factory=dict)


@pytest.fixture
def draw_scores(tmp_path: Path) -> Callable[..., DrawnScores]:
    """Write a scores file with numpy alone: `draw_scores("visual", seed=0, rows=200, top_k=None, …)`."""

    def draw(
        name: str = "visual",
        *,
        seed: int = 0,
        rows: int = 200,
        leaves: int = 12,
        roots: int = 3,
        levels: tuple[str, ...] = ("root", "leaf"),
        scored: tuple[str, ...] = ("leaf",),
        top_k: int | None = None,
        ties: bool = True,
        right: float = 2.0,
        family: str | None = None,
        run_seed: int = 0,
        dataset: str = "dataset-1",
        recipe: dict[str, object] | None = None,
        out: Path | None = None,
        first_row: int = 0,
        labels_seed: int = 7,
        prefix: str = "class",
        score_attributes: bool = False,
        early: float = 0.0,
        products: Sequence[int] | None = None,
    ) -> DrawnScores:
        """Labels, splits and counts depend on labels_seed alone, so that two drawn runs judge the same photos.

        early: share of the rows whose category path ends at the root
        products: product of every row; its photos have the split, labels and attributes of the first one
        """
        truth, random = np.random.default_rng(labels_seed), np.random.default_rng(seed)
        parents = np.sort(truth.integers(0, roots, size=leaves)).astype(np.int32)
        parents[:roots] = np.arange(roots)
        names = (tuple(f"root {i}" for i in range(roots)), tuple(f"{prefix} {i}" for i in range(leaves)))
        taxonomy = Taxonomy(levels=levels, names=names, parents=(np.full(roots, -1, dtype=np.int32), parents))
        train_images = truth.integers(0, 200, size=leaves)
        share = truth.dirichlet(np.full(leaves, 0.5))
        leaf = truth.choice(leaves, size=rows, p=share).astype(np.int32)
        labels = np.stack([parents[leaf], leaf], axis=1)
        split = truth.choice([1, 2], size=rows, p=[0.8, 0.2]).astype(np.uint8)
        scores = {}
        for at, level in enumerate(levels):
            values = random.normal(size=(rows, taxonomy.count(level))) * 2
            values[np.arange(rows), labels[:, at]] += right
            scores[level] = (np.round(values) if ties else values).astype(np.float16)
        labels[np.random.default_rng(labels_seed + 1).random(rows) < early, 1] = -1
        first = np.arange(rows)
        if products is not None:
            first = np.unique(products, return_index=True)[1][np.unique(products, return_inverse=True)[1]]
            split, labels = split[first], labels[first]
        features = random.normal(size=(rows, 5)).astype(np.float16)
        attributes = truth.integers(0, 4, size=(rows, 1)).astype(np.int32)[first]
        of_attributes = {"colour/tone": random.normal(size=(rows, 3)).astype(np.float16)} if score_attributes else {}
        path = out or tmp_path / f"{name}.h5"
        origin = Origin(
            run=name,
            family=family or name,
            made_from={"run": f"run-{name}-{seed}", "dataset": dataset},
            splits=("test", "validation"),
            seed=run_seed,
            recipe={"family": family or name, **(recipe or {}), "training": {"seed": run_seed}},
        )
        writer = ScoresWriter(
            path,
            origin=origin,
            taxonomy=taxonomy,
            train_images=train_images,
            id_bytes=12,
            attributes=[Attribute("colour/tone", ("red", "green", "blue"))],
        )
        numbers = np.arange(rows, dtype=np.int64) * 3 + first_row
        with writer:
            step = max(64, rows // 16)
            for start in range(0, rows, step):
                at = slice(start, start + step)
                kept = {level: scores[level][at] for level in scored}
                which = None
                if top_k is not None:
                    which = {
                        level: np.argsort(-values.astype(np.float32), axis=1, kind="stable")[:, :top_k]
                        for level, values in kept.items()
                    }
                    kept = {level: np.take_along_axis(kept[level], which[level], axis=1) for level in scored}
                writer.append(
                    ids=[f"产品{number}" for number in numbers[at]],
                    rows_B=numbers[at],
                    split_B=split[at],
                    labels_BL=labels[at],
                    products_B=None if products is None else (numbers[first][at], numbers[first][at]),
                    attributes_BA=attributes[at],
                    features_BD=features[at],
                    scores=kept,
                    classes=which,
                    attribute_scores={name: values[at] for name, values in of_attributes.items()},
                )
        return DrawnScores(
            path, taxonomy, train_images, numbers, split, labels, scores, features, attributes, of_attributes
        )

    return draw
