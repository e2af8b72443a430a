"""The visual half of a network: trunk (feature map) and neck (visual feature), and the places in the trunk.

A place is the name of a stage as torchvision has it (`layer3`, `features.23`), reached through nn.Sequentials only.

Shapes: B rows, D features, H×W feature map.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prodrec.core.base.errors import BadOption, nearest


class Backbone(nn.Module):
    """`trunk` gives a feature map B×D×H×W (a vector B×D for ViT), `neck` the visual feature B×width.

    The backbone `features` is given vectors B×width in place of photos, and both pass them on.

    photo_side: the only side of photos that it takes, or None. private: what the network has between its neck and its
    classifying layer; every task gets a copy (S §3.4), so that it is no part of the backbone's own weights.

    With freeze_batch_norm the running statistics stay as they were loaded, also after .train(); scales and shifts are
    still trained unless `affine` is off.
    """

    def __init__(
        self,
        name: str,
        trunk: nn.Module,
        neck: nn.Sequential,
        width: int,
        photo_side: int | None,
        private: tuple[nn.Module, ...] = (),
    ) -> None:
        super().__init__()
        self.name = name
        self.trunk = trunk
        self.neck = neck
        self.width = width
        self.photo_side = photo_side
        self.private = private  # a tuple: no submodules
        self._frozen: tuple[nn.Module, ...] = ()

    def forward(self, images_BCHW: Tensor) -> Tensor:
        features_BD: Tensor = self.neck(self.maps(images_BCHW))
        return features_BD

    def maps(
        self, images_BCHW: Tensor, *, then: Callable[[Tensor], Tensor] | None = None, at: str | None = None
    ) -> Tensor:
        """The feature map before pooling; what comes out at place `at` (None: at the end) goes through `then`.

        Raises BadOption for a photo size that this network cannot take.
        """
        side = self.photo_side
        if side is not None and images_BCHW.shape[2:] != (side, side):
            height, width = images_BCHW.shape[2:]
            raise BadOption(
                f"backbone {self.name} takes photos of {side}x{side} only, not {height}x{width}: use image_size={side}."
            )
        maps_BDHW = images_BCHW
        for place, stage in stages(self.trunk, at):
            maps_BDHW = stage(maps_BDHW)
            if then is not None and place == at:
                maps_BDHW = then(maps_BDHW)
        return then(maps_BDHW) if then is not None and at is None else maps_BDHW

    def map_shape(self, height: int, width: int, *, at: str | None) -> tuple[int, int, int]:
        """(maps, rows, columns) of the feature map at place `at` for photos of that size. Raises BadOption."""
        if at is not None:
            self._check_place(at, "attention_at")
        shapes: list[torch.Size] = []

        def note(maps_BDHW: Tensor) -> Tensor:
            shapes.append(maps_BDHW.shape)
            return maps_BDHW

        self._try(height, width, then=note, at=at)
        if len(shapes[0]) != 4 or (at is not None and self.name.startswith("swin")):
            there = " inside" if self.name.startswith("swin") else ""
            other = "leave attention_at out" if there else "take another backbone, or attention=none"
            raise BadOption(f"backbone {self.name} has no feature maps to attend to{there}; {other}.")
        return shapes[0][1], shapes[0][2], shapes[0][3]

    def freeze_until(self, place: str) -> None:
        """Keep weights and running statistics of all stages up to and including `place`. Raises BadOption."""
        self._check_place(place, "freeze_until")
        for name, stage in stages(self.trunk, place):
            stage.requires_grad_(False)
            self._frozen += tuple(_batch_norms(stage))
            if name == place:
                break
        self.train(self.training)

    def _check_place(self, place: str, setting: str) -> None:
        known = [name for name, _ in places(self.trunk)]
        if place not in known:
            raise BadOption(
                f"{setting}={place} is no place in backbone {self.name}{nearest(place, known)}; "
                f"it has {shortened(known)}."
            )

    def private_layers(self, features: int, width: int | None, *, dropout: float | None) -> tuple[nn.Sequential, int]:
        """Layers of one task between `features` and its classifier, and the width after them (S §3.4).

        With width None a copy of the network's own, where it has any and they fit the features (they do unless `embed`
        changed those); else linear + ReLU of that width, or none at all with 0.
        """
        if width == 0 or (width is None and not (self.private and features == self.width)):
            return nn.Sequential(), features
        if width is not None:
            return nn.Sequential(nn.Linear(features, width), nn.ReLU()), width
        layers = [copy.deepcopy(layer) for layer in self.private]
        for layer in layers:
            if isinstance(layer, nn.Dropout) and dropout is not None:
                layer.p = dropout
        last = [layer for layer in layers if isinstance(layer, nn.Linear)][-1]
        return nn.Sequential(*layers), last.out_features

    def check_photo_size(self, height: int, width: int) -> None:
        """Run one grey photo through; raises BadOption where it is too small, or of a size that does not fit."""
        self._try(height, width)

    def _try(self, height: int, width: int, **options: Any) -> None:
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                grey_BCHW = torch.zeros(1, 3, height, width, device=next(self.parameters()).device)
                self.neck(self.maps(grey_BCHW, **options))
        except RuntimeError as error:
            raise BadOption(
                f"backbone {self.name} cannot take photos of {height}x{width}: {str(error).rstrip('.')}."
            ) from error
        finally:
            self.train(was_training)

    def freeze_batch_norm(self, *, affine: bool) -> None:
        """Keep running statistics from now on; with `affine` scales and shifts go on training."""
        self._frozen = tuple(_batch_norms(self))
        for norm in self._frozen:
            for parameter in norm.parameters():
                parameter.requires_grad_(affine)
        self.train(self.training)

    def replace_dropout(self, share: float) -> None:
        """Drop `share` of the visual feature in training, instead of what the network drops after its pooling."""
        kept = [(key, module) for key, module in self.neck.named_children() if not isinstance(module, nn.Dropout)]
        self.neck = nn.Sequential(OrderedDict([*kept, ("dropout", nn.Dropout(share))]))

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        for norm in self._frozen:
            norm.eval()
        return self


def stages(trunk: nn.Module, place: str | None, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The stages of the trunk in their order, by name; one that holds `place` is opened up as far as to show it."""
    if not isinstance(trunk, nn.Sequential):
        yield prefix.rstrip("."), trunk
        return
    for key, stage in trunk.named_children():
        name = prefix + key
        if place is not None and place.startswith(f"{name}."):
            yield from stages(stage, place, f"{name}.")
        else:
            yield name, stage


def _batch_norms(part: nn.Module) -> Iterator[nn.Module]:
    return (module for module in part.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))


def places(trunk: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Every stage that has a name, also those inside others."""
    for key, stage in trunk.named_children() if isinstance(trunk, nn.Sequential) else ():
        yield prefix + key, stage
        yield from places(stage, f"{prefix}{key}.")


def shortened(names: Sequence[str], most: int = 12) -> str:
    """The first names of many, for a message."""
    outer = [name for name in names if name.count(".") <= 1]
    return ", ".join(outer[:most]) + (", …" if len(names) > most else "")
