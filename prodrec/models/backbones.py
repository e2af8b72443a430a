"""Backbones by name: networks of torchvision, `timm:NAME` and `open_clip:NAME`, and `features` for feature vectors.

Each library has one module, which is imported when one of its networks is used.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.models.backbone_source import BackboneSource, library_of

if TYPE_CHECKING:
    from prodrec.models.backbone import Backbone
    from prodrec.models.network import RecognitionNetwork


def build_backbone(
    name: str,
    *,
    weights: str | None,
    load_weights: bool = True,
    feature_width: int | None = None,
    photo_size: tuple[int, int] | None = None,
) -> Backbone:
    """Return the backbone `name`: a network of torchvision, `timm:NAME`, `open_clip:NAME` or `features`.

    weights:       "imagenet" (the library's default for the network), the library's name of other published weights, a
                   file, the directory of a run, or None for random weights from torch's global generator
    load_weights:  False builds the same modules, and reads and downloads nothing
    feature_width: width of the feature vectors, for "features" only
    photo_size:    height and width in pixels of the photos, to which transformers of timm and open_clip are adapted;
                   None is the library's own size

    Raise BadOption for an unknown name, a library that is not installed, or a size that the network does not accept;
    NotFound, BadArtefact or Mismatch for a weights file that does not exist, is damaged or belongs to another network;
    ProdrecError if a download fails.
    """
    library = library_of(name)
    if library is None:
        from prodrec.models import torchvision_backbones

        try:
            return torchvision_backbones.build_backbone(
                name, weights=weights, load_weights=load_weights, feature_width=feature_width
            )
        except Mismatch as error:
            from prodrec.models.identify_weights import identify_weights

            other = identify_weights(Path(str(weights)))
            if other in (None, name):
                raise
            problem = f"the weights of {weights} are not those of {name}, but of {other}"
            raise Mismatch(f"{problem}; set backbone={other}.") from error
    if feature_width is not None:
        raise BadOption(f"backbone={name} is for photos, and this dataset contains feature vectors; omit backbone.")
    backbone: Backbone = _module(name, library).build_backbone(
        name.partition(":")[2], weights=weights, load_weights=load_weights, photo_size=photo_size
    )
    return backbone


def describe_source(name: str, weights: str | None) -> BackboneSource | None:
    """Return what its library states about a backbone; None for torchvision's networks and feature vectors.

    weights: as for `build_backbone`. Raise BadOption for an unknown name, or a library that is not installed.
    """
    library = library_of(name)
    if library is None:
        return None
    source: BackboneSource = _module(name, library).describe_source(name.partition(":")[2], weights)
    return source


def set_constants(network: RecognitionNetwork) -> None:
    """Compute the buffers that are not in the state dict, for a network that was built on torch's device `meta`."""
    from prodrec.models.torchvision_backbones import RescaleChannels

    if library := library_of(network.backbone.name):
        _module(network.backbone.name, library).set_constants(network.backbone)
    for module in network.modules():
        if isinstance(module, RescaleChannels):
            module.set_constants()


def _module(name: str, library: str) -> Any:
    """Return the module of a library. Raise BadOption if the library is not installed."""
    if find_spec(library) is None:
        raise BadOption(f'backbone={name} needs {library}, which is not installed: pip install "prodrec[backbones]".')
    if library == "timm":
        from prodrec.models import timm_backbones

        return timm_backbones
    from prodrec.models import open_clip_backbones

    return open_clip_backbones
