"""torchvision's classification networks, cut into trunk (feature map), neck (visual feature) and head (dropped).

One mechanism for all of them: such a network is its children run in the order in which they were defined, up to a
global pooling (the trunk), the pooling and what follows before the classifier (the neck), and the classifier. What does
not fit stands in the table `EXCEPTIONS` (by class of network). That the parts compute what torchvision's own forward
computes is tested for one network of every class.

The neck ends after the first fully connected layer where there are several, the split of S §3.4 into public and private
layers: VGG-16's neck has fc6, fc7 is the start of every task's private layer, fc8 is dropped. MobileNetV3 and MaxViT
keep the layer before their classifier; they and networks with one layer have no private one.

Shapes: B rows, D features, H×W feature map.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from prodrec.core.base import console, dist
from prodrec.core.base.errors import BadOption, ProdrecError, nearest
from prodrec.models.backbone import Backbone
from prodrec.models.network_config import FEATURES
from prodrec.models.pretrained import load_matching, read_weights

HEADS = ("classifier", "fc", "head", "heads")
IMAGENET = "imagenet"
ONE_SIDE_ONLY = {"MaxVit": 224}  # pixels; ViT says its own


class RescaleChannels(nn.Module):
    """From ImageNet's normalisation to (value - 0.5) / 0.5, which GoogLeNet's and Inception's weights expect."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("scale", "shift"):
            self.register_buffer(name, torch.empty(1, 3, 1, 1), persistent=False)
        self.fill()

    def fill(self) -> None:
        """Set the constants, which no weights file has."""
        std, mean = torch.tensor((0.229, 0.224, 0.225)), torch.tensor((0.485, 0.456, 0.406))
        self.scale, self.shift = (std / 0.5).reshape(1, 3, 1, 1), ((mean - 0.5) / 0.5).reshape(1, 3, 1, 1)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return images_BCHW * self.scale + self.shift


def build_backbone(
    name: str, *, weights: str | None, load_weights: bool = True, feature_width: int | None = None
) -> Backbone:
    """The backbone `name`, with `weights` "imagenet", a name torchvision has (IMAGENET1K_V1), a file, or None.

    "imagenet" is torchvision's default of that network; None is random, from torch's global generator.

    "features" has no weights and passes on what it is given, vectors of `feature_width` numbers.

    With load_weights=False the structure is the same and nothing is read or downloaded (a saved run brings its own).
    A weights file is one of the whole torchvision network, whatever its number of classes, or of a prodrec run (its
    directory will do), of which the backbone is taken. Raises BadOption (unknown name), NotFound, BadArtefact,
    Mismatch; ProdrecError where a download fails.
    """
    if (name == FEATURES) != (feature_width is not None):
        raise BadOption(f"backbone={FEATURES} is for datasets of feature vectors, and they take no other backbone.")
    if feature_width is not None:
        return Backbone(name, nn.Identity(), nn.Sequential(), feature_width, photo_side=None)
    published = _published(name, weights)
    network = _torchvision_network(name, published)
    found = read_weights(Path(weights)) if load_weights and weights is not None and published is None else None
    of_a_run = found is not None and any(key.startswith("backbone.") for key in found)
    head, classifier = _classifier_of(network)
    if load_weights and published is not None:
        found = _download(name, published)
    if found is not None and not of_a_run:
        origin = f"the weights of {weights} are not those of {name}"
        load_matching(network, found, optional=(f"{classifier}.",), origin=origin)
    backbone = _cut(name, network, head, rescale=weights is not None)
    if found is not None and of_a_run:
        own = {key.removeprefix("backbone."): value for key, value in found.items() if key.startswith("backbone.")}
        load_matching(backbone, own, optional=(), origin=f"the backbone of the run {weights} is not {name}")
        _load_private(backbone, found)
    return backbone


def _load_private(backbone: Backbone, run: Mapping[str, Tensor]) -> None:
    """The private layers begin with those of the run's head of the most classes, where it has them in that size."""
    end = "classifier.bias"
    heads = {
        key.removesuffix(end): len(bias) for key, bias in run.items() if key.startswith("heads.") and key.endswith(end)
    }
    prefix = max(heads, key=heads.__getitem__, default="") + "private."
    found = {key.removeprefix(prefix): value for key, value in run.items() if key.startswith(prefix)}
    layers = nn.Sequential(*backbone.private)
    own = layers.state_dict()
    if own and {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in own.items()}:
        layers.load_state_dict(found)


def known_backbones() -> list[str]:
    """Names of torchvision's classification networks."""
    return torchvision.models.list_models(module=torchvision.models)  # type: ignore[no-any-return]


def _published(name: str, weights: str | None) -> Any:
    """torchvision's own weights of network `name` that `weights` names, or None where it names a file or nothing."""
    if name not in known_backbones():
        raise BadOption(f"backbone={name} is no torchvision classification network{nearest(name, known_backbones())}.")
    names = torchvision.models.get_model_weights(name)
    if weights == IMAGENET:
        return names.DEFAULT
    return names.__members__.get(weights)


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


def _download(name: str, chosen: Any) -> dict[str, Tensor]:
    """torchvision's weights `chosen` from its cache, or from the net. Raises ProdrecError where that fails."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(chosen.url).name
    if not cached.is_file():
        console.info(f"Downloading the ImageNet weights of {name} from {chosen.url}")
    try:
        with dist.local_rank_zero_first():
            state: dict[str, Tensor] = dict(chosen.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:
        raise ProdrecError(
            f"the ImageNet weights of {name} could not be downloaded from {chosen.url} ({error}); give a weights file "
            f"with --set weights=FILE.pth, or start from random weights with --set weights=none."
        ) from error
    return state


def _classifier_of(network: nn.Module) -> tuple[str, str]:
    """Name of the child that holds the classifier, and the full name of the classifying layer itself."""
    head = next(name for name, _ in network.named_children() if name in HEADS)
    layers = [name for name, m in network.named_modules(prefix="") if name.startswith(head) and _is_layer(m)]
    return head, layers[-1]


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d)


def _cut(name: str, network: nn.Module, head: str, *, rescale: bool) -> Backbone:
    """Trunk, neck and width of a torchvision network."""
    kind = type(network).__name__
    if kind in EXCEPTIONS:
        return EXCEPTIONS[kind](name, network, rescale)
    return _cut_in_order(name, network, head)


def _cut_in_order(name: str, network: nn.Module, head: str, *, before: nn.Module | None = None) -> Backbone:
    children = OrderedDict((key, child) for key, child in network.named_children() if key != head)
    names = list(children)
    pools = [i for i, child in enumerate(children.values()) if isinstance(child, nn.AdaptiveAvgPool2d)]
    cut = pools[0] if pools else len(names)
    trunk: OrderedDict[str, nn.Module] = OrderedDict(rescale=before) if before is not None else OrderedDict()
    for key in names[:cut]:
        child = children[key]
        trunk[key] = nn.Sequential(*child) if isinstance(child, nn.ModuleList) else child

    top = network.get_submodule(head)
    tail = list(top.named_children()) if isinstance(top, nn.Sequential) else [("", top)]
    layers = [i for i, (_, module) in enumerate(tail) if _is_layer(module)]
    first_dropped = layers[1] if len(layers) > 1 else layers[0]
    neck = OrderedDict((key, children[key]) for key in names[cut:])
    neck.update((f"{head}_{key}", module) for key, module in tail[:first_dropped])
    private = OrderedDict(tail[first_dropped : layers[-1]])
    dropped = tail[first_dropped][1]
    width = dropped.in_features if isinstance(dropped, nn.Linear) else dropped.in_channels
    assert isinstance(width, int)
    side = ONE_SIDE_ONLY.get(type(network).__name__)
    return Backbone(
        name, nn.Sequential(trunk), nn.Sequential(_pooled_and_flat(neck)), width, side, tuple(private.values())
    )


def _pooled_and_flat(neck: OrderedDict[str, nn.Module]) -> OrderedDict[str, nn.Module]:
    """The neck with a global average pooling first, and a flattening after it, unless it has them."""
    steps = list(neck.items())
    if not steps or not isinstance(steps[0][1], nn.AdaptiveAvgPool2d):
        steps.insert(0, ("avgpool", nn.AdaptiveAvgPool2d(1)))
    if not any(isinstance(module, nn.Flatten) for _, module in steps):
        steps.insert(1, ("flatten", nn.Flatten(1)))
    return OrderedDict(steps)


def _cut_densenet(name: str, network: nn.Module, rescale: bool) -> Backbone:
    backbone = _cut_in_order(name, network, "classifier")
    assert isinstance(backbone.trunk, nn.Sequential)
    backbone.trunk.add_module("relu", nn.ReLU(inplace=True))  # torchvision has it in forward, as a function
    return backbone


def _cut_inception(name: str, network: nn.Module, rescale: bool) -> Backbone:
    return _cut_in_order(name, network, "fc", before=RescaleChannels() if rescale else None)


def _cut_vit(name: str, network: nn.Module, rescale: bool) -> Backbone:
    """The class token after the encoder; there is no feature map."""
    last = network.get_submodule("heads.head")
    network.heads = nn.Identity()
    assert isinstance(last, nn.Linear) and isinstance(network.image_size, int)
    return Backbone(name, network, nn.Sequential(), last.in_features, network.image_size)


EXCEPTIONS: dict[str, Callable[[str, nn.Module, bool], Backbone]] = {
    "DenseNet": _cut_densenet,
    "GoogLeNet": _cut_inception,
    "Inception3": _cut_inception,
    "VisionTransformer": _cut_vit,
}
