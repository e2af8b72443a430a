"""A linear network with known scores, and training photos that vote.

Shapes: B photos, D numbers of a vector, C classes, K best classes, J further classes, N training photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from prodrec.core.base.texts import Texts
from prodrec.core.base.top_k_options import BEST_ALONE, TopKOptions
from prodrec.inference.neighbours.fused import Neighbours
from prodrec.inference.neighbours.projection import Projection
from prodrec.inference.neighbours.training_features import TrainingFeatures

D, C, N = 5, 6, 40
TAU_OF_TRAINING = 0.5


@dataclass
class VectorBatch:
    """Vectors in place of photos, with the class of every row."""

    inputs: Tensor
    labels_BL: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass
class Scored:
    features_BD: Tensor
    scores: dict[str, Tensor]
    attribute_scores: dict[str, Tensor]
    classes: dict[str, Tensor] | None = None
    logsumexp_B: Tensor | None = None
    also_BJ: Tensor | None = None
    among: Any = None


class LinearNetwork:
    """o = W x − (τ − TAU_OF_TRAINING) log π of the level `leaf`, and raw sums of it at `root`."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.weight_CD = torch.randn(C, D, generator=generator) * 2
        self.log_prior_C = torch.tensor([20.0, 10, 5, 3, 1, 1]).div(40).log()

    def features(self, batch: VectorBatch, *, with_titles: bool = False) -> Tensor:
        return batch.inputs + with_titles

    def search_vectors(self, features_BD: Tensor) -> Tensor:
        return F.normalize(features_BD, dim=1)

    def scores_of(self, features_BD: Tensor, *, tau: float | None = None) -> Any:
        shift = 0.0 if tau is None else TAU_OF_TRAINING - tau
        scores_BC = features_BD @ self.weight_CD.t() + shift * self.log_prior_C
        return Scored(features_BD, {"root": scores_BC[:, :2], "leaf": scores_BC}, {})

    def upper_scores_of(self, features_BD: Tensor, *, tau: float | None = None) -> dict[str, Tensor]:
        return {"root": self.scores_of(features_BD, tau=tau).scores["root"]}

    def top_k_of(
        self,
        features_BD: Tensor,
        k: int,
        *,
        tau: float | None = None,
        options: TopKOptions = BEST_ALONE,
    ) -> Any:
        scored, also_BJ = self.scores_of(features_BD, tau=tau), options.also_BJ
        if options.added is not None:
            scored.scores["leaf"] = scored.scores["leaf"] + options.added[0][:, options.added[1]]
        best = {level: scores_BC.topk(min(k, scores_BC.shape[1])) for level, scores_BC in scored.scores.items()}
        scores_BC = scored.scores["leaf"]
        if also_BJ is not None:
            scored.also_BJ = scores_BC.gather(1, also_BJ.clamp(min=0)).masked_fill(also_BJ < 0, -torch.inf)
        if (among_C := options.among_C) is not None:
            among_BC = scores_BC.masked_fill(~among_C, -torch.inf)
            among = among_BC.topk(min(k, among_BC.shape[1]))
            scored.among = SimpleNamespace(
                scores_BK=among.values, classes_BK=among.indices, logsumexp_B=among_BC.logsumexp(1)
            )
        scored.logsumexp_B = scores_BC.logsumexp(1) if options.logsumexp else None
        scored.scores = {level: level_best.values for level, level_best in best.items()}
        scored.classes = {level: level_best.indices for level, level_best in best.items()}
        return scored

    def encode_titles(self, tokens_BT: Tensor) -> Any:
        return tokens_BT

    def attention_weights(self, images_BCHW: Tensor) -> Tensor | None:
        return images_BCHW

    def class_activation(self, images_BCHW: Tensor, class_B: Tensor) -> Tensor | None:
        return images_BCHW


def draw_batch(rows: int, seed: int) -> VectorBatch:
    generator = torch.Generator().manual_seed(seed)
    inputs_BD = torch.randn(rows, D, generator=generator)
    return VectorBatch(inputs_BD, torch.randint(C, (rows, 1), generator=generator))


def draw_neighbours() -> Neighbours:
    generator = torch.Generator().manual_seed(7)
    vectors_ND = F.normalize(torch.randn(N, D, generator=generator), dim=1).half().numpy()
    class_N = torch.multinomial(torch.tensor([20.0, 10, 5, 3, 1, 1]), N, True, generator=generator).int().numpy()
    ids = Texts.from_strings(f"P{i}" for i in range(N))
    projection = Projection(torch.zeros(D), torch.eye(D))
    features = TrainingFeatures("leaf", projection, vectors_ND, class_N, np.arange(N), np.arange(N), ids, "fingerprint")
    return Neighbours.load(features, C, torch.device("cpu"))
