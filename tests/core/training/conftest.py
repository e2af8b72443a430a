"""A prepared dataset of the drawn catalogue, and a small network that belongs to no model family."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prodrec.core.base.dist import Shard
from prodrec.core.data.batches import Batch
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.precision import Precision
from prodrec.core.training.train_state import TrainState, make_train_state

PHOTOS = PhotoConfig(image_size="16x12")
TRAINING = TrainingConfig(epochs=2, batch_size=16, lr=0.05, schedule="cosine", precision="fp32", momentum=0.9)


@dataclass(frozen=True)
class TinyLosses:
    total: Tensor
    terms: dict[str, Tensor]


@dataclass(frozen=True)
class TinyTopK:
    scores: dict[str, Tensor]
    classes: dict[str, Tensor]
    attribute_scores: dict[str, Tensor] = field(default_factory=dict)


class TinyNetwork(nn.Module):
    """A convolution and a linear layer, with batch norm, which has buffers, and dropout, which needs random numbers."""

    def __init__(self, classes: int, leaf: str) -> None:
        super().__init__()
        self.leaf = leaf
        self.held = False
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1))
        self.classifier = nn.Linear(8, classes)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        scores_BC: Tensor = self.classifier(self.backbone(images_BCHW).mean((2, 3)))
        return scores_BC

    def loss(self, batch: Batch) -> TinyLosses:
        scores_BC = self(batch.inputs).float()
        total = nn.functional.cross_entropy(scores_BC, batch.labels_BL[:, -1], reduction="sum") / batch.global_size
        return TinyLosses(total, {"visual": total.detach()})

    def top_k(self, batch: Batch, k: int) -> TinyTopK:
        scores_BK, classes_BK = self(batch.inputs).topk(k)
        return TinyTopK({self.leaf: scores_BK}, {self.leaf: classes_BK})

    frozen_stage = None

    def frozen_maps(self, images_BCHW: Tensor) -> Tensor:
        raise AssertionError("no stage is frozen")

    def shards(self) -> dict[str, Shard]:
        return {}

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"backbone": list(self.backbone.parameters()), "classifier": list(self.classifier.parameters())}

    def backbone_stages(self) -> list[list[nn.Parameter]]:
        return [list(self.backbone[0].parameters()), list(self.backbone[1].parameters())]

    def hold_backbone(self, held: bool) -> None:
        self.held = held
        self.backbone.requires_grad_(not held)

    def train(self, mode: bool = True) -> TinyNetwork:
        super().train(mode)
        if self.held:
            self.backbone.eval()
        return self

    def finished_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return dict(weights)

    def classifiers(self) -> dict[str, Any]:
        return {}

    def update_in_backward(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer_in_backward = optimizer


@pytest.fixture(scope="session")
def prepared(drawn_dataset: Path) -> Dataset:
    """The prepared drawn catalogue. Read only."""
    return open_dataset(drawn_dataset)


@pytest.fixture
def new_train_state(prepared: Dataset):
    """`new_train_state(lr=0.1, …)`: a fresh tiny network in training, with the same weights in every call."""

    def make(**settings: object) -> TrainState:
        torch.manual_seed(3)
        network = TinyNetwork(len(prepared.taxonomy.leaves), prepared.taxonomy.leaf_level)
        return make_train_state(network, replace(TRAINING, **settings), torch.device("cpu"))

    return make


@pytest.fixture
def new_run(prepared: Dataset, tmp_path: Path):
    """`new_run("first")`: a new run directory for the prepared dataset."""
    from prodrec.core.training.write_run import create_run

    def make(name: str = "run", *, force: bool = False, **recipe: object):
        return create_run(
            tmp_path / name,
            prepared,
            recipe={"family": "tiny", **recipe},
            precision=Precision(torch.float32, channels_last=True),
            word_vectors={},
            force=force,
        )

    return make
