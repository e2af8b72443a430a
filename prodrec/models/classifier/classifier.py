"""The classifier of a level. It computes loss and top k itself, so no other code needs the scores of a training batch.

    dense     every rank has all classes
    sharded   every rank has a shard of the classes (A §4.3) and sees the rows of all ranks
    sampled   the loss is over the classes of the labels and a share of the others, drawn in every step (An et al. 2021,
              "Partial FC"); the classes are sharded too if there are several ranks

Shapes: B rows of this rank, A of all ranks, D features, C classes, S active ones on this rank.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from prodrec.core.base import dist
from prodrec.models.classifier.class_sampling import sample_classes
from prodrec.models.classifier.class_scores import ClassScores
from prodrec.models.classifier.row_optimizers import RowUpdates, row_optimizer_for
from prodrec.models.classifier.softmax_loss import LossOptions, softmax_loss
from prodrec.models.classifier.tree_smoothing import TreeSmoothing


class Classifier(ClassScores):
    """The scores of the classes, and the loss over them.

    sharded:          this rank has only its shard of the classes. All ranks must call `loss` and `top_k` together
    sample_share:     in training, the loss is over the classes of the labels and this share of the others; 1 is all
    buffer_gib:       largest score buffer in GiB. If the scores exceed it, a loss computes them twice, and `top_k`
                      scores fewer rows at once
    logit_adjustment: τ > 0 adds τ·log π_c to the scores in the loss only (Menon et al. 2021, "Long-tail learning via
                      logit adjustment", eq. 10); π_c is the share of class c in training, with a sampler its share q_c
                      in the sampled epochs
    long_tail:        class weights, focal loss and margins, see `long_tail.py`. Margins need `cosine_scale`
    train_images_C:   number of training images of every class, needed for logit adjustment, class weights and margins
    tree_smoothing:   soft labels by distance in the category tree. They need a `sample_share` of 1, and neither label
                      smoothing nor focal loss

    These and the other options are those of `ClassScores`.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        sample_share: float = 1.0,
        tree_smoothing: TreeSmoothing | None = None,
        **options: Any,
    ) -> None:
        super().__init__(features, classes, **options)
        assert tree_smoothing is None or (sample_share == 1 and not self.frequencies.long_tail.focal_gamma)
        self.sample_share = sample_share
        self.tree_smoothing = tree_smoothing
        self._row_optimizer: RowUpdates | None = None

    # --- loss

    @property
    def can_update_in_backward(self) -> bool:
        """Whether this rank alone computes the whole gradient of its weights."""
        return self.shard is not None or dist.world_size() == 1

    def update_in_backward(self, optimizer: torch.optim.Optimizer) -> None:
        """Let every backward pass update weight and bias as `optimizer` would, with its settings and state."""
        parameters = [parameter for parameter in (self.weight, self.bias) if parameter.requires_grad]
        self.update_rows_by(row_optimizer_for(optimizer, parameters))

    def update_rows_by(self, updates: RowUpdates) -> None:
        """Let every backward pass update the rows of weight and bias by `updates`."""
        assert self.can_update_in_backward
        self._row_optimizer = updates

    def loss(
        self,
        features_BD: Tensor,
        labels_B: Tensor,
        *,
        weights_B: Tensor | None = None,
        label_smoothing: float = 0.0,
        progress: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Return Σ_i v_i · CE_i over this rank's rows, and the detached CE_i of every row [B].

        labels_B:  a class of every row, never -1; `LevelHead.loss` gives a row without a label the weight 0
        weights_B: v, by default 1/B. Callers cannot weigh the CE_i themselves, because these are detached. A row of
                   weight 0 adds exactly 0 to the loss and to every gradient
        progress:  share of the training that is done, `Batch.progress`

        Class weights and focal loss multiply v_i, but not the CE_i that are returned. A margin is in CE_i.

        The products follow autocast. Softmax and sums are in float32, or in float64 for float64 features.
        """
        if weights_B is None:
            weights_B = self.equal_weights(features_BD)
        weights_B = self.frequencies.weighted(weights_B, labels_B, progress=progress)
        total, loss_B = self._loss(features_BD, labels_B, weights_B, label_smoothing)
        return total, loss_B

    def equal_weights(self, features_BD: Tensor) -> Tensor:
        """Return the weight 1/B of every row, for a mean over the rows."""
        return torch.full_like(features_BD[:, 0], 1 / max(1, len(features_BD)), dtype=self.weight.dtype)

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # it would unroll the loop over the chunks
    def _loss(
        self, features_BD: Tensor, labels_B: Tensor, weights_B: Tensor, label_smoothing: float
    ) -> tuple[Tensor, Tensor]:
        kind = features_BD.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.weight.dtype
        row_counts, labels_A, weights_A = None, labels_B, weights_B
        if self.is_distributed:
            row_counts = dist.row_counts(labels_B)
            labels_A = dist.all_gather_rows(labels_B, row_counts)
            weights_A = dist.all_gather_rows(weights_B, row_counts)
        active_S = None
        if self.training and self.sample_share < 1:
            active_S = sample_classes(labels_A, len(self.weight), self.sample_share, first_class=self.first_class)
        active_count = len(self.weight) if active_S is None else len(active_S)
        tree = None
        if self.tree_smoothing is not None:
            assert not label_smoothing, "both are targets of the other classes"
            tree = self.tree_smoothing.targets(labels_A, self.local, torch.promote_types(dtype, torch.float32))
        options = LossOptions(
            dtype=dtype,
            class_count=self._active_on_all_ranks(active_count) if label_smoothing else self.classes,
            smoothing=label_smoothing,
            first_class=self.first_class,
            row_counts=row_counts,
            active_S=active_S,
            adjustment_S=self.frequencies.adjustment(self.logit_adjustment, active_S),
            cosine=self.log_scale is not None,
            focal_gamma=self.frequencies.long_tail.focal_gamma,
            tree=tree,
            buffer=self._buffer if self._buffer.fits(len(labels_A) * active_count * dtype.itemsize) else None,
            row_optimizer=self._row_optimizer,
        )
        with torch.autocast(kind, enabled=False):
            margins_B = self.frequencies.margins(labels_B)
            if margins_B is not None and self.log_scale is not None:
                margins_B = self.log_scale.exp() * margins_B
            x_BD = self._inputs(features_BD)
            return softmax_loss(x_BD, self.weight, self.bias, labels_A, weights_A, options, margins_B=margins_B)

    def _active_on_all_ranks(self, active_count: int) -> int:
        """Return the number of active classes of all ranks, from that of this rank."""
        if not self.is_distributed:
            return active_count
        if self.sample_share == 1:
            return self.classes
        return int(dist.all_reduce_sum(torch.tensor(active_count, device=self.weight.device)))

    # --- memory

    def buffer_bytes(self, rows: int, dtype: torch.dtype) -> int:
        """Return the bytes of the score buffer for `rows` rows of all ranks; 0 if the scores are computed twice."""
        needed = self._scores_bytes(rows, dtype)
        return needed if self._buffer.fits(needed) else 0

    def describe(self, rows: int, dtype: torch.dtype) -> str:
        """Describe the computation of a loss over `rows` rows of all ranks, for `prodrec train --plan`."""
        kind = "dense" if self.shard is None else f"sharded over {dist.world_size()} ranks"
        if self.sample_share < 1:
            kind += f", {self.sample_share:.0%} of them sampled every step"
        memory = self._buffer.describe(self._scores_bytes(rows, dtype))
        return f"{self.classes:,} classes x {self.weight.shape[1]:,}, {kind}; {memory}"

    def _scores_bytes(self, rows: int, dtype: torch.dtype) -> int:
        return rows * round(len(self.weight) * self.sample_share) * dtype.itemsize
