"""Softmax cross-entropy over very many classes, computed in chunks of classes.

With scores z = W x + b (minus a margin m_i at the label y_i), row weights v_i and label smoothing ε over C classes:

    loss = Σ_i v_i · (log Σ_c exp z_ic − (1 − ε) z_iy − ε/C Σ_c z_ic)
    ∂loss/∂z_ic = v_i · (p_ic − (1 − ε)[c = y_i] − ε/C),    p_i = softmax(z_i)
    ∂loss/∂m_i = −∂loss/∂z_iy

With soft labels q_ic by distance in the category tree (`tree_smoothing.py`), the target of class c is q_ic instead:

    loss = Σ_i v_i · (log Σ_c exp z_ic − Σ_c q_ic z_ic),    ∂loss/∂z_ic = v_i · (p_ic − q_ic)

Focal loss multiplies the loss of a row and its gradient by the factors of `long_tail.py`.

The forward pass visits each class once. For every row and chunk it keeps the maximum of z and the sum of
exp(z − maximum) (online softmax, Milakov and Gimelshein 2018). The backward pass turns the stored exp(z − maximum) into
∂loss/∂z in place, or computes z again, and derives the gradients of x and W from it. The gradient of a chunk's weights
is then complete, so they can be updated at once.

If the classes are sharded (A §4.3: the last layer is divided among the GPUs), every rank sees the rows of all ranks.
The four numbers of a row (maximum, sum of exp(z − maximum), score of the label, sum of the scores, which soft labels
weigh) are reduced over the ranks, and so is the gradient of the features.

Shapes: B rows of this rank, A of all ranks, D features, N classes of this rank, S active ones among them, Q chunks, n
classes of a chunk, t threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from prodrec.core.base import dist
from prodrec.models.classifier.chunks import ClassChunk, ClassChunks
from prodrec.models.classifier.long_tail import focal_gradient_factors, focal_weights
from prodrec.models.classifier.parameter_gradients import ParameterGradients
from prodrec.models.classifier.row_optimizers import RowUpdates
from prodrec.models.classifier.row_statistics import RowStatistics
from prodrec.models.classifier.score_buffer import ScoreBuffer
from prodrec.models.classifier.threads import run_in_threads, thread_count
from prodrec.models.classifier.tree_smoothing import TreeTargets


@dataclass(frozen=True)
class LossOptions:
    """Options for the computation of a loss.

    dtype:         number type of the products; sums and softmax are at least float32
    class_count:   C, the number of active classes of all ranks, over which the smoothing is spread
    smoothing:     ε
    first_class:   index of the first class of this rank
    row_counts:    number of rows of every rank if the classes are on several ranks, else None
    active_S:      active classes of this rank, ascending; None is all of them
    adjustment_S:  logit adjustment of these classes, added to their scores
    cosine:        whether W is normalised to rows of length 1
    focal_gamma:   γ of the focal loss, which needs ε = 0; 0 is the cross-entropy
    tree:          soft labels of the rows of all ranks, which need ε = 0, γ = 0 and all classes active
    buffer:        stores exp(z − maximum) for the backward pass; without it, the backward pass computes z again
    row_optimizer: updates weight and bias in the backward pass; without it, they get a gradient
    """

    dtype: torch.dtype
    class_count: int
    smoothing: float = 0.0
    first_class: int = 0
    row_counts: list[int] | None = None
    active_S: Tensor | None = None
    adjustment_S: Tensor | None = None
    cosine: bool = False
    focal_gamma: float = 0.0
    tree: TreeTargets | None = None
    buffer: ScoreBuffer | None = None
    row_optimizer: RowUpdates | None = None

    @property
    def other_share(self) -> float | Tensor:
        """The target of a class that is not the label: ε/C, or with soft labels that of a sibling of the label [A]."""
        return self.smoothing / self.class_count if self.tree is None else self.tree.sibling_target_A

    @property
    def label_share(self) -> float | Tensor:
        """The target of the label minus `other_share`: 1 − ε, or with soft labels a value for every row [A]."""
        return 1 - self.smoothing if self.tree is None else self.tree.label_target_A - self.tree.sibling_target_A

    def local_rows(self, values_A: Tensor) -> Tensor:
        """Return this rank's rows among those of all ranks."""
        return values_A if self.row_counts is None else torch.split(values_A, self.row_counts)[dist.rank()]


def softmax_loss(
    features_BD: Tensor,
    weight_ND: Tensor,
    bias_N: Tensor,
    labels_A: Tensor,
    weights_A: Tensor,
    options: LossOptions,
    *,
    margins_B: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return Σ_i v_i · CE_i over this rank's rows, and the detached CE_i of every row [B].

    labels_A, weights_A: labels (over the classes of all ranks) and v, for the rows of all ranks, rank by rank
    margins_B:           m of this rank's rows, which may need a gradient; None is 0. With or without it on all ranks

    With `focal_gamma`, the sum is over v_i · (1 − p_i)^γ · CE_i. The CE_i that are returned remain without the factor.

    With sharded classes, all ranks must call this, and must call `backward` on their loss times the same factor.
    """
    losses: tuple[Tensor, Tensor] = _SoftmaxLoss.apply(
        features_BD, weight_ND, bias_N, labels_A, weights_A, margins_B, options
    )
    return losses


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features_BD: Tensor,
        weight_ND: Tensor,
        bias_N: Tensor,
        labels_A: Tensor,
        weights_A: Tensor,
        margins_B: Tensor | None,
        options: LossOptions,
    ) -> tuple[Tensor, Tensor]:
        x_AD = features_BD.detach().to(options.dtype)
        margins_A = None if margins_B is None else margins_B.detach()
        if options.row_counts is not None:
            x_AD = dist.all_gather_rows(x_AD, options.row_counts)
            margins_A = None if margins_A is None else dist.all_gather_rows(margins_A, options.row_counts)
        chunks = ClassChunks(
            weight_ND.detach(), bias_N.detach(), len(x_AD), options.active_S, options.adjustment_S, options.cosine
        )
        position_A = chunks.positions(labels_A - options.first_class)
        exp_scores = None
        if options.buffer is not None and any(ctx.needs_input_grad):
            exp_scores = options.buffer.acquire(
                len(x_AD) * chunks.active_count, dtype=options.dtype, device=x_AD.device
            )
        statistics = RowStatistics(len(chunks), x_AD, torch.promote_types(options.dtype, torch.float32))

        def scan_chunk(thread: int, number: int) -> None:
            chunk = chunks[number]
            stored_An = None if exp_scores is None else _chunk_view(exp_scores, chunk, len(x_AD))
            z_An = chunk.products(x_AD, out=stored_An).to(statistics.dtype).add_(chunk.bias_n)
            is_inside_A, column_A1 = chunk.locate(position_A)
            if margins_A is not None:
                own_margin_A = torch.where(is_inside_A, margins_A, 0).to(z_An.dtype)
                z_An.scatter_add_(1, column_A1, -own_margin_A.unsqueeze(1))
            statistics.label_score_tA[thread] += torch.where(is_inside_A, z_An.gather(1, column_A1).squeeze(1), 0)
            if options.tree is not None:
                statistics.score_sum_tA[thread] += options.tree.of_chunk(chunk.index).mul_(z_An).sum(1)
            elif options.smoothing:
                statistics.score_sum_tA[thread] += z_An.sum(1)
            max_A = z_An.amax(1)
            z_An.sub_(max_A.unsqueeze(1)).exp_()
            statistics.max_QA[number], statistics.exp_sum_QA[number] = max_A, z_An.sum(1)
            if stored_An is not None and z_An.data_ptr() != stored_An.data_ptr():
                stored_An.copy_(z_An)

        run_in_threads(len(chunks), scan_chunk, device=x_AD.device)
        max_A, exp_sum_A, label_score_A, score_sum_A = statistics.over_chunks()
        if options.row_counts is not None:
            local_max_A, max_A = max_A, dist.all_reduce_max(max_A.clone())
            sums_3A = torch.stack([exp_sum_A * (local_max_A - max_A).exp_(), label_score_A, score_sum_A])
            exp_sum_A, label_score_A, score_sum_A = dist.all_reduce_sum(sums_3A)
        log_sum_A = max_A + exp_sum_A.log()
        label_share, sum_share = options.label_share, 1.0 if options.tree is not None else options.other_share
        loss_A = log_sum_A - label_share * label_score_A - sum_share * score_sum_A

        ctx.options, ctx.chunks, ctx.exp_scores, ctx.max_QA = options, chunks, exp_scores, statistics.max_QA
        ctx.parameters = weight_ND, bias_N
        ctx.save_for_backward(weight_ND, x_AD, weights_A, position_A, log_sum_A, label_score_A)
        loss_B = options.local_rows(loss_A).clone()
        ctx.mark_non_differentiable(loss_B)
        weighted_B = options.local_rows(weights_A) * loss_B
        if options.focal_gamma:
            weighted_B = weighted_B * focal_weights(-loss_B.clamp(min=0), options.focal_gamma)
        return weighted_B.sum(), loss_B

    @staticmethod
    def backward(ctx: Any, factor: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        options, chunks = ctx.options, ctx.chunks
        # autograd raises here if W has changed since the forward pass
        _, x_AD, weights_A, position_A, log_sum_A, label_score_A = ctx.saved_tensors
        v_A = (weights_A * factor).to(log_sum_A.dtype)
        if options.focal_gamma:
            v_A = v_A * focal_gradient_factors((label_score_A - log_sum_A).clamp(max=0), options.focal_gamma)
        smoothed_A = v_A * options.other_share
        dz_label_A = v_A * ((label_score_A - log_sum_A).exp() - options.label_share) - smoothed_A
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        exp_scores, ctx.exp_scores = ctx.exp_scores, None  # dz overwrites it; another backward pass computes z again
        threads = thread_count(x_AD.device) if needs_x else 0
        dx_tAD = torch.zeros((threads, *x_AD.shape), dtype=log_sum_A.dtype, device=x_AD.device)
        gradients = ParameterGradients(ctx.parameters, options.row_optimizer, needed=(needs_weight, needs_bias))
        if options.row_optimizer is not None:
            options.row_optimizer.begin_step()

        def differentiate_chunk(thread: int, number: int) -> None:
            chunk = chunks[number]
            if exp_scores is not None:
                dz_An = _chunk_view(exp_scores, chunk, len(x_AD))
                dz_An.mul_((v_A * (ctx.max_QA[number] - log_sum_A).exp()).unsqueeze(1))
            else:
                z_An = chunk.products(x_AD).to(log_sum_A.dtype).add_(chunk.bias_n)  # that of the label is set below
                dz_An = z_An.sub_(log_sum_A.unsqueeze(1)).exp_().mul_(v_A.unsqueeze(1)).to(options.dtype)
            if options.tree is not None:
                dz_An.sub_(options.tree.of_chunk(chunk.index).mul_(v_A.unsqueeze(1)))
            elif options.smoothing:
                dz_An.sub_(smoothed_A.unsqueeze(1))
            is_inside_A, column_A1 = chunk.locate(position_A)
            label_A1 = dz_label_A.unsqueeze(1).to(options.dtype)
            dz_An.scatter_(1, column_A1, torch.where(is_inside_A.unsqueeze(1), label_A1, dz_An.gather(1, column_A1)))
            if needs_x:
                _add_product(dx_tAD[thread], dz_An, chunk.weight_nD)
            gradients.add(chunk, dz_An, x_AD)

        run_in_threads(len(chunks), differentiate_chunk, device=x_AD.device)
        if exp_scores is not None:
            options.buffer.release(exp_scores)
        dx_BD = dx_tAD.sum(0) if needs_x else None
        if dx_BD is not None and options.row_counts is not None:
            dx_BD = dist.reduce_scatter_rows(dx_BD, options.row_counts)
        d_margin_B = -options.local_rows(dz_label_A) if ctx.needs_input_grad[5] else None
        return dx_BD, *gradients.whole, None, None, d_margin_B, None


def _chunk_view(exp_scores: Tensor, chunk: ClassChunk, rows: int) -> Tensor:
    """Return the part of the score buffer that belongs to a chunk, A×n."""
    return exp_scores[rows * chunk.start : rows * chunk.stop].view(rows, chunk.stop - chunk.start)


def _add_product(dx_AD: Tensor, dz_An: Tensor, weight_nD: Tensor) -> None:
    if dz_An.dtype == dx_AD.dtype:
        dx_AD.addmm_(dz_An, weight_nD.to(dz_An.dtype))
    else:
        dx_AD.add_(torch.mm(dz_An, weight_nD.to(dz_An.dtype)))  # products in bf16 are summed in float32
