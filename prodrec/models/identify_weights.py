"""Find the network of torchvision to which a weights file belongs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from prodrec.core.base.artefact import read_json_artefact
from prodrec.core.base.errors import ProdrecError
from prodrec.core.training.run_file import RunFile
from prodrec.models.pretrained import read_weights
from prodrec.models.torchvision_backbones import HEADS, build_backbone, count_parameters, known_backbones

COMMON = ("mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "resnet50", "resnet18", "resnet34", "convnext_tiny")
"""Networks whose weights are recognised for any number of classes. Building all networks would take minutes."""
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def identify_weights(path: Path) -> str | None:
    """Return the backbone whose weights a file or a run directory contains, or None if it is none that is known.

    Weights of all networks of torchvision are recognised if their classifier has the classes of ImageNet, those of
    COMMON networks with any classifier, or none. Raise the errors of `read_weights`, and BadArtefact for a damaged run.
    """
    if (path / "run.json").is_file():
        backbone: str | None = read_json_artefact(path, kind="run", schema=RunFile)["recipe"]["network"].get("backbone")
        return backbone
    weights = read_weights(path)
    return next((name for name in _candidates(weights) if _is_trunk_of(name, weights)), None)


def _candidates(weights: Mapping[str, Tensor]) -> Iterator[str]:
    parameters = sum(value.numel() for key, value in weights.items() if not key.endswith(BUFFERS))
    same_size = [name for name in known_backbones() if count_parameters(name) == parameters]
    yield from dict.fromkeys((*same_size, *COMMON))


def _is_trunk_of(name: str, weights: Mapping[str, Tensor]) -> bool:
    """Return whether the weights are those of a network's trunk and of any head."""
    with torch.device("meta"):
        try:
            trunk = build_backbone(name, weights=None, load_weights=False).trunk
        except (ProdrecError, RuntimeError, NotImplementedError):  # some networks cannot be built on `meta`
            return False
    own = {key: value.shape for key, value in trunk.state_dict().items() if not key.endswith("num_batches_tracked")}
    others = [key for key in weights.keys() - own.keys() if not key.startswith(HEADS) and not key.endswith(BUFFERS)]
    # a small network may be a part of a larger one of its kind, so no other weights may remain
    return not others and all(key in weights and weights[key].shape == shape for key, shape in own.items())
