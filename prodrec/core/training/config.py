"""The settings of training: optimiser, schedule, length, precision."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from prodrec.core.base.config import setting


@dataclass(frozen=True)
class TrainingConfig:
    """Defaults are paper A's recipe (§4.3): SGD, batch 256, lr 0.1, times 0.8 after every epoch."""

    epochs: float = setting(20.0, "passes over the training photos; a fraction is allowed")
    batch_size: int = setting(256, "photos a step, of all ranks together (before accumulate)")
    scale_batch: bool = setting(False, "on several ranks: batch_size is that of one rank, and lr follows lr_rule")
    optimizer: Literal["sgd", "adamw"] = setting("sgd", "sgd or adamw")
    lr: float = setting(0.1, "learning rate")
    lr_rule: Literal["linear", "sqrt", "none"] = setting(
        "linear", "with scale_batch: lr times the ranks (linear), times their square root (sqrt), or as it is (none)"
    )
    momentum: float = setting(0.9, "momentum of sgd, beta1 of adamw")
    weight_decay: float = setting(1e-4, "weight decay; biases and batch norm are left out")
    schedule: Literal["step", "cosine", "constant"] = setting("step", "course of the learning rate")
    decay_factor: float = setting(0.8, "step schedule: factor at every decay")
    decay_every: float = setting(1.0, "step schedule: epochs between decays")
    warmup_epochs: float = setting(0.0, "epochs in which the learning rate rises from 0")
    backbone_lr_scale: float = setting(1.0, "learning rate of the backbone, as a factor of lr; 0 keeps its weights")
    word_vectors_lr_scale: float = setting(1.0, "learning rate of the word vectors, as a factor of lr")
    clip_norm: float | None = setting(None, "largest norm of the whole gradient; none is no clipping")
    accumulate: int = setting(1, "batches whose gradients are added up before a step")
    fused: Literal["auto", "no"] = setting(
        "auto",
        "update the classifier within its backward pass where nothing needs its whole gradient (auto), or after (no)",
    )
    ema: float = setting(0.0, "decay of the moving average of the weights that is saved and scored; 0 is off")
    seed: int = setting(0, "seed of the weights, the order of the photos and the augmentation")
    keep: Literal["last", "best"] = setting("last", "weights of the finished run: the last, or the best on validation")
    precision: Literal["auto", "fp32", "bf16"] = setting("auto", "arithmetic of the layers; weights stay fp32")
    channels_last: Literal["auto", "yes", "no"] = setting("auto", "memory layout of photos and convolutions")
    compile: bool = setting(False, "compile the network with torch.compile (pays after minutes)")
    checkpoint_minutes: float = setting(5.0, "minutes between checkpoints; one is made after each epoch too")

    def __post_init__(self) -> None:
        positive = ("epochs", "batch_size", "lr", "decay_factor", "decay_every", "accumulate", "checkpoint_minutes")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0.")
        for name in ("weight_decay", "warmup_epochs", "backbone_lr_scale", "word_vectors_lr_scale"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative.")
        for name in ("momentum", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be in [0, 1).")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ValueError(f"clip_norm={self.clip_norm} must be above 0, or none.")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed={self.seed} must be in [0, 2^63).")
        if self.lr_rule != "linear" and not self.scale_batch:
            raise ValueError(f"lr_rule={self.lr_rule} does nothing here; set scale_batch=true too.")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs={self.warmup_epochs} must be less than epochs={self.epochs}.")

    def on_ranks(self, ranks: int) -> TrainingConfig:
        """What scale_batch comes to on so many ranks, as plain batch_size and lr; they stay when others go on with it.

        lr_rule linear is that of Goyal et al. 2017 ("Accurate, large minibatch SGD"), best with warmup_epochs.
        """
        if not self.scale_batch:
            return self
        factor = {"linear": float(ranks), "sqrt": math.sqrt(ranks), "none": 1.0}[self.lr_rule]
        return replace(
            self, batch_size=self.batch_size * ranks, lr=self.lr * factor, scale_batch=False, lr_rule="linear"
        )
