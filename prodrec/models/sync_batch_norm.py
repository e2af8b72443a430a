"""Batch norm over the rows of all ranks: a batch divided among ranks is normalised as a whole batch in one process.

torch's SyncBatchNorm does this on GPUs and rejects CPUs; PortableSyncBatchNorm works on any device.

Shapes: B rows, C channels, R ranks, S statistics of a rank; x and y are B×C×…, with any number of further dimensions.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.base import dist


def convert_sync_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Replace the batch norms of `network`, which is to run on `device`, by ones over the rows of all ranks.

    Frozen batch norms stay: they are in evaluation mode even after `.train()`, which this function calls.
    """
    network.train()
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm) and child.training:
                setattr(module, name, _converted(child, device))


def _converted(norm: nn.modules.batchnorm._BatchNorm, device: torch.device) -> nn.Module:
    if device.type != "cuda" or next(norm.children(), None) is not None:  # torch's would lose them
        return PortableSyncBatchNorm.from_batch_norm(norm)
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
    return converted


class PortableSyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """`nn.SyncBatchNorm` for any device. Ranks may have different numbers of rows.

    The children of a batch norm, such as the activation in timm's BatchNormAct2d, run after it.
    """

    @classmethod
    def from_batch_norm(cls, norm: nn.modules.batchnorm._BatchNorm) -> PortableSyncBatchNorm:
        """Return a module with the settings, parameters and buffers of `norm`; the tensors are shared, not copied."""
        new = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(new, name, getattr(norm, name))
        for name, child in norm.named_children():
            new.add_module(name, child)
        return new

    def _check_input_dim(self, x: Tensor) -> None:
        assert x.ndim >= 2

    def forward(self, x: Tensor) -> Tensor:
        over_ranks = self.training and dist.world_size() > 1
        y: Tensor = self._normalise_over_ranks(x) if over_ranks else super().forward(x)
        for child in self.children():
            y = child(y)
        return y

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # it communicates between ranks
    def _normalise_over_ranks(self, x: Tensor) -> Tensor:
        y, mean_C, variance_C, count = _Normalise.apply(x, self.weight, self.bias, self.eps)
        if self.track_running_stats:
            assert self.num_batches_tracked is not None and self.running_mean is not None
            assert self.running_var is not None
            self.num_batches_tracked.add_(1)
            share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            unbiased_C = variance_C * (count / (count - 1))
            self.running_mean.lerp_(mean_C.to(self.running_mean.dtype), share)
            self.running_var.lerp_(unbiased_C.to(self.running_var.dtype), share)
        return y  # type: ignore[no-any-return]


class _Normalise(torch.autograd.Function):
    """y = w (x − m) / √(v + ε) + b, with mean m and variance v per channel over the values of all ranks.

    With x̂ = (x − m) / √(v + ε) and N values per channel over all ranks:

        ∂x = w / √(v + ε) · (∂y − Σ ∂y / N − x̂ Σ ∂y x̂ / N)    both sums over all ranks
        ∂w = Σ ∂y x̂,  ∂b = Σ ∂y                               sums over this rank, as for any other layer
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_C: Tensor | None, bias_C: Tensor | None, eps: float) -> tuple[Tensor, ...]:
        mean_C, variance_C, count = _statistics(x)
        ctx.eps, ctx.count = eps, count
        ctx.save_for_backward(x, weight_C, mean_C, variance_C)
        y = F.batch_norm(x, mean_C, variance_C, weight_C, bias_C, training=False, eps=eps)
        ctx.mark_non_differentiable(mean_C, variance_C, count)
        return y, mean_C, variance_C, count

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_C, mean_C, variance_C = ctx.saved_tensors
        # with constant statistics, one pass gives dx = w / √(v + ε) · ∂y, dw = Σ ∂y x̂ and db = Σ ∂y
        dx, dw_C, db_C = torch.ops.aten.native_batch_norm_backward(
            dy, x, weight_C, mean_C, variance_C, None, None, False, ctx.eps, [True, True, True]
        )
        mean_dyx_C, mean_dy_C = dist.all_reduce_sum(torch.stack([dw_C, db_C])) / ctx.count
        inverse_C = (variance_C + ctx.eps).rsqrt()
        scale_C = inverse_C if weight_C is None else inverse_C * weight_C
        # the two other terms are linear in x: − slope · x + shift
        slope_C = scale_C * inverse_C * mean_dyx_C
        shift_C = slope_C * mean_C - scale_C * mean_dy_C
        dx = dx.addcmul_(x, _per_channel(slope_C, x).to(x.dtype), value=-1).add_(_per_channel(shift_C, x))
        return dx, *((None, None) if weight_C is None else (dw_C, db_C)), None


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and biased variance [C] over all ranks, and the number of values per channel.

    The statistics of the ranks are merged by the formula of Chan et al. 1979. They are at least float32.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    mean_C, variance_C = (values.to(dtype) for values in torch.batch_norm_update_stats(x, None, None, 0.0))
    statistics_RS = x.new_zeros((dist.world_size(), 2 * len(mean_C) + 1), dtype=dtype)  # C means, C variances, count
    count = x.numel() / x.shape[1]
    statistics_RS[dist.rank()] = torch.cat([mean_C, variance_C, mean_C.new_tensor([count])])
    dist.all_reduce_sum(statistics_RS)  # gathers, because each row is zero on all ranks but one
    means_RC, variances_RC = statistics_RS[:, :-1].chunk(2, dim=1)
    shares_R1 = statistics_RS[:, -1:] / statistics_RS[:, -1].sum()
    mean_C = (shares_R1 * means_RC).sum(0)
    variance_C = (shares_R1 * (variances_RC + (means_RC - mean_C).square())).sum(0)
    return mean_C, variance_C, statistics_RS[:, -1].sum()


def _per_channel(values_C: Tensor, x: Tensor) -> Tensor:
    """Return `values_C` in a shape that broadcasts over x."""
    return values_C.view(1, -1, *(1,) * (x.ndim - 2))
