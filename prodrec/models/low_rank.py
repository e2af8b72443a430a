"""Low-rank adapters of the attention projections of transformers (Hu et al. 2022, "LoRA", §4).

    W' = W + α/r · B A      W of a projection stays as loaded; A (r × D) is random, B (D × r) starts as 0

A projection of queries, keys and values in one matrix has an A and a B for each of them, as the paper has. The adapted
matrix is a parametrization of torch: it is computed from W, A and B wherever the network reads its weight, also where a
library passes it to a function and never calls the layer (nn.MultiheadAttention). The gradient of the whole matrix is
computed and reduced to A and B. Measured on a CPU with timm:deit_small_patch16_224 and r = 8: 3 MB of gradients and
AdamW instead of 248 MB, and 0.62 times the time of a step.

A finished run has the sums W' under the names of W, so scoring needs no adapters.

Shapes: P projections in one matrix, O outputs and D inputs of one, r the rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from prodrec.core.base.errors import BadOption
from prodrec.models.backbone import Backbone

INPUT_PROJECTIONS = {"qkv": 3, "to_qkv": 3, "kv": 2, "q": 1, "k": 1, "v": 1, "q_proj": 1, "k_proj": 1, "v_proj": 1}
"""Names of the linear layers of an attention, in torchvision and timm, and how many projections each contains."""
OUTPUT_PROJECTIONS = ("proj", "out_proj", "merge")
"""Names of the linear layer after an attention."""
ORIGINAL = ".parametrizations."
"""Part of the name of W, A and B in the state dict of a network with adapters."""


class LowRank(nn.Module):
    """Adds α/r · B A to a matrix."""

    def __init__(self, shape: torch.Size, *, projections: int, rank: int, alpha: float) -> None:
        super().__init__()
        outputs, inputs = shape[0] // projections, shape[1]
        self.scale = alpha / rank
        self.down_PrD = nn.Parameter(torch.empty(projections, rank, inputs))
        self.up_POr = nn.Parameter(torch.zeros(projections, outputs, rank))
        for down_rD in self.down_PrD:
            nn.init.kaiming_uniform_(down_rD, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted matrix. It is not rounded to bfloat16, so that it equals the one of the finished run."""
        on_meta = weight.is_meta  # where torch has no autocast
        with nullcontext() if on_meta else torch.autocast(weight.device.type, enabled=False):
            return weight + low_rank_change(self.down_PrD, self.up_POr, self.scale).to(weight.dtype)


def low_rank_change(down_PrD: Tensor, up_POr: Tensor, scale: float) -> Tensor:
    """Return α/r · B A of all projections, as one matrix (P·O)×D."""
    return scale * torch.bmm(up_POr, down_PrD).flatten(0, 1)


def add_adapters(backbone: Backbone, *, rank: int, alpha: float) -> None:
    """Adapt the attention projections of the trunk that are not frozen, and freeze all other weights of the backbone.

    Batch norms of hybrid networks keep their statistics. Raise BadOption if the trunk has no attention, or only frozen
    ones.
    """
    chosen = [place for place in _projections(backbone.trunk) if getattr(place[0], place[1]).requires_grad]
    if not chosen:
        raise BadOption(
            f"lora_rank={rank}: backbone {backbone.name} has no attention projection that is trained; omit lora_rank, "
            "or take a transformer."
        )
    backbone.freeze_all()
    for module, name, projections in chosen:
        weight = getattr(module, name)
        with torch.device(weight.device):
            adapter = LowRank(weight.shape, projections=projections, rank=rank, alpha=alpha)
        parametrize.register_parametrization(module, name, adapter)
        module.get_parameter(f"parametrizations.{name}.original").requires_grad_(False)


def merge_adapters(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of a network with adapters as that of the same network without, with W' under W's names.

    weights: the state dict of `network` or of its moving average; a network without adapters returns it unchanged
    """
    merged: dict[str, Tensor] = {}
    for key, value in weights.items():
        if ORIGINAL not in key:
            merged[key] = value
        elif key.endswith(".original"):
            place = key.removesuffix(".original")
            adapter = network.get_submodule(f"{place}.0")
            assert isinstance(adapter, LowRank)
            change = low_rank_change(weights[f"{place}.0.down_PrD"], weights[f"{place}.0.up_POr"], adapter.scale)
            merged[key.replace(ORIGINAL, ".").removesuffix(".original")] = value + change.to(value.dtype)
    return merged


def has_adapters(weights: Mapping[str, Tensor]) -> bool:
    """Return whether a state dict is that of a network with adapters."""
    return any(ORIGINAL in key for key in weights)


def _projections(trunk: nn.Module) -> Iterator[tuple[nn.Module, str, int]]:
    """Yield (module, name of its matrix, projections in the matrix) of every attention."""
    for module in trunk.modules():
        if isinstance(module, nn.MultiheadAttention):
            if module.in_proj_weight is not None:
                yield module, "in_proj_weight", 3
            yield module.out_proj, "weight", 1
            continue
        layers = {name: child for name, child in module.named_children() if isinstance(child, nn.Linear)}
        inputs = [name for name in layers if name in INPUT_PROJECTIONS]
        for name in inputs:
            yield layers[name], "weight", INPUT_PROJECTIONS[name]
        for name in OUTPUT_PROJECTIONS:
            if inputs and name in layers:
                yield layers[name], "weight", 1
