"""Batch norm over the rows of all ranks, so that a batch divided among them is normalised as it is in one process.

torch's SyncBatchNorm does this on GPUs and refuses a CPU; the one here works on any device.

Shapes: B rows, C channels, R ranks; a dot stands for the places of a feature map.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.base import dist


def convert_sync_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Let the batch norms of `network`, which is to compute on `device`, count the rows of all ranks.

    But for those that are frozen: they are in evaluation mode also after `.train()`, which this calls.
    """
    network.train()
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm) and child.training:
                setattr(module, name, _of_torch(child) if device.type == "cuda" else SyncedBatchNorm.like(child))


def _of_torch(norm: nn.Module) -> nn.Module:
    found: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
    return found


class SyncedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """As `nn.SyncBatchNorm`. Ranks may have different numbers of rows."""

    @classmethod
    def like(cls, norm: nn.modules.batchnorm._BatchNorm) -> SyncedBatchNorm:
        """One with the settings, the very parameters and the buffers of `norm`."""
        new = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(new, name, getattr(norm, name))
        return new

    def _check_input_dim(self, x: Tensor) -> None:
        """Rows and channels, whatever follows."""
        assert x.ndim >= 2

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or dist.world_size() == 1:
            return super().forward(x)
        y: Tensor = self._synced(x)
        return y

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # ranks talk within
    def _synced(self, x: Tensor) -> Tensor:
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
    """y = w (x − m) / √(v + ε) + b with mean m and variance v over the rows and places of all ranks.

    With x̂ = (x − m) / √(v + ε) and N places in all: ∂x = w / √(v + ε) · (∂y − Σ ∂y / N − x̂ Σ ∂y x̂ / N), both sums over
    all ranks; the gradients of w and b are those of this rank's rows, as of any other layer.
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
        # as if the statistics were constants: w / √(v + ε) · ∂y, Σ ∂y x̂ and Σ ∂y in one pass
        dx, dw_C, db_C = torch.ops.aten.native_batch_norm_backward(
            dy, x, weight_C, mean_C, variance_C, None, None, False, ctx.eps, [True, True, True]
        )
        mean_dyx_C, mean_dy_C = dist.all_reduce_sum(torch.stack([dw_C, db_C])) / ctx.count
        inverse_C = (variance_C + ctx.eps).rsqrt()
        scale_C = inverse_C if weight_C is None else inverse_C * weight_C
        slope_C = scale_C * inverse_C * mean_dyx_C
        shift_C = slope_C * mean_C - scale_C * mean_dy_C
        dx = dx.addcmul_(x, _along(slope_C, x).to(x.dtype), value=-1).add_(_along(shift_C, x))
        return dx, *((None, None) if weight_C is None else (dw_C, db_C)), None


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance [C] over all ranks, from those of each (Chan et al. 1979), and the number of places."""
    exact = torch.promote_types(x.dtype, torch.float32)
    mean_C, variance_C = (values.to(exact) for values in torch.batch_norm_update_stats(x, None, None, 0.0))
    of_ranks_R2c = x.new_zeros((dist.world_size(), 2 * len(mean_C) + 1), dtype=exact)
    count = x.numel() / x.shape[1]
    of_ranks_R2c[dist.rank()] = torch.cat([mean_C, variance_C, mean_C.new_tensor([count])])
    dist.all_reduce_sum(of_ranks_R2c)  # all others are 0: this gathers
    means_RC, variances_RC = of_ranks_R2c[:, :-1].chunk(2, dim=1)
    shares_R1 = of_ranks_R2c[:, -1:] / of_ranks_R2c[:, -1].sum()
    mean_C = (shares_R1 * means_RC).sum(0)
    variance_C = (shares_R1 * (variances_RC + (means_RC - mean_C).square())).sum(0)
    return mean_C, variance_C, of_ranks_R2c[:, -1].sum()


def _along(values_C: Tensor, x: Tensor) -> Tensor:
    """Values by channel, to go with x of shape [B, C, …]."""
    return values_C.view(1, -1, *(1,) * (x.ndim - 2))
