"""The same pretrained mobilenet_v2 for every peer: torchvision's weights under the names of another library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def load_mobilenet(weights: Path) -> nn.Module:
    """Return torchvision's mobilenet_v2 with the pretrained weights, in eval mode."""
    import torchvision

    network: nn.Module = torchvision.models.mobilenet_v2(weights=None)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()


def convert_keys(source: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of `source` under the keys of `target`, in order.

    Raise ValueError unless both have the same number of tensors, and each pair the same shape and last name, such as
    `weight` or `running_mean`.
    """
    if len(source) != len(target):
        raise ValueError(f"{len(source)} tensors do not fit a network of {len(target)} tensors.")
    for (key, tensor), (target_key, its) in zip(source.items(), target.items(), strict=True):
        if tensor.shape != its.shape or key.rpartition(".")[2] != target_key.rpartition(".")[2]:
            raise ValueError(f"{key} {tuple(tensor.shape)} does not fit {target_key} {tuple(its.shape)}.")
    return dict(zip(target, source.values(), strict=True))


def check_same_outputs(first: nn.Module, second: nn.Module, *, image_size: int) -> None:
    """Raise ValueError unless two networks in eval mode compute the same of a random photo."""
    image_BCHW = torch.randn(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs: list[Any] = [network.eval()(image_BCHW) for network in (first, second)]
    difference, size = float((outputs[0] - outputs[1]).abs().max()), float(outputs[0].abs().max())
    if not difference <= 1e-4 * size:
        raise ValueError(f"the converted weights compute something else: {difference:.2g} of {size:.2g}.")
