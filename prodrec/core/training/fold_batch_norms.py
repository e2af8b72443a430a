"""Fold batch norms into the convolutions before them, for networks that only recognise.

In evaluation mode a batch norm multiplies and shifts every map by constants, which the weights and bias of the
convolution before it can do as well (Jacob et al. 2018, "Quantization and training of neural networks for efficient
integer-arithmetic-only inference", §3.2):

    w' = w · γ / √(σ² + ε)      b' = (b − μ) · γ / √(σ² + ε) + β

The scores are the same but for rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class HasModules(Protocol):
    """A network."""

    def modules(self) -> Iterator[nn.Module]: ...


@contextmanager
def folded_batch_norms(network: HasModules) -> Iterator[None]:
    """Fold the batch norms as `fold_batch_norms` does, and put them back at the end.

    The network must not be trained, moved or saved meanwhile.
    """
    replaced = fold_batch_norms(network)
    try:
        yield
    finally:
        for parent, name, module in replaced:
            setattr(parent, name, module)


def fold_batch_norms(network: HasModules) -> list[tuple[nn.Module, str, nn.Module]]:
    """Replace convolutions and their batch norms by one convolution each.

    A batch norm in evaluation mode is folded if it is defined right after its convolution, in an nn.Sequential or a
    module of torchvision: there it also runs right after it, which is not so in all modules of timm.

    Return (parent, name, module) of every replaced module.
    """
    pairs = list(_pairs(network))
    replaced = []
    for parent, convolution_name, norm_name in pairs:
        convolution, norm = getattr(parent, convolution_name), getattr(parent, norm_name)
        replaced += [(parent, convolution_name, convolution), (parent, norm_name, norm)]
        setattr(parent, convolution_name, fuse_conv_bn_eval(convolution, norm))
        setattr(parent, norm_name, nn.Identity())
    return replaced


def _pairs(network: HasModules) -> Iterator[tuple[nn.Module, str, str]]:
    """Yield (parent, name of a convolution, name of its batch norm)."""
    for parent in network.modules():
        runs_in_order = type(parent).forward is nn.Sequential.forward
        if not runs_in_order and not type(parent).__module__.startswith("torchvision."):
            continue
        for (convolution_name, convolution), (norm_name, norm) in itertools.pairwise(parent.named_children()):
            if (
                type(convolution) is nn.Conv2d
                and type(norm) is nn.BatchNorm2d
                and convolution.out_channels == norm.num_features
                and norm.track_running_stats
                and not norm.training
            ):
                yield parent, convolution_name, norm_name
