"""The classifier of a level behind one interface, so that nothing else ever needs the scores of a whole training batch.

    dense     all classes on every rank
    sharded   every rank holds a part of the classes (A §4.3), and sees the rows of all ranks
    sampled   the loss is taken over the labels' classes and a share of the others, drawn anew every step (An et al.
              2021, "Partial FC"); the classes are sharded where there are several ranks

`loss` takes row weights because it must know in the forward pass how much every row counts.

Shapes: B rows, D features, C classes in all, N of them held here, K best.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.base import dist
from prodrec.models.classifier.block_top_k import top_k
from prodrec.models.classifier.chunks import ClassPieces
from prodrec.models.classifier.row_updates import RowUpdate, row_update
from prodrec.models.classifier.softmax_loss import Buffer, Way, softmax_loss

CLASSES_DRAWN_AT_ONCE = 8192
BUFFER_GIB = 2.0
ROWS_RANKED_AT_LEAST = 32
"""At once, whatever the buffer may hold: with fewer rows, reading the weights takes longer than the products."""


class Classifier(nn.Module):
    """Scores = W x + b.

    sharded: hold only this rank's part of the classes; `loss` and `top_k` are then asked by all ranks together.
    sample_share: the share of the classes that a loss is taken over, besides the labels' own; 1 is all.
    buffer_gib: the most memory for the scores of a batch; beyond it a loss computes them twice, and the best are looked
    for in some rows at a time.

    logit_adjustment τ > 0 adds τ·log π_c to the scores inside the loss and nowhere else (Menon et al. 2021, "Long-tail
    learning via logit adjustment", eq. 10), π_c being the share of class c in training; a class without training images
    counts as one image. Needs `train_images_C` for training; scoring does not.

    The same classes start alike on any number of ranks.
    """

    log_prior_N: Tensor | None

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        sharded: bool = False,
        sample_share: float = 1.0,
        buffer_gib: float = BUFFER_GIB,
        logit_adjustment: float = 0.0,
        train_images_C: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.sample_share = sample_share
        self.buffer_gib = buffer_gib
        self.logit_adjustment = logit_adjustment
        held = dist.shard_slice(classes) if sharded else slice(0, classes)
        self.shard = dist.Shard(held.start, classes) if sharded else None
        self.weight = nn.Parameter(torch.empty(held.stop - held.start, features))
        self.bias = nn.Parameter(torch.zeros(held.stop - held.start))
        self._draw_weights(held)
        log_prior_N = None
        if logit_adjustment and train_images_C is not None:
            images_C = train_images_C.to(torch.float64).clamp(min=1)
            log_prior_N = (images_C / images_C.sum()).log().float()[held]
        self.register_buffer("log_prior_N", log_prior_N, persistent=False)
        self._buffer = Buffer()
        self._update: RowUpdate | None = None

    def _draw_weights(self, held: slice) -> None:
        """Uniform in ±1/√D, from a generator for every block of classes, whoever holds it."""
        if self.weight.is_meta:
            return
        seed, bound = int(torch.randint(2**62, ())), 1 / math.sqrt(self.weight.shape[1])
        block = CLASSES_DRAWN_AT_ONCE
        for number in range(held.start // block, -(-held.stop // block)):
            generator = torch.Generator().manual_seed(seed + number)
            first, last = number * block, min((number + 1) * block, self.classes)
            start, stop = max(first, held.start), min(last, held.stop)
            mine_nD = self.weight.data[start - held.start : stop - held.start]
            if (start, stop) == (first, last):
                mine_nD.uniform_(-bound, bound, generator=generator)
                continue
            drawn_nD = torch.empty(last - first, self.weight.shape[1]).uniform_(-bound, bound, generator=generator)
            mine_nD.copy_(drawn_nD[start - first : stop - first])

    @property
    def can_update_in_backward(self) -> bool:
        """Whether this rank alone sees the whole gradient of its weights."""
        return self.shard is not None or dist.world_size() == 1

    def update_in_backward(self, optimizer: torch.optim.Optimizer) -> None:
        """From now on backward itself updates weight and bias, as `optimizer` would and with its settings and state."""
        assert self.can_update_in_backward
        self._update = row_update(optimizer, (self.weight, self.bias))

    def loss(
        self, features_BD: Tensor, labels_B: Tensor, *, weights_B: Tensor | None = None, label_smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Σ_i weights_i · CE_i over this rank's rows (weights default to 1/B) and, detached, the CE_i of every row.

        The products follow autocast; softmax and sums are in float32 (float64 for float64 features).
        """
        if weights_B is None:
            weights_B = torch.full_like(features_BD[:, 0], 1 / max(1, len(features_BD)), dtype=self.weight.dtype)
        total, loss_B = self._loss(features_BD, labels_B, weights_B, label_smoothing)
        return total, loss_B

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # it would unroll the loop over the pieces
    def _loss(
        self, features_BD: Tensor, labels_B: Tensor, weights_B: Tensor, label_smoothing: float
    ) -> tuple[Tensor, Tensor]:
        kind = features_BD.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.weight.dtype
        sizes, labels_A, weights_A = None, labels_B, weights_B
        if self.is_on_ranks:
            sizes = dist.row_counts(labels_B)
            labels_A, weights_A = dist.all_gather_rows(labels_B, sizes), dist.all_gather_rows(weights_B, sizes)
        rows_S = self._sample(labels_A)
        held = len(self.weight) if rows_S is None else len(rows_S)
        way = Way(
            dtype=dtype,
            classes=self._taking_part(held) if label_smoothing else self.classes,
            smoothing=label_smoothing,
            first=self.first,
            sizes=sizes,
            rows_S=rows_S,
            shift_S=self._shift(rows_S),
            buffer=self._buffer if self._fits(len(labels_A) * held * dtype.itemsize) else None,
            update=self._update,
        )
        with torch.autocast(kind, enabled=False):
            return softmax_loss(features_BD, self.weight, self.bias, labels_A, weights_A, way)

    def _sample(self, labels_A: Tensor) -> Tensor | None:
        """The classes held here that take part in this step, ascending: every label's, and each other by chance."""
        if self.sample_share == 1 or not self.training:
            return None
        held = len(self.weight)
        chosen_N = torch.rand(held, device=labels_A.device) < self.sample_share
        mine_A = labels_A - self.first
        chosen_N[mine_A[(mine_A >= 0) & (mine_A < held)]] = True
        return chosen_N.nonzero().squeeze(1)

    def _taking_part(self, held: int) -> int:
        if self.sample_share == 1 or not self.is_on_ranks:
            return held if not self.is_on_ranks else self.classes
        return int(dist.all_reduce_sum(torch.tensor(held, device=self.weight.device)))

    def _shift(self, rows_S: Tensor | None) -> Tensor | None:
        if not self.logit_adjustment:
            return None
        assert self.log_prior_N is not None, "logit adjustment needs the training images of every class"
        shift_N = self.logit_adjustment * self.log_prior_N
        return shift_N if rows_S is None else shift_N[rows_S]

    def _fits(self, buffer_bytes: float) -> bool:
        return buffer_bytes <= self.buffer_gib * 2**30

    def scores(self, features_BD: Tensor) -> Tensor:
        """Unnormalised scores B×C; in float32 also under autocast, where bfloat16 would make ties. Not when sharded."""
        assert not self.is_on_ranks, "no rank holds all classes; ask for the top k"
        with torch.autocast(features_BD.device.type, enabled=False):
            return F.linear(at_least_float32(features_BD), self.weight, self.bias)

    @torch.no_grad()
    def top_k(self, features_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k largest scores B×K, in decreasing order, and their classes B×K (int64), k at most C.

        As exact as `scores`. Where the classes are on several ranks, all of them ask, with any number of rows each.
        """
        x_AD, sizes = at_least_float32(features_BD), None
        if self.is_on_ranks:
            sizes = dist.row_counts(x_AD)
            x_AD = dist.all_gather_rows(x_AD, sizes)
        held = len(self.weight)
        self._buffer.let_go()
        rows_at_once = int(self.buffer_gib * 2**30 / max(1, held * x_AD.element_size()))
        rows_at_once = max(ROWS_RANKED_AT_LEAST, rows_at_once)
        with torch.autocast(x_AD.device.type, enabled=False):
            pieces = ClassPieces(self.weight, self.bias, min(rows_at_once, len(x_AD)))
            scores_AK, classes_AK = top_k(pieces, x_AD, min(k, held), rows_at_once=rows_at_once)
        if sizes is None:
            return scores_AK, classes_AK
        return self._best_of_ranks(scores_AK, classes_AK + self.first, k, sizes)

    def _best_of_ranks(self, scores_AK: Tensor, classes_AK: Tensor, k: int, sizes: list[int]) -> tuple[Tensor, Tensor]:
        """This rank's rows, from the best classes that every rank found in its part; a part may hold fewer than k."""
        missing = (0, k - scores_AK.shape[1])
        found = F.pad(scores_AK, missing, value=-torch.inf), F.pad(classes_AK, missing)
        of_ranks = (dist.all_gather_rows(each_AK, [len(each_AK)] * len(sizes)) for each_AK in found)
        own = dist.rank()
        scores_BK, classes_BK = (
            torch.cat([torch.split(part_AK, sizes)[own] for part_AK in each.chunk(len(sizes))], dim=1)
            for each in of_ranks
        )
        best = scores_BK.topk(k, dim=1)
        return best.values, classes_BK.gather(1, best.indices)

    def buffer_bytes(self, rows: int, dtype: torch.dtype) -> int:
        """Memory for the scores of `rows` rows (all ranks', both streams); 0 where they are computed twice."""
        needed = self._scores_bytes(rows, dtype)
        return needed if self._fits(needed) else 0

    def _scores_bytes(self, rows: int, dtype: torch.dtype) -> int:
        return rows * round(len(self.weight) * self.sample_share) * dtype.itemsize

    def describe(self, rows: int, dtype: torch.dtype) -> str:
        """How the loss of a batch of `rows` rows (all ranks', both streams) is computed, for a person."""
        needed = self._scores_bytes(rows, dtype)
        way = "dense" if self.shard is None else f"sharded over {dist.world_size()} ranks"
        if self.sample_share < 1:
            way += f", {self.sample_share:.0%} of them sampled every step"
        memory = f"{needed / 2**20:,.1f} MiB of scores"
        memory = f"{memory} kept" if self._fits(needed) else f"computed twice, as {memory} would pass score_buffer"
        return f"{self.classes:,} classes x {self.weight.shape[1]:,}, {way}; {memory}"

    @property
    def first(self) -> int:
        """Number of the first class held here."""
        return 0 if self.shard is None else self.shard.first

    @property
    def is_on_ranks(self) -> bool:
        """Whether other ranks hold other classes."""
        return self.shard is not None and dist.world_size() > 1


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision as float32, others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
