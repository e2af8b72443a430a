"""The classifier of a level. It computes loss and top k itself, so no other code needs the scores of a training batch.

    dense     every rank has all classes
    sharded   every rank has a shard of the classes (A §4.3) and sees the rows of all ranks
    sampled   the loss is over the classes of the labels and a share of the others, drawn in every step (An et al. 2021,
              "Partial FC"); the classes are sharded too if there are several ranks

Shapes: B rows of this rank, A of all ranks, D features, C classes, N of them on this rank, S active ones among these,
K best.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.base import dist
from prodrec.models.classifier.block_top_k import TopK, best_over_ranks, top_k
from prodrec.models.classifier.chunks import ClassChunks
from prodrec.models.classifier.class_frequencies import ClassFrequencies
from prodrec.models.classifier.class_sampling import sample_classes
from prodrec.models.classifier.cosine import unit_length
from prodrec.models.classifier.initial_weights import draw_initial_weights
from prodrec.models.classifier.long_tail import LongTailLoss
from prodrec.models.classifier.row_optimizers import RowOptimizer, row_optimizer_for
from prodrec.models.classifier.score_buffer import DEFAULT_LIMIT_GIB, ScoreBuffer
from prodrec.models.classifier.softmax_loss import LossOptions, softmax_loss

MIN_TOP_K_ROWS = 32
"""Fewest rows that `top_k` scores at once, whatever the buffer. For fewer, reading W takes longer than the products."""


class Classifier(nn.Module):
    """Scores = W x + b, or with `cosine_scale` s · cos(x, w_c), see `cosine.py`.

    sharded:          this rank has only its shard of the classes. All ranks must call `loss` and `top_k` together
    sample_share:     in training, the loss is over the classes of the labels and this share of the others; 1 is all
    buffer_gib:       largest score buffer in GiB. If the scores exceed it, a loss computes them twice, and `top_k`
                      scores fewer rows at once
    logit_adjustment: τ > 0 adds τ·log π_c to the scores in the loss only (Menon et al. 2021, "Long-tail learning via
                      logit adjustment", eq. 10); π_c is the share of class c in training, with a sampler its share q_c
                      in the sampled epochs
    long_tail:        class weights, focal loss and margins, see `long_tail.py`. Margins need `cosine_scale`
    cosine_scale:     initial s, which is learned; None is W x + b
    train_images_C:   number of training images of every class, needed for logit adjustment, class weights and margins;
                      see `set_prior`

    The initial weights do not depend on the number of ranks.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        sharded: bool = False,
        sample_share: float = 1.0,
        buffer_gib: float = DEFAULT_LIMIT_GIB,
        logit_adjustment: float = 0.0,
        long_tail: LongTailLoss | None = None,
        cosine_scale: float | None = None,
        train_images_C: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.sample_share = sample_share
        local = dist.shard_slice(classes) if sharded else slice(0, classes)
        self.shard = dist.Shard(local.start, classes) if sharded else None
        self.weight = nn.Parameter(torch.empty(local.stop - local.start, features))
        self.bias = nn.Parameter(torch.zeros(local.stop - local.start))
        draw_initial_weights(self.weight.data, local, classes)
        self.log_scale = None if cosine_scale is None else nn.Parameter(torch.tensor(math.log(cosine_scale)))
        self.bias.requires_grad_(cosine_scale is None)
        self.frequencies = ClassFrequencies(logit_adjustment=logit_adjustment, long_tail=long_tail)
        if train_images_C is not None:
            self.set_prior(train_images_C)
        self._buffer = ScoreBuffer(buffer_gib)
        self._row_optimizer: RowOptimizer | None = None

    @property
    def local(self) -> slice:
        """The classes of this rank."""
        return slice(self.first_class, self.first_class + len(self.weight))

    def set_prior(self, train_images_C: Tensor, sampled_images_C: Tensor | None = None) -> None:
        """Set the shares of the classes in training, see `ClassFrequencies.set_train_images`."""
        self.frequencies.set_train_images(
            train_images_C, self.local, self.bias.device, sampled_images_C=sampled_images_C
        )

    @property
    def first_class(self) -> int:
        """Index of this rank's first class."""
        return 0 if self.shard is None else self.shard.first

    @property
    def is_distributed(self) -> bool:
        """Whether other ranks have other classes."""
        return self.shard is not None and dist.world_size() > 1

    # --- loss

    @property
    def can_update_in_backward(self) -> bool:
        """Whether this rank alone computes the whole gradient of its weights."""
        return self.shard is not None or dist.world_size() == 1

    def update_in_backward(self, optimizer: torch.optim.Optimizer) -> None:
        """Let every backward pass update weight and bias as `optimizer` would, with its settings and state."""
        assert self.can_update_in_backward
        parameters = [parameter for parameter in (self.weight, self.bias) if parameter.requires_grad]
        self._row_optimizer = row_optimizer_for(optimizer, parameters)

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
        options = LossOptions(
            dtype=dtype,
            class_count=self._active_on_all_ranks(active_count) if label_smoothing else self.classes,
            smoothing=label_smoothing,
            first_class=self.first_class,
            row_counts=row_counts,
            active_S=active_S,
            adjustment_S=self.frequencies.adjustment(active_S),
            cosine=self.log_scale is not None,
            focal_gamma=self.frequencies.long_tail.focal_gamma,
            buffer=self._buffer if self._buffer.fits(len(labels_A) * active_count * dtype.itemsize) else None,
            row_optimizer=self._row_optimizer,
        )
        with torch.autocast(kind, enabled=False):
            margins_B = self.frequencies.margins(labels_B)
            if margins_B is not None and self.log_scale is not None:
                margins_B = self.log_scale.exp() * margins_B
            x_BD = self._inputs(features_BD)
            return softmax_loss(x_BD, self.weight, self.bias, labels_A, weights_A, options, margins_B=margins_B)

    def _inputs(self, features_BD: Tensor) -> Tensor:
        """Return the features that the weights are multiplied with: x, or s · x / |x| of a cosine classifier."""
        if self.log_scale is None:
            return features_BD
        return self.log_scale.exp() * unit_length(at_least_float32(features_BD))

    def _active_on_all_ranks(self, active_count: int) -> int:
        """Return the number of active classes of all ranks, from that of this rank."""
        if not self.is_distributed:
            return active_count
        if self.sample_share == 1:
            return self.classes
        return int(dist.all_reduce_sum(torch.tensor(active_count, device=self.weight.device)))

    # --- scores

    def scores(self, features_BD: Tensor, *, tau: float | None = None) -> Tensor:
        """Return unnormalised scores B×C, in float32 even under autocast, because bfloat16 would make ties.

        tau: post-hoc logit adjustment, see `adjusted_bias`

        All classes must be on this rank.
        """
        assert not self.is_distributed, "no rank has all classes; use top_k"
        with torch.autocast(features_BD.device.type, enabled=False):
            x_BD, bias_C = self._inputs(at_least_float32(features_BD)), self.adjusted_bias(tau)
            if self.log_scale is None:
                return F.linear(x_BD, self.weight, bias_C)
            chunks = ClassChunks(self.weight, bias_C, len(x_BD), cosine=True)
            return torch.cat([chunk.products(x_BD) + chunk.bias_n for chunk in chunks], 1)

    def adjusted_bias(self, tau: float | None) -> Tensor:
        """Return the bias for scores with post-hoc logit adjustment by τ (Menon et al. 2021, eq. 9): b − τ·log π.

        τ=0 is for images that are distributed as in the dataset, τ=1 for classes that are equally frequent. Training
        with logit adjustment has already subtracted its own τ, so that only the difference is subtracted here. With a
        sampler, training had the shares q in place of π: then log q is subtracted and log π added, which makes
        b + (τ_train − 1)·log q + (1 − τ)·log π. None is the bias of training itself, without any of these.
        """
        return self.frequencies.adjusted_bias(self.bias, tau)

    @torch.no_grad()
    def top_k(
        self,
        features_BD: Tensor,
        k: int,
        *,
        tau: float | None = None,
        logsumexp: bool = False,
        also_BJ: Tensor | None = None,
    ) -> TopK:
        """Return the k ≤ C largest scores, as exact as `scores`.

        tau:       post-hoc logit adjustment, see `adjusted_bias`
        logsumexp: return log Σ_c exp(score_c) over all classes too
        also_BJ:   classes whose scores are returned too, int64; -1 is no class and has the score −∞

        If the classes are on several ranks, all ranks must call this, with any number of rows each.
        """
        x_AD, also_AJ, row_counts = self._inputs(at_least_float32(features_BD)), also_BJ, None
        if self.is_distributed:
            row_counts = dist.row_counts(x_AD)
            x_AD = dist.all_gather_rows(x_AD, row_counts)
            also_AJ = None if also_BJ is None else self._local_classes(dist.all_gather_rows(also_BJ, row_counts))
        classes = len(self.weight)
        self._buffer.free()
        rows_in_buffer = int(self._buffer.limit_gib * 2**30 / max(1, classes * x_AD.element_size()))
        rows_at_once = max(MIN_TOP_K_ROWS, rows_in_buffer)
        with torch.autocast(x_AD.device.type, enabled=False):
            chunks = ClassChunks(
                self.weight, self.adjusted_bias(tau), min(rows_at_once, len(x_AD)), cosine=self.log_scale is not None
            )
            best = top_k(
                chunks,
                x_AD,
                min(k, classes),
                rows_at_once=rows_at_once,
                logsumexp=logsumexp,
                also_BJ=also_AJ,
            )
        return best if row_counts is None else best_over_ranks(best, self.first_class, k, row_counts)

    def _local_classes(self, classes_AJ: Tensor) -> Tensor:
        """Return the indices of classes among those of this rank, -1 for classes of other ranks."""
        local_AJ = classes_AJ - self.first_class
        return torch.where((classes_AJ >= 0) & (local_AJ >= 0) & (local_AJ < len(self.weight)), local_AJ, -1)

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


def at_least_float32(x: Tensor) -> Tensor:
    """Return half-precision tensors as float32 and others unchanged."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
