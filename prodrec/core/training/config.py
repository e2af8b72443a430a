"""The settings of training: optimiser, schedule, computation and checkpoints. This module does not import torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from prodrec.core.base.config import check_ranges, setting


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training. The defaults are A §4.3: SGD, batch 256, lr 0.1, multiplied by 0.8 after every epoch.

    Raise ValueError for a value outside its range, and for settings that contradict each other.
    """

    epochs: float = setting(20.0, "passes over the training photos; a fraction is allowed", group="schedule", gt=0)
    batch_size: int = setting(
        256, "photos per batch, over all ranks; a step takes `accumulate` batches", group="optimiser", gt=0
    )
    scale_batch: bool = setting(
        False, "on several ranks: batch_size is per rank, and lr follows lr_rule", group="optimiser"
    )
    optimizer: Literal["sgd", "adamw"] = setting("sgd", "sgd or adamw", group="optimiser")
    lr: float = setting(
        0.1,
        "learning rate; unless it is set, sgd lowers it in proportion for batches smaller than the family's",
        group="optimiser",
        gt=0,
    )
    lr_rule: Literal["linear", "sqrt", "none"] = setting(
        "linear",
        "with scale_batch: lr times the number of ranks (linear), times its square root (sqrt), or unchanged (none)",
        group="optimiser",
    )
    momentum: float = setting(0.9, "momentum of sgd, beta1 of adamw", group="optimiser", ge=0, lt=1)
    weight_decay: float = setting(1e-4, "weight decay; biases and batch norm have none", group="optimiser", ge=0)
    schedule: Literal["step", "cosine", "constant"] = setting(
        "step", "schedule of the learning rate: step, cosine or constant", group="schedule"
    )
    stop_after: int = setting(
        0,
        "end the training after this number of epochs in a row without a better one on validation photos; those of "
        "head_epochs do not count, and 0 is off. It is for schedule=step or constant: a cosine schedule remains that "
        "of all `epochs`, and stopping omits its last ones, whose low learning rates improve a model most",
        group="schedule",
        ge=0,
    )
    decay_factor: float = setting(
        0.8, "step schedule: factor of the learning rate at each decay", group="schedule", gt=0
    )
    decay_every: float = setting(1.0, "step schedule: epochs between decays", group="schedule", gt=0)
    warmup_epochs: float = setting(0.0, "epochs over which the learning rate rises from 0", group="schedule", ge=0)
    head_epochs: float = setting(
        0.0,
        "epochs, of `epochs`, that train everything but the backbone first, while it stays as loaded (Kumar et al. "
        "2022); each of the two stages has its own warm-up and schedule",
        group="schedule",
        ge=0,
    )
    backbone_lr_scale: float = setting(
        1.0, "learning rate of the backbone, as a factor of lr; 0 keeps its weights", group="optimiser", ge=0
    )
    layer_lr_decay: float = setting(
        1.0,
        "factor of the backbone's learning rate from each stage to the stage before it, so that early stages change "
        "least (Clark et al. 2020); 1 is the same rate for all",
        group="optimiser",
        gt=0,
        le=1,
    )
    word_vectors_lr_scale: float = setting(
        1.0, "learning rate of the word vectors, as a factor of lr", group="optimiser", ge=0
    )
    clip_norm: float | None = setting(
        None, "largest norm of the whole gradient; none does not clip", group="optimiser", gt=0
    )
    accumulate: int = setting(1, "batches whose gradients are summed before a step", group="optimiser", gt=0)
    fused_update: Literal["auto", "no"] = setting(
        "auto",
        "update classifiers within backward, if nothing needs their whole gradient (auto), or by optimizer.step() (no)",
        group="computation",
        formerly="fused",
    )
    sampler: Literal["images", "sqrt", "classes"] = setting(
        "images",
        "photos of a class in an epoch, in proportion to: images (their number n, each photo once), sqrt (√n; Mahajan "
        "et al. 2018), or classes (the same number for every class; Kang et al. 2020); photos of rare classes repeat",
        group="schedule",
    )
    mixup: float = setting(
        0.0,
        "mixup (Zhang et al. 2018), which trains on weighted means of two photos: α of the distribution of the "
        "weights, 0.2 for example; 0 is off",
        group="augmentation",
        ge=0,
    )
    cutmix: float = setting(
        0.0,
        "cutmix (Yun et al. 2019), which puts a rectangle of one photo into another: α of the distribution of its "
        "area, 1 in the paper; with mixup, half of the paired batches each; 0 is off",
        group="augmentation",
        ge=0,
    )
    pair_probability: float = setting(
        0.5,
        "with mixup or cutmix: share of the batches whose photos are in pairs; titles are inputs in the others alone",
        group="augmentation",
        gt=0,
        le=1,
    )
    ema: float = setting(
        0.0,
        "decay of the moving average of the weights, which is then saved and scored; 0 is off",
        group="checkpoints",
        ge=0,
        lt=1,
    )
    seed: int = setting(
        0, "seed of the weights, the order of the photos and the augmentation", group="computation", ge=0, lt=2**63
    )
    keep: Literal["auto", "last", "best"] = setting(
        "auto",
        "weights of the finished run: those of the last epoch (last), or of the best one on validation photos (best); "
        "auto is best with stop_after, and last without it",
        group="checkpoints",
    )
    best_measure: Literal["top1", "macc"] = setting(
        "top1",
        "what makes an epoch the best, for stop_after and keep=best: top1, the accuracy over validation photos, or "
        "macc, the mean of the accuracies of their classes",
        group="checkpoints",
    )
    precision: Literal["auto", "fp32", "bf16"] = setting(
        "auto", "number type of the layers; weights stay fp32", group="computation"
    )
    channels_last: Literal["auto", "yes", "no"] = setting(
        "auto", "channels-last memory layout of photos and convolutions", group="computation"
    )
    cache_frozen: Literal["auto", "no"] = setting(
        "auto",
        "with freeze_until and views, in one process: compute the output of the frozen stages once for every view and "
        "keep it on the disk while training (auto), or in every step (no)",
        group="computation",
    )
    compile: bool = setting(
        False, "compile the network with torch.compile; pays off after minutes of training", group="computation"
    )
    operating_points: Literal["neighbours", "scores", "none"] = setting(
        "neighbours",
        "what is chosen on validation photos after training: how scores are adjusted to class frequencies and mixed "
        "with the vote of the nearest training photos (neighbours), how they are adjusted (scores), or nothing (none)",
        group="scoring",
    )
    checkpoint_minutes: float = setting(
        5.0, "minutes between checkpoints; each epoch ends with one too", group="checkpoints", gt=0
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.best_measure != "top1" and not self.keeps_best and not self.stop_after:
            raise ValueError(f"best_measure={self.best_measure} does nothing here; set keep=best or stop_after=5 too.")
        if self.lr_rule != "linear" and not self.scale_batch:
            raise ValueError(f"lr_rule={self.lr_rule} does nothing here; set scale_batch=true too.")
        if self.pair_probability != 0.5 and not (self.mixup or self.cutmix):
            raise ValueError(f"pair_probability={self.pair_probability} does nothing here; set mixup=0.2 too.")
        if self.backbone_lr_scale == 0 and self.layer_lr_decay != 1:
            raise ValueError(f"layer_lr_decay={self.layer_lr_decay} does nothing with backbone_lr_scale=0.")
        if self.head_epochs and self.backbone_lr_scale == 0:
            raise ValueError(f"head_epochs={self.head_epochs} does nothing with backbone_lr_scale=0.")
        if self.head_epochs >= self.epochs:
            raise ValueError(f"head_epochs={self.head_epochs} must be less than epochs={self.epochs}.")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs={self.warmup_epochs} must be less than epochs={self.epochs}.")
        shortest = min(self.head_epochs, self.epochs - self.head_epochs)
        if self.head_epochs and self.warmup_epochs >= shortest:
            raise ValueError(
                f"warmup_epochs={self.warmup_epochs} must be less than each of the two stages, of {self.head_epochs:g} "
                f"and {self.epochs - self.head_epochs:g} epochs."
            )

    @property
    def keeps_best(self) -> bool:
        """Whether the finished run has the weights of the best epoch."""
        return self.keep == "best" or (self.keep == "auto" and self.stop_after > 0)

    def on_ranks(self, ranks: int) -> TrainingConfig:
        """Return the settings for a number of ranks, in which batch_size and lr replace `scale_batch`.

        A run keeps both values when it is resumed on another number of ranks. lr_rule=linear is the rule of Goyal et
        al. 2017 ("Accurate, large minibatch SGD"), who combine it with a warm-up.
        """
        if not self.scale_batch:
            return self
        factor = {"linear": float(ranks), "sqrt": math.sqrt(ranks), "none": 1.0}[self.lr_rule]
        return replace(
            self, batch_size=self.batch_size * ranks, lr=self.lr * factor, scale_batch=False, lr_rule="linear"
        )
