"""torchvision's classification networks, split into trunk (feature map) and neck (visual feature), without classifier.

Most of these networks run their children in the order of their definition. The trunk is the children before the global
pooling. The neck is the pooling and the children between it and the head, the child that contains the classifier. Other
networks have their own function in SPLITTERS, by class. A test compares trunk, neck and head with torchvision's own
forward pass, for one network of every class.

A head with several linear layers is split as in S §3.4. The first one is in the neck (fc6 of VGG-16), the last one is
dropped (fc8), and those between are the private layers of every level (fc7). The heads of MobileNetV3 and MaxViT have
two linear layers, and most have one; these networks have no private layers.

Shapes: B rows, C=3 channels, H×W photo.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from prodrec.core.base import console, dist
from prodrec.core.base.errors import BadOption, ProdrecError, did_you_mean
from prodrec.models.backbone import Backbone
from prodrec.models.pretrained import is_run, load_run_into, load_weights_into, read_weights
from prodrec.models.settings.backbone import FEATURES, IMAGENET

HEADS = ("classifier", "fc", "head", "heads")
"""Names of the child that contains the classifier, over all networks."""
FIXED_SIDES = {"MaxVit": 224}
"""Side in pixels of the photos, by class, for networks that accept one size only; a VisionTransformer has an attribute
for it."""


class RescaleChannels(nn.Module):
    """Convert ImageNet's normalisation to (value - 0.5) / 0.5, which GoogLeNet's and Inception's weights expect."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("scale", "shift"):
            self.register_buffer(name, torch.empty(1, 3, 1, 1), persistent=False)
        self.set_constants()

    def set_constants(self) -> None:
        """Set scale and shift, which are not in the state dict."""
        std, mean = torch.tensor((0.229, 0.224, 0.225)), torch.tensor((0.485, 0.456, 0.406))
        self.scale, self.shift = (std / 0.5).reshape(1, 3, 1, 1), ((mean - 0.5) / 0.5).reshape(1, 3, 1, 1)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return images_BCHW * self.scale + self.shift


def build_backbone(
    name: str, *, weights: str | None, load_weights: bool = True, feature_width: int | None = None
) -> Backbone:
    """Return the backbone `name`, a classification network of torchvision or "features".

    weights: "imagenet" (torchvision's default for the network), a name in torchvision (IMAGENET1K_V1), a file, the
             directory of a run, or None for random weights from torch's global generator. A file is that of a whole
             torchvision network, with any number of classes, or of a run, whose backbone and private layers are used
    load_weights: False builds the same modules, and reads and downloads nothing
    feature_width: width of the feature vectors, for "features" only; it has no weights and returns its input

    Raise BadOption for an unknown name, or if only one of "features" and `feature_width` is given; NotFound,
    BadArtefact or Mismatch for a weights file that does not exist, is damaged or belongs to another network;
    ProdrecError if a download fails.
    """
    if (name == FEATURES) != (feature_width is not None):
        raise BadOption(f"backbone={FEATURES} is for datasets of feature vectors, and they take no other backbone.")
    if feature_width is not None:
        return Backbone(name, nn.Identity(), nn.Sequential(), feature_width, fixed_side=None)
    published = _published_weights(name, weights)
    network = _torchvision_network(name, published)
    head, classifier = _head_and_classifier(network)
    state: dict[str, Tensor] | None = None
    if load_weights and published is not None:
        state = _download(name, published)
    elif load_weights and weights is not None:
        state = read_weights(Path(weights))
    from_run = published is None and state is not None and is_run(state)
    if state is not None and not from_run:
        has_head = any(key.startswith(f"{head}.") for key in state)
        optional = f"{classifier if has_head else head}."
        mismatch = f"the weights of {weights} are not those of {name}"
        load_weights_into(network, state, optional=(optional,), mismatch=mismatch)
    backbone = _split(name, network, head, rescale=weights is not None)
    if state is not None and from_run:
        load_run_into(backbone, state, source=str(weights))
    return backbone


def known_backbones() -> list[str]:
    """Return the names of torchvision's classification networks."""
    return torchvision.models.list_models(module=torchvision.models)  # type: ignore[no-any-return]


def count_parameters(name: str) -> int:
    """Return the number of parameters of a network of torchvision with the classes of ImageNet."""
    return int(torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"])


# --- torchvision's networks and weights


def _published_weights(name: str, weights: str | None) -> Any:
    """Return torchvision's weights of network `name` that `weights` names, or None if it names none of them."""
    if name not in known_backbones():
        raise BadOption(
            f"backbone={name} is no torchvision classification network{did_you_mean(name, known_backbones())}."
        )
    published = torchvision.models.get_model_weights(name)
    if weights == IMAGENET:
        return published.DEFAULT
    return published.__members__.get(weights)


def _torchvision_network(name: str, published: Any) -> nn.Module:
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_") and published is not None:
        options = {"image_size": published.meta["min_size"][0]}
    device = torch.get_default_device()
    with torch.device("cpu") if name.startswith("regnet") else device:  # a RegNet computes its widths with tensors
        network: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return network.to(device)


def _download(name: str, published: Any) -> dict[str, Tensor]:
    """Return weights of torchvision from its cache, or download them. Raise ProdrecError if that fails."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name
    if not cached.is_file():
        console.info(f"Downloading the ImageNet weights of {name} from {published.url}")
    try:
        with dist.local_rank_zero_first():
            state: dict[str, Tensor] = dict(published.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:
        raise ProdrecError(
            f"the ImageNet weights of {name} could not be downloaded from {published.url} ({error}); give a weights "
            f"file with --set weights=FILE.pth, or start from random weights with --set weights=none."
        ) from error
    return state


def _head_and_classifier(network: nn.Module) -> tuple[str, str]:
    """Return the name of the head and the full name of the layer in it that classifies."""
    head = next(name for name, _ in network.named_children() if name in HEADS)
    layers = [name for name, m in network.named_modules(prefix="") if name.startswith(head) and _is_linear(m)]
    return head, layers[-1]


def _is_linear(module: nn.Module) -> bool:
    """Return whether a module is a linear layer or a convolution."""
    return isinstance(module, nn.Linear | nn.Conv2d)


# --- splitting a network


def _split(name: str, network: nn.Module, head: str, *, rescale: bool) -> Backbone:
    """Split a torchvision network into trunk and neck.

    rescale: whether to convert the normalisation of the photos for networks whose published weights expect another
    """
    kind = type(network).__name__
    if kind in SPLITTERS:
        return SPLITTERS[kind](name, network, rescale)
    return _split_in_order(name, network, head)


def _split_in_order(name: str, network: nn.Module, head: str, *, first: nn.Module | None = None) -> Backbone:
    """Split a network whose children run in the order of their definition; `first` runs before them."""
    children = OrderedDict((key, child) for key, child in network.named_children() if key != head)
    names = list(children)
    pools = [i for i, child in enumerate(children.values()) if isinstance(child, nn.AdaptiveAvgPool2d)]
    neck_start = pools[0] if pools else len(names)
    trunk: OrderedDict[str, nn.Module] = OrderedDict(rescale=first) if first is not None else OrderedDict()
    for key in names[:neck_start]:
        child = children[key]
        trunk[key] = nn.Sequential(*child) if isinstance(child, nn.ModuleList) else child

    head_module = network.get_submodule(head)
    steps = list(head_module.named_children()) if isinstance(head_module, nn.Sequential) else [("", head_module)]
    layers = [i for i, (_, module) in enumerate(steps) if _is_linear(module)]
    neck_end = layers[1] if len(layers) > 1 else layers[0]
    neck = OrderedDict((key, children[key]) for key in names[neck_start:])
    neck.update((f"{head}_{key}", module) for key, module in steps[:neck_end])
    private = tuple(module for _, module in steps[neck_end : layers[-1]])
    next_layer = steps[neck_end][1]
    width = next_layer.in_features if isinstance(next_layer, nn.Linear) else next_layer.in_channels
    assert isinstance(width, int)
    side = FIXED_SIDES.get(type(network).__name__)
    return Backbone(name, nn.Sequential(trunk), nn.Sequential(_with_pooling(neck)), width, side, private)


def _with_pooling(neck: OrderedDict[str, nn.Module]) -> OrderedDict[str, nn.Module]:
    """Return the neck with a global average pooling first and a flattening after it, adding those that it lacks."""
    steps = list(neck.items())
    if not steps or not isinstance(steps[0][1], nn.AdaptiveAvgPool2d):
        steps.insert(0, ("avgpool", nn.AdaptiveAvgPool2d(1)))
    if not any(isinstance(module, nn.Flatten) for _, module in steps):
        steps.insert(1, ("flatten", nn.Flatten(1)))
    return OrderedDict(steps)


def _split_densenet(name: str, network: nn.Module, rescale: bool) -> Backbone:
    backbone = _split_in_order(name, network, "classifier")
    assert isinstance(backbone.trunk, nn.Sequential)
    backbone.trunk.add_module("relu", nn.ReLU(inplace=True))  # in torchvision a function call in forward
    return backbone


def _split_inception(name: str, network: nn.Module, rescale: bool) -> Backbone:
    return _split_in_order(name, network, "fc", first=RescaleChannels() if rescale else None)


def _split_vit(name: str, network: nn.Module, rescale: bool) -> Backbone:
    """Take the class token after the encoder; there is no feature map."""
    last = network.get_submodule("heads.head")
    network.heads = nn.Identity()
    assert isinstance(last, nn.Linear) and isinstance(network.image_size, int)
    return Backbone(name, network, nn.Sequential(), last.in_features, network.image_size)


SPLITTERS: dict[str, Callable[[str, nn.Module, bool], Backbone]] = {
    "DenseNet": _split_densenet,
    "GoogLeNet": _split_inception,
    "Inception3": _split_inception,
    "VisionTransformer": _split_vit,
}
