"""Softmax cross-entropy over very many classes, in pieces: at most one buffer of rows × classes, or none at all.

With z = W x + shift, weights v_i of the rows and label smoothing ε over C classes (A eq. 1 is two such sums):

    loss = Σ_i v_i · (log Σ_c exp z_ic − (1 − ε) z_iy − ε/C Σ_c z_ic)
    ∂loss/∂z_ic = v_i · (p_ic − (1 − ε)[c = y_i] − ε/C),    p_i = softmax(z_i)

The forward pass goes through the classes once and keeps maximum and sum of every row (online softmax, Milakov and
Gimelshein 2018); the backward pass turns the kept exp z into ∂loss/∂z in place, or computes it again, and from it both
gradients. As a piece's gradient is complete at once, the optimizer's update may be applied to the piece there and then,
and the gradient of W never exists.

Where ranks hold other classes each (A §4.3: the last layer divided over the GPUs), every rank sees the rows of all;
maximum, sum and the label's score are reduced over the ranks, and so is the gradient of the features.

Shapes: B rows of this rank, A of all ranks, D features, N classes held here, P pieces, n classes of one, l lanes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from prodrec.core.base import dist
from prodrec.models.classifier.chunks import ClassPieces, Piece
from prodrec.models.classifier.row_updates import RowUpdate
from prodrec.models.classifier.threads import in_lanes, lanes

SLACK = 16
"""A buffer that has to grow becomes by a 16th larger than asked for: how many classes are sampled varies a little."""


@dataclass
class Buffer:
    """The one buffer of scores, kept from step to step: fresh memory costs more than what is computed in it."""

    values: Tensor | None = None

    def take(self, count: int, *, dtype: torch.dtype, device: torch.device) -> Tensor:
        """`count` values, undefined; whoever takes them gives them back."""
        values, self.values = self.values, None
        if values is None:
            return torch.empty(count, dtype=dtype, device=device)
        if len(values) < count or values.dtype != dtype or values.device != device:
            values = None  # let go before there is another
            return torch.empty(count + count // SLACK, dtype=dtype, device=device)
        return values

    def let_go(self) -> None:
        self.values = None

    def give_back(self, values: Tensor) -> None:
        self.values = values


@dataclass(frozen=True)
class Way:
    """How a loss is computed.

    dtype:     number type of the products; sums and the softmax are float32 at least
    classes:   how many classes take part in all; they share the smoothing
    smoothing: ε
    first:     number of the first class held here
    sizes:     rows of every rank, where other ranks hold other classes; None where all are here
    rows_S:    the classes held here that take part, None for all; shift_S: added to their scores besides the bias
    buffer:    where exp z is kept for the backward pass; None computes it again there
    update:    the optimizer's update, applied piece by piece instead of giving W and its bias a gradient
    """

    dtype: torch.dtype
    classes: int
    smoothing: float = 0.0
    first: int = 0
    sizes: list[int] | None = None
    rows_S: Tensor | None = None
    shift_S: Tensor | None = None
    buffer: Buffer | None = None
    update: RowUpdate | None = None

    def own(self, each_A: Tensor) -> Tensor:
        """This rank's rows of those of all ranks."""
        return each_A if self.sizes is None else torch.split(each_A, self.sizes)[dist.rank()]


def softmax_loss(
    features_BD: Tensor, weight_ND: Tensor, bias_N: Tensor, labels_A: Tensor, weights_A: Tensor, way: Way
) -> tuple[Tensor, Tensor]:
    """Σ_i v_i · CE_i over this rank's rows, and, detached, their CE_i.

    labels_A, weights_A: of the rows of all ranks, one after the other; labels count over the classes of all ranks. All
    ranks must ask, and run backward from the same multiple of their share.
    """
    found: tuple[Tensor, Tensor] = _SoftmaxLoss.apply(features_BD, weight_ND, bias_N, labels_A, weights_A, way)
    return found


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features_BD: Tensor, weight_ND: Tensor, bias_N: Tensor, labels_A: Tensor, weights_A: Tensor, way: Way
    ) -> tuple[Tensor, Tensor]:
        x_AD = features_BD.detach().to(way.dtype)
        if way.sizes is not None:
            x_AD = dist.all_gather_rows(x_AD, way.sizes)
        pieces = ClassPieces(weight_ND.detach(), bias_N.detach(), len(x_AD), way.rows_S, way.shift_S)
        target_A = pieces.target(labels_A - way.first)
        kept = None
        if way.buffer is not None and any(ctx.needs_input_grad):
            kept = way.buffer.take(len(x_AD) * pieces.taking_part, dtype=way.dtype, device=x_AD.device)

        found = _Found(len(pieces), x_AD, torch.promote_types(way.dtype, torch.float32))

        def look(lane: int, number: int) -> None:
            piece = pieces[number]
            room_An = None if kept is None else _room(kept, piece, len(x_AD))
            products_An = piece.products(x_AD, out=room_An)
            z_An = products_An.to(found.dtype).add_(piece.shift_n)
            here_A, at_A1 = piece.find(target_A)
            found.at_label_lA[lane] += torch.where(here_A, z_An.gather(1, at_A1).squeeze(1), 0)
            if way.smoothing:
                found.in_all_lA[lane] += z_An.sum(1)
            highest_A = z_An.amax(1)
            z_An.sub_(highest_A.unsqueeze(1)).exp_()
            found.highest_PA[number], found.sum_PA[number] = highest_A, z_An.sum(1)
            if room_An is not None and z_An.data_ptr() != room_An.data_ptr():
                room_An.copy_(z_An)

        in_lanes(len(pieces), look, device=x_AD.device)
        highest_A, sum_A, at_label_A, in_all_A = found.in_all_pieces()
        if way.sizes is not None:
            here_A, highest_A = highest_A, dist.all_reduce_max(highest_A.clone())
            parts_3A = torch.stack([sum_A * (here_A - highest_A).exp_(), at_label_A, in_all_A])
            sum_A, at_label_A, in_all_A = dist.all_reduce_sum(parts_3A)
        log_sum_A = highest_A + sum_A.log()
        loss_A = log_sum_A - (1 - way.smoothing) * at_label_A - way.smoothing / way.classes * in_all_A

        ctx.way, ctx.pieces, ctx.kept, ctx.highest_PA = way, pieces, kept, found.highest_PA
        ctx.parameters = weight_ND, bias_N
        ctx.save_for_backward(weight_ND, x_AD, weights_A, target_A, log_sum_A, at_label_A)
        loss_B = way.own(loss_A).clone()
        ctx.mark_non_differentiable(loss_B)
        return (way.own(weights_A) * loss_B).sum(), loss_B

    @staticmethod
    def backward(ctx: Any, share: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        way, pieces = ctx.way, ctx.pieces
        _, x_AD, weights_A, target_A, log_sum_A, at_label_A = ctx.saved_tensors  # tells if W has changed since
        factor_A = (weights_A * share).to(log_sum_A.dtype)
        spread_A = factor_A * (way.smoothing / way.classes)
        at_label_A = factor_A * ((at_label_A - log_sum_A).exp() - (1 - way.smoothing)) - spread_A
        wants_x, wants_w, wants_b = ctx.needs_input_grad[:3]
        kept, ctx.kept = ctx.kept, None  # what is kept serves one backward pass
        of_lanes = lanes(x_AD.device) if wants_x else 0
        dx_lAD = torch.zeros((of_lanes, *x_AD.shape), dtype=log_sum_A.dtype, device=x_AD.device)
        gradients = _Gradients(ctx.parameters, way.update, wants=(wants_w, wants_b))
        if way.update is not None:
            way.update.begin()

        def turn(lane: int, number: int) -> None:
            piece = pieces[number]
            if kept is not None:
                dz_An = _room(kept, piece, len(x_AD))
                dz_An.mul_((factor_A * (ctx.highest_PA[number] - log_sum_A).exp()).unsqueeze(1))
            else:
                z_An = piece.products(x_AD).to(log_sum_A.dtype).add_(piece.shift_n)
                dz_An = z_An.sub_(log_sum_A.unsqueeze(1)).exp_().mul_(factor_A.unsqueeze(1)).to(way.dtype)
            if way.smoothing:
                dz_An.sub_(spread_A.unsqueeze(1))
            here_A, at_A1 = piece.find(target_A)
            at_it_A1 = torch.where(here_A.unsqueeze(1), at_label_A.unsqueeze(1).to(way.dtype), dz_An.gather(1, at_A1))
            dz_An.scatter_(1, at_A1, at_it_A1)
            if wants_x:
                _add_product(dx_lAD[lane], dz_An, piece.weight_nD)
            gradients.add(piece, dz_An, x_AD)

        in_lanes(len(pieces), turn, device=x_AD.device)
        if kept is not None:
            way.buffer.give_back(kept)
        dx_BD = dx_lAD.sum(0) if wants_x else None
        if dx_BD is not None and way.sizes is not None:
            dx_BD = dist.reduce_scatter_rows(dx_BD, way.sizes)
        return dx_BD, *gradients.whole, None, None, None


class _Found:
    """What the pieces say of every row: P maxima and sums, and by lane the label's score and the sum of all."""

    def __init__(self, pieces: int, x_AD: Tensor, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.highest_PA = torch.full((pieces, len(x_AD)), -torch.inf, dtype=dtype, device=x_AD.device)
        self.sum_PA = torch.zeros_like(self.highest_PA)
        of_lanes = (lanes(x_AD.device), len(x_AD))
        self.at_label_lA, self.in_all_lA = (torch.zeros(of_lanes, dtype=dtype, device=x_AD.device) for _ in range(2))

    def in_all_pieces(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Maximum, sum of exp(z − maximum), the label's score, sum of all scores; each [A]. No pieces: −∞, 0, 0, 0."""
        none = self.highest_PA.new_full((1, self.highest_PA.shape[1]), -torch.inf)
        highest_A = torch.cat([self.highest_PA, none]).amax(0)
        sum_A = (self.sum_PA * (self.highest_PA - highest_A).exp()).sum(0)
        return highest_A, sum_A, self.at_label_lA.sum(0), self.in_all_lA.sum(0)


def _room(kept: Tensor, piece: Piece, rows: int) -> Tensor:
    """The part of the buffer that belongs to a piece: A×n."""
    return kept[rows * piece.start : rows * piece.stop].view(rows, piece.stop - piece.start)


def _add_product(dx_AD: Tensor, dz_An: Tensor, weight_nD: Tensor) -> None:
    if dz_An.dtype == dx_AD.dtype:
        dx_AD.addmm_(dz_An, weight_nD.to(dz_An.dtype))
    else:
        dx_AD.add_(torch.mm(dz_An, weight_nD.to(dz_An.dtype)))  # summed in float32


class _Gradients:
    """The gradients of weight and bias: applied as they come, or collected whole for the optimizer."""

    def __init__(
        self, parameters: tuple[Tensor, Tensor], update: RowUpdate | None, *, wants: tuple[bool, bool]
    ) -> None:
        self.parameters, self.update, self.wants = parameters, update, wants
        self.whole: list[Tensor | None] = [
            torch.zeros_like(parameter) if wanted and update is None else None
            for parameter, wanted in zip(parameters, wants, strict=True)
        ]

    def add(self, piece: Piece, dz_An: Tensor, x_AD: Tensor) -> None:
        """Take in the gradients of the classes of a piece, from that of their scores; its weights are used up."""
        of_weight = torch.mm(dz_An.t(), x_AD) if self.wants[0] else None
        of_bias = dz_An.sum(0, dtype=self.parameters[1].dtype) if self.wants[1] else None
        found = zip(self.parameters, self.whole, (of_weight, of_bias), (piece.weight_nD, None), strict=True)
        for parameter, whole, gradient, values in found:
            if gradient is None:
                continue
            if whole is not None:
                whole[piece.rows] = gradient
            elif self.update is not None:
                self.update.update(parameter, piece.rows, gradient.to(parameter.dtype), values=values)
