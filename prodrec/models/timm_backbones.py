"""timm's networks (Wightman, "PyTorch Image Models"), split into trunk and neck, without classifier.

The trunk of a network in IN_ORDER is an nn.Sequential of its children before the global pooling, and returns a feature
map; the neck is what follows. Tests compare both with timm's own forward pass. Every other network, such as a vision
transformer, is a trunk as a whole, and returns its pooled feature. The names in the state dict are those of timm.

Shapes: B rows, C=3 channels, H×W photo.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models._manipulate import reinit_non_persistent_buffers
from torch import nn

from prodrec.core.base import console, dist
from prodrec.core.base.errors import BadOption, ProdrecError, did_you_mean
from prodrec.core.data.photos.config import format_size
from prodrec.models.backbone import Backbone
from prodrec.models.backbone_source import BackboneSource
from prodrec.models.library_messages import first_line, quiet
from prodrec.models.pretrained import is_run, load_run_into, load_weights_into, read_weights
from prodrec.models.settings.backbone import IMAGENET

IN_ORDER = frozenset(
    {
        "ByobNet",
        "ConvNeXt",
        "CspNet",
        "DenseNet",
        "EdgeNeXt",
        "EfficientNet",
        "EfficientVit",
        "FastVit",
        "GhostNet",
        "HighPerfGpuNet",
        "MaxxVit",
        "MetaFormer",
        "MobileNetV3",
        "NormFreeNet",
        "RDNet",
        "RegNet",
        "ResNet",
        "ResNetV2",
        "RexNet",
        "StarNet",
        "TinyVit",
        "VovNet",
    }
)
"""Classes of networks that run their children in the order of their definition."""
NECK_STARTS = ("global_pool", "head_drop", "head", "fc", "classifier", "head_dist")
"""Names of the child with which the neck starts, over all networks in IN_ORDER."""


def build_backbone(
    name: str, *, weights: str | None, load_weights: bool = True, photo_size: tuple[int, int] | None = None
) -> Backbone:
    """Return timm's network `name`, which may contain the tag of its weights (`resnet50.a1_in1k`).

    See `prodrec.models.backbones.build_backbone` for the arguments and errors.
    """
    known_name, published = _published(name, weights)
    network: Any = _create(known_name, photo_size, pretrained=published and load_weights)
    state = read_weights(Path(weights)) if load_weights and weights is not None and not published else None
    if state is not None and not is_run(state):
        converted = _convert(state, network)
        mismatch = f"the weights of {weights} are not those of timm:{name}"
        load_weights_into(network, converted, optional=_classifiers(network), mismatch=mismatch)
    network.reset_classifier(0)
    backbone = split(f"timm:{name}", network)
    if state is not None and is_run(state):
        load_run_into(backbone, state, source=str(weights))
    return backbone


def known_backbones() -> list[str]:
    """Return the names of timm's networks, without tags."""
    return list(timm.list_models())


def describe_source(name: str, weights: str | None) -> BackboneSource:
    """Return what timm states about its network `name` and the weights that `weights` names."""
    known_name, published = _published(name, weights)
    config = timm.get_pretrained_cfg(known_name)
    height, width = config.input_size[1:]
    hub = f"https://huggingface.co/{config.hf_hub_id}" if config.hf_hub_id else config.url or None
    return BackboneSource(
        image_size=format_size(height, width),
        mean=config.mean,
        std=config.std,
        licence=config.license,
        origin=hub if published else None,
    )


def set_constants(backbone: Backbone) -> None:
    """Compute the buffers that are not in the state dict, for a network that was built on torch's device `meta`."""
    for module in backbone.modules():
        for key, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                module._buffers[key] = torch.empty_like(buffer, device="cpu")
    reinit_non_persistent_buffers(backbone)


def split(name: str, network: Any) -> Backbone:
    """Return the backbone `name` of a network of timm without a classifier."""
    width = int(getattr(network, "head_hidden_size", None) or network.num_features)
    if type(network).__name__ not in IN_ORDER or getattr(network, "output_fmt", "NCHW") != "NCHW":
        return Backbone(name, network, nn.Sequential(), width, fixed_side=None)
    children = list(network.named_children())
    start = next(index for index, (key, _) in enumerate(children) if key in NECK_STARTS)
    trunk = OrderedDict((key, _sequential(child)) for key, child in children[:start])
    neck = nn.Sequential(OrderedDict(children[start:]))
    return Backbone(name, nn.Sequential(trunk), neck, width, fixed_side=None)


def _sequential(module: nn.Module) -> nn.Module:
    return nn.Sequential(*module) if isinstance(module, nn.ModuleList) else module


def _published(name: str, weights: str | None) -> tuple[str, bool]:
    """Return the name of a network with the tag of its weights, and whether `weights` names published ones."""
    architecture, _, own_tag = name.partition(".")
    if not timm.models.is_model(architecture):
        near = did_you_mean(architecture, known_backbones())
        raise BadOption(f"backbone=timm:{name} is no network of timm{near}; `timm.list_models()` returns all.")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if own_tag and own_tag not in tags:
        raise BadOption(
            f"backbone=timm:{name}: {architecture} has no weights {own_tag!r}{did_you_mean(own_tag, tags)}; timm has "
            f"{', '.join(tags) or 'none'}."
        )
    if weights in tags:
        return f"{architecture}.{weights}", True
    return name, weights == IMAGENET


def _create(name: str, photo_size: tuple[int, int] | None, *, pretrained: bool) -> nn.Module:
    """Return timm's network with its classifier, and its published weights if `pretrained`."""
    config = timm.get_pretrained_cfg(name)
    options: dict[str, Any] = {}
    if photo_size is not None and config.fixed_input_size:
        options["img_size"] = photo_size
    if pretrained:
        console.info(f"Loading the weights of timm:{name}; timm downloads them if they are not in its cache.")
    try:
        with dist.local_rank_zero_first() if pretrained else nullcontext(), quiet():
            return _create_resized(name, pretrained, options)
    except (OSError, RuntimeError, AssertionError, ValueError) as error:
        if not pretrained:
            height, width = photo_size or config.input_size[1:]
            raise BadOption(
                f"backbone timm:{name} cannot be built for photos of {height}x{width} ({first_line(error)}); its own "
                f"size is image_size={config.input_size[-1]}."
            ) from error
        raise ProdrecError(
            f"the weights of timm:{name} could not be loaded ({first_line(error)}); give a weights file with --set "
            "weights=FILE, or start from random weights with --set weights=none."
        ) from error


def _create_resized(name: str, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    """Return a network for photos of another size, or, if its class has one size only, for its own size."""
    try:
        network: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
    except TypeError:
        if not options:
            raise
        network = timm.create_model(name, pretrained=pretrained)
    return network


def _convert(state: dict[str, torch.Tensor], network: nn.Module) -> dict[str, torch.Tensor]:
    """Return weights under timm's present names, from a file that its authors published under others."""
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    return state if convert is None else dict(convert(state, network))


def _classifiers(network: Any) -> tuple[str, ...]:
    """Return the prefixes of the classifier's weights, which are not needed and may be of other classes."""
    names = network.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))
