"""The weights of a classifier and the scores of its classes, on every rank or divided among the ranks.

Shapes: B rows of this rank, A of all ranks, D features, C classes, N of them on this rank, K best.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.base import dist
from prodrec.core.base.top_k_options import BEST_ALONE, TopKOptions
from prodrec.models.classifier.block_top_k import TopK, best_over_ranks, top_k
from prodrec.models.classifier.chunks import ClassChunks
from prodrec.models.classifier.class_frequencies import ClassFrequencies
from prodrec.models.classifier.cosine import unit_length
from prodrec.models.classifier.initial_weights import draw_initial_weights
from prodrec.models.classifier.long_tail import LongTailLoss
from prodrec.models.classifier.score_buffer import DEFAULT_LIMIT_GIB, ScoreBuffer

MIN_TOP_K_ROWS = 32
"""Fewest rows that `top_k` scores at once, whatever the buffer. For fewer, reading W takes longer than the products."""


class ClassScores(nn.Module):
    """Scores = W x + b, or with `cosine_scale` s · cos(x, w_c), see `cosine.py`.

    sharded:          this rank has only its shard of the classes. All ranks must call `top_k` together
    buffer_gib:       largest memory for scores in GiB; `top_k` scores fewer rows at once if it is small
    logit_adjustment: τ of training, see `adjusted_bias`
    long_tail:        class weights, focal loss and margins, see `long_tail.py`
    cosine_scale:     initial s, which is learned; None is W x + b
    train_images_C:   number of training images of every class; see `set_prior`

    The initial weights do not depend on the number of ranks.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        sharded: bool = False,
        buffer_gib: float = DEFAULT_LIMIT_GIB,
        logit_adjustment: float = 0.0,
        long_tail: LongTailLoss | None = None,
        cosine_scale: float | None = None,
        train_images_C: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.logit_adjustment = logit_adjustment
        local = dist.shard_slice(classes) if sharded else slice(0, classes)
        self.shard = dist.Shard(local.start, classes) if sharded else None
        self.weight = nn.Parameter(torch.empty(local.stop - local.start, features))
        self.bias = nn.Parameter(torch.zeros(local.stop - local.start))
        draw_initial_weights(self.weight.data, local, classes)
        self.log_scale = None if cosine_scale is None else nn.Parameter(torch.tensor(math.log(cosine_scale)))
        self.bias.requires_grad_(cosine_scale is None)
        self.frequencies = ClassFrequencies(long_tail)
        if train_images_C is not None:
            self.set_prior(train_images_C)
        self._buffer = ScoreBuffer(buffer_gib)

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

    def _inputs(self, features_BD: Tensor) -> Tensor:
        """Return the features that the weights are multiplied with: x, or s · x / |x| of a cosine classifier."""
        if self.log_scale is None:
            return features_BD
        return self.log_scale.exp() * unit_length(at_least_float32(features_BD))

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
            rows = 1 if torch.compiler.is_exporting() else len(x_BD)  # the chunks of a graph fit batches of any size
            chunks = ClassChunks(self.weight, bias_C, rows, cosine=True)
            return torch.cat([chunk.products(x_BD) + chunk.bias_n for chunk in chunks], 1)

    def adjusted_bias(self, tau: float | None) -> Tensor:
        """Return the bias for scores with post-hoc logit adjustment by τ (Menon et al. 2021, eq. 9): b − τ·log π.

        τ=0 is for images that are distributed as in the dataset, τ=1 for classes that are equally frequent. Training
        with logit adjustment has already subtracted its own τ, so that only the difference is subtracted here. With a
        sampler, training had the shares q in place of π: then log q is subtracted and log π added, which makes
        b + (τ_train − 1)·log q + (1 − τ)·log π. None is the bias of training itself, without any of these.
        """
        return self.frequencies.adjusted_bias(self.bias, tau, tau_of_training=self.logit_adjustment)

    @torch.no_grad()
    def top_k(
        self,
        features_BD: Tensor,
        k: int,
        *,
        tau: float | None = None,
        options: TopKOptions = BEST_ALONE,
    ) -> TopK:
        """Return the k ≤ C largest scores, as exact as `scores`, and what `options` requests.

        tau: post-hoc logit adjustment, see `adjusted_bias`

        If the classes are on several ranks, all ranks must call this, with any number of rows each.
        """
        x_AD, row_counts = self._inputs(at_least_float32(features_BD)), None
        if self.is_distributed:
            row_counts = dist.row_counts(x_AD)
            x_AD = dist.all_gather_rows(x_AD, row_counts)
            options = self._options_of_all_rows(options, row_counts)
        classes = len(self.weight)
        self._buffer.free()
        rows_in_buffer = int(self._buffer.limit_gib * 2**30 / max(1, classes * x_AD.element_size()))
        rows_at_once = max(MIN_TOP_K_ROWS, rows_in_buffer)
        with torch.autocast(x_AD.device.type, enabled=False):
            chunks = ClassChunks(
                self.weight, self.adjusted_bias(tau), min(rows_at_once, len(x_AD)), cosine=self.log_scale is not None
            )
            best = top_k(chunks, x_AD, min(k, classes), rows_at_once=rows_at_once, options=options)
        return best if row_counts is None else best_over_ranks(best, self.first_class, k, row_counts)

    def _options_of_all_rows(self, options: TopKOptions, row_counts: list[int]) -> TopKOptions:
        """Return the options for the rows of all ranks and the classes of this rank."""
        also_BJ, among_C, added = options.also_BJ, options.among_C, options.added
        return replace(
            options,
            also_BJ=None if also_BJ is None else self._local_classes(dist.all_gather_rows(also_BJ, row_counts)),
            among_C=None if among_C is None else among_C[self.local],
            added=None if added is None else (dist.all_gather_rows(added[0], row_counts), added[1][self.local]),
        )

    def _local_classes(self, classes_AJ: Tensor) -> Tensor:
        """Return the indices of classes among those of this rank, -1 for classes of other ranks."""
        local_AJ = classes_AJ - self.first_class
        return torch.where((classes_AJ >= 0) & (local_AJ >= 0) & (local_AJ < len(self.weight)), local_AJ, -1)


def at_least_float32(x: Tensor) -> Tensor:
    """Return half-precision tensors as float32 and others unchanged."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
