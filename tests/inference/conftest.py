"""A dataset, a finished run and a network with known scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.inference.score import rows_in_splits

TREE = Taxonomy(
    levels=("root", "leaf"),
    names=(("a", "b"), ("p", "q", "r")),
    parents=(np.full(2, -1, dtype=np.int32), np.array([0, 1, 1], dtype=np.int32)),
)

COLOUR = (Attribute("colour", ("red", "blue")),)


def make_dataset(
    rows: int = 20,
    *,
    fingerprint: str = "d1",
    taxonomy: Taxonomy = TREE,
    words: Any = ("w",),
    attributes: tuple[Attribute, ...] = COLOUR,
) -> Any:
    random = np.random.default_rng(0)
    leaf = random.integers(0, 3, size=rows)
    return SimpleNamespace(
        path=Path("dataset"),
        fingerprint=fingerprint,
        feature_width=None,
        taxonomy=taxonomy,
        attributes=attributes,
        attributes_NA=random.integers(0, 3, size=(rows, 1)).astype(np.int32),
        labels_NL=np.stack([TREE.parents[1][leaf], leaf], axis=1).astype(np.int32),
        split_N=random.choice(3, size=rows, p=[0.4, 0.3, 0.3]).astype(np.uint8),
        group_N=np.arange(rows),
        product_N=np.arange(rows),
        vocabulary=SimpleNamespace(words=words),
        ids=lambda: Texts.from_strings(f"产品{i}" for i in range(rows)),
    )


def make_run(
    *,
    dataset: str = "d1",
    finished: bool = True,
    fingerprint: str = "r1",
    words: Any = ("w",),
    heads: tuple[str, ...] = ("leaf",),
    attributes: tuple[str, ...] = ("all",),
) -> Any:
    return SimpleNamespace(
        path=Path("runs/visual"),
        name="visual",
        family="visual",
        fingerprint=fingerprint,
        dataset_fingerprint=dataset,
        finished=finished,
        feature_width=None,
        taxonomy=TREE,
        attributes=COLOUR,
        train_images=np.array([5, 6, 7]),
        recipe={"family": "visual", "training": {"seed": 3}, "network": {"heads": heads, "attributes": attributes}},
        vocabulary=SimpleNamespace(words=words),
    )


@dataclass
class RowBatch:
    """A batch that contains only its row numbers."""

    rows_B: torch.Tensor

    def __len__(self) -> int:
        return len(self.rows_B)


class SineNetwork:
    """The scores of row i are sin(i), sin(2i) and sin(3i), plus 1 with titles, and its features are i."""

    def __init__(self, *, bad_row: int | None = None) -> None:
        self.bad_row = bad_row

    def features(self, batch: RowBatch, points: Any, *, with_titles: bool = False) -> Any:
        return batch, with_titles

    def score(self, features: Any, point: Any) -> Any:
        batch, with_titles = features
        rows = batch.rows_B.double()[:, None]
        scores = torch.sin(rows * torch.tensor([1.0, 2.0, 3.0])) + with_titles
        if self.bad_row is not None:
            scores[batch.rows_B == self.bad_row] = float("nan")
        return SimpleNamespace(
            features_BD=rows.expand(-1, 4).bfloat16(),
            scores={"leaf": scores},
            classes=None,
            attribute_scores={"colour": scores[:, :2]},
        )

    def top_k(self, features: Any, k: int, point: Any) -> Any:
        scored = self.score(features, point)
        best = scored.scores["leaf"].topk(k, dim=1)
        return SimpleNamespace(
            features_BD=scored.features_BD,
            scores={"leaf": best.values},
            classes={"leaf": best.indices},
            attribute_scores=scored.attribute_scores,
        )


def batches(dataset: Any, splits: Any, size: int = 3) -> Any:
    rows = rows_in_splits(dataset, splits)
    return (RowBatch(torch.from_numpy(rows[at : at + size])) for at in range(0, len(rows), size))


def expected(rows: Any) -> Any:
    return np.sin(rows[:, None] * np.array([1.0, 2.0, 3.0]))
