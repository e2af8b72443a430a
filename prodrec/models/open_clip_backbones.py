"""open_clip's image towers (Radford et al. 2021, "Learning transferable visual models"; Cherti et al. 2023).

The visual feature is the image embedding, after the projection that text embeddings are compared with, and before its
length is set to 1. The names in the state dict are those of open_clip's `visual`, without it.

Shapes: B rows, C=3 channels, H×W photo, D embedding.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.convert import convert_state_dict
from torch import Tensor, nn

from prodrec.core.base import console, dist
from prodrec.core.base.errors import BadOption, ProdrecError, did_you_mean
from prodrec.core.data.photos.config import format_size
from prodrec.models import timm_backbones
from prodrec.models.backbone import Backbone
from prodrec.models.backbone_source import BackboneSource
from prodrec.models.library_messages import first_line, quiet
from prodrec.models.pretrained import RUN_WEIGHTS, is_run, load_run_into, load_weights_into, read_weights
from prodrec.models.settings.backbone import IMAGENET

TEXTS_AT_ONCE = 256
"""Texts that are embedded in one batch."""


def build_backbone(
    name: str, *, weights: str | None, load_weights: bool = True, photo_size: tuple[int, int] | None = None
) -> Backbone:
    """Return the image tower of open_clip's model `name`.

    See `prodrec.models.backbones.build_backbone` for the arguments and errors. A file of weights is that of the whole
    model, with its text tower.
    """
    tag = _published_tag(name, weights)
    state = None
    if load_weights and weights is not None and tag is None:
        state = read_weights(Path(weights))
    is_model = state is not None and not is_run(state)
    model = load_model(name, weights, load_weights=load_weights and (state is None or is_model), photo_size=photo_size)
    backbone = _split(f"open_clip:{name}", model.visual, int(open_clip.get_model_config(name)["embed_dim"]))
    if state is not None and not is_model:
        load_run_into(backbone, state, source=str(weights))
    return backbone


def load_model(
    name: str, weights: str | None, *, load_weights: bool = True, photo_size: tuple[int, int] | None = None
) -> Any:
    """Return open_clip's model `name` with both towers, in float32, on torch's default device.

    weights: "imagenet" (the first that open_clip lists), a tag of open_clip, a file of the whole model, or None

    Raise the errors of `prodrec.models.backbones.build_backbone`.
    """
    tag = _published_tag(name, weights)
    published = tag is not None and load_weights
    if published:
        console.info(f"Loading the weights {tag} of open_clip:{name}; open_clip downloads them unless it has them.")
    config = open_clip.get_pretrained_cfg(name, tag) if tag else {}
    tower = open_clip.get_model_config(name)["vision_cfg"]
    resized_later = "timm_model_name" in tower  # after its weights are loaded
    has_one_size = resized_later or not isinstance(tower["layers"], int)
    try:
        with dist.local_rank_zero_first() if published else nullcontext(), quiet():
            model = open_clip.create_model(
                name,
                pretrained=tag if published else None,
                device=torch.get_default_device(),
                force_quick_gelu=bool(config.get("quick_gelu")),
                force_image_size=None if has_one_size else photo_size,
                pretrained_text=False,
            )
    except (OSError, RuntimeError, AssertionError) as error:
        reason = first_line(error)
        if not published:
            raise BadOption(f"backbone open_clip:{name} cannot be built: {reason}.") from error
        raise ProdrecError(
            f"the weights {tag} of open_clip:{name} could not be loaded ({reason}); give a weights file with --set "
            "weights=FILE, or start from random weights with --set weights=none."
        ) from error
    if load_weights and weights is not None and tag is None:
        state = convert_state_dict(model, read_weights(Path(weights)))
        with quiet():
            open_clip.factory.resize_pos_embed(state, model)
        mismatch = f"the weights of {weights} are not those of open_clip:{name}"
        load_weights_into(model, state, optional=("logit_",), mismatch=mismatch)
    if resized_later and photo_size is not None:
        model.visual.set_input_size(photo_size)
    return model


def embed_texts(name: str, weights: str | None, texts: list[str]) -> Tensor:
    """Return the embeddings of texts by the text tower of open_clip's model `name`, N×D, of length 1.

    weights: as for `load_model`. Raise BadOption for those of a run, which have no text tower.
    """
    if weights is not None and (Path(weights) / RUN_WEIGHTS).is_file():
        raise BadOption(
            f"texts need a text tower, and {weights} is a run, which has none; give the weights that open_clip "
            "published, or a file of a whole model, or set classifier_start=class-means."
        )
    model, tokenizer = load_model(name, weights).eval(), open_clip.get_tokenizer(name)
    with torch.inference_mode():
        chunks = [texts[start : start + TEXTS_AT_ONCE] for start in range(0, len(texts), TEXTS_AT_ONCE)]
        return torch.cat([model.encode_text(tokenizer(chunk), normalize=True).float() for chunk in chunks])


def known_backbones() -> list[str]:
    """Return the names of open_clip's models with a text tower of open_clip, which need no other library."""
    configs = {name: open_clip.get_model_config(name) for name in open_clip.list_models()}
    return [name for name, c in configs.items() if "hf_model_name" not in c["text_cfg"] and "multimodal_cfg" not in c]


def describe_source(name: str, weights: str | None) -> BackboneSource:
    """Return what open_clip states about its model `name` and the weights that `weights` names.

    It states no licences, but where the weights are published.
    """
    tag = _published_tag(name, weights)
    config: dict[str, Any] = open_clip.get_pretrained_cfg(name, tag) if tag else {}
    side = open_clip.get_model_config(name)["vision_cfg"].get("image_size", 224)
    height, width = (side, side) if isinstance(side, int) else side
    hub = str(config.get("hf_hub", "")).rstrip("/")
    return BackboneSource(
        image_size=format_size(height, width),
        mean=tuple(config.get("mean", open_clip.OPENAI_DATASET_MEAN)),
        std=tuple(config.get("std", open_clip.OPENAI_DATASET_STD)),
        licence=None,
        origin=f"https://huggingface.co/{hub}" if hub else config.get("url") or None,
    )


def set_constants(backbone: Backbone) -> None:
    """Compute the buffers that are not in the state dict, for a network that was built on torch's device `meta`."""
    timm_backbones.set_constants(backbone)  # towers of open_clip itself have none


def _published_tag(name: str, weights: str | None) -> str | None:
    """Return open_clip's tag of the weights of a model that `weights` names, or None if it names none of them."""
    if name not in open_clip.list_models() or name not in known_backbones():
        near = did_you_mean(name, known_backbones())
        raise BadOption(
            f"backbone=open_clip:{name} is no model of open_clip that prodrec can use{near}; "
            "`open_clip.list_models()` returns all."
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if weights == IMAGENET and not tags:
        raise BadOption(
            f"open_clip publishes no weights of {name}; give a weights file with --set weights=FILE, or start from "
            "random weights with --set weights=none."
        )
    return tags[0] if weights == IMAGENET else weights if weights in tags else None


def _split(name: str, visual: Any, width: int) -> Backbone:
    """Split an image tower: a network of timm with a projection, a modified ResNet, or a vision transformer."""
    if hasattr(visual, "trunk"):
        inner = timm_backbones.split(name, visual.trunk)
        neck = nn.Sequential(OrderedDict([*inner.neck.named_children(), ("projection", visual.head)]))
        return Backbone(name, inner.trunk, neck, width, fixed_side=None)
    if hasattr(visual, "attnpool"):
        children = [(key, child) for key, child in visual.named_children() if key != "attnpool"]
        neck = nn.Sequential(OrderedDict(attnpool=visual.attnpool))
        return Backbone(name, nn.Sequential(OrderedDict(children)), neck, width, fixed_side=visual.image_size)
    neck = nn.Sequential(OrderedDict(projection=Projection(visual.proj)))
    visual.proj = None
    return Backbone(name, visual, neck, width, fixed_side=None)


class Projection(nn.Module):
    """The projection of a vision transformer's class token to the embedding, a matrix of open_clip's layout."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, features_BD: Tensor) -> Tensor:
        return features_BD @ self.weight
