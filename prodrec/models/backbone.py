"""The backbone of a network: a trunk, which returns a feature map, and a neck, which returns the visual feature.

A stage is a child of the trunk, or of an nn.Sequential inside it (`models/stages.py`). It has the name that its library
gives it (`layer3`, `features.23`, `blocks.11`).

Shapes: B rows, D features or feature maps, H×W photo or feature map.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from prodrec.core.base.errors import BadOption, did_you_mean
from prodrec.models.stages import all_stages, loose_parameters, parts, stages

NAMES_IN_MESSAGES = 12
"""Stages that an error message lists; some networks have hundreds."""


class Backbone(nn.Module):
    """A trunk and a neck.

    trunk:      returns feature maps B×D×H×W, or a vector B×D (vision transformers)
    neck:       returns the visual feature B×width
    fixed_side: height and width in pixels of the photos that the network accepts, or None if it accepts any size
    frozen_until: the last stage that `freeze_until` froze, if the trunk can be run stage by stage
    private:    the layers of the network between its neck and its classifier. The head of each level gets a copy
                (S §3.4); they are not submodules of the backbone

    In the backbone `features`, for datasets of feature vectors B×width, trunk and neck both return their input.
    """

    def __init__(
        self,
        name: str,
        trunk: nn.Module,
        neck: nn.Sequential,
        width: int,
        fixed_side: int | None,
        private: tuple[nn.Module, ...] = (),
    ) -> None:
        super().__init__()
        self.name = name
        self.trunk = trunk
        self.neck = neck
        self.width = width
        self.fixed_side = fixed_side
        self.private = private  # a tuple is not registered as submodules
        self.frozen_until: str | None = None
        self._in_evaluation: tuple[nn.Module, ...] = ()
        self._held: tuple[nn.Parameter, ...] | None = None

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return the visual feature B×width."""
        features_BD: Tensor = self.neck(self.maps(images_BCHW))
        return features_BD

    def maps(self, images_BCHW: Tensor, *, after: str | None = None, until: str | None = None) -> Tensor:
        """Return the feature maps after stage `until`, or after the whole trunk.

        after: a stage before `until`, or `until` itself; the images are its feature maps, and the stages up to it are
               skipped

        Raise BadOption for a photo size that the network does not accept.
        """
        side = self.fixed_side
        if after is None and side is not None and images_BCHW.shape[2:] != (side, side):
            height, width = images_BCHW.shape[2:]
            raise BadOption(
                f"backbone {self.name} takes photos of {side}x{side} only, not {height}x{width}: use image_size={side}."
            )
        maps_BDHW, is_skipped = images_BCHW, after is not None
        for name, stage in stages(self.trunk, until, after):
            if not is_skipped:
                maps_BDHW = stage(maps_BDHW)
            is_skipped = is_skipped and name != after
            if name == until:
                break
        return maps_BDHW

    def maps_after(self, maps_BDHW: Tensor, start: str | None) -> Tensor:
        """Return the feature maps after the whole trunk, from those after stage `start`.

        With start=None, `maps_BDHW` are those after the whole trunk and are returned unchanged.
        """
        return maps_BDHW if start is None else self.maps(maps_BDHW, after=start)

    def map_shape(self, height: int, width: int, *, at: str | None) -> tuple[int, int, int]:
        """Return (maps, rows, columns) of the feature maps after stage `at`, for photos of `height`×`width` pixels.

        Raise BadOption if there is no such stage, if its output is not a feature map, or if the network does not accept
        photos of this size.
        """
        if at is not None:
            self._check_stage(at, "attention_at")
        shape = self._run_grey_photo(height, width, until=at).shape
        is_channels_last = at is not None and self.name.startswith("swin")  # inside, its maps are B×H×W×D
        if len(shape) != 4 or is_channels_last:
            inside = " inside" if self.name.startswith("swin") else ""
            remedy = "omit attention_at" if inside else "take another backbone, or attention=none"
            raise BadOption(f"backbone {self.name} has no feature maps to attend to{inside}; {remedy}.")
        return shape[1], shape[2], shape[3]

    def check_photo_size(self, height: int, width: int) -> None:
        """Raise BadOption if the network does not accept photos of this size in pixels, such as too small ones."""
        self._run_grey_photo(height, width)

    def _run_grey_photo(self, height: int, width: int, *, until: str | None = None) -> Tensor:
        """Run a grey photo through the whole backbone and return the feature maps after stage `until`.

        Raise BadOption if the network does not accept photos of this size.
        """
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                # the network's inputs are normalised: 0 is the mean colour
                grey_BCHW = torch.zeros(1, 3, height, width, device=next(self.parameters()).device)
                maps_BDHW = self.maps(grey_BCHW, until=until)
                self.neck(self.maps_after(maps_BDHW, until))
        except (RuntimeError, AssertionError) as error:  # timm asserts the size of photos
            raise BadOption(
                f"backbone {self.name} cannot take photos of {height}x{width}: {str(error).rstrip('.')}."
            ) from error
        finally:
            self.train(was_training)
        return maps_BDHW

    def private_layers(self, features: int, width: int | None, *, dropout: float | None) -> tuple[nn.Sequential, int]:
        """Return new private layers for one level (S §3.4) and the number of features after them.

        features: number of features before them
        width:    width of a linear layer with a ReLU; 0 for no layer. None copies the network's own private layers; if
                  it has none, or they expect another number of features (after `embed`), there is no layer
        dropout:  dropout of the copied layers, as a share; None keeps that of the network
        """
        has_own = bool(self.private) and features == self.width
        if width == 0 or (width is None and not has_own):
            return nn.Sequential(), features
        if width is not None:
            return nn.Sequential(nn.Linear(features, width), nn.ReLU()), width
        layers = [copy.deepcopy(layer) for layer in self.private]
        for layer in layers:
            if isinstance(layer, nn.Dropout) and dropout is not None:
                layer.p = dropout
        last = [layer for layer in layers if isinstance(layer, nn.Linear)][-1]
        return nn.Sequential(*layers), last.out_features

    def replace_dropout(self, share: float) -> None:
        """Replace the dropout of the neck by one at its end, which drops `share` of the visual feature in training."""
        layers = [(name, module) for name, module in self.neck.named_children() if not isinstance(module, nn.Dropout)]
        self.neck = nn.Sequential(OrderedDict([*layers, ("dropout", nn.Dropout(share))]))

    def freeze_batch_norm(self, *, affine: bool) -> None:
        """Keep the running statistics of all batch norms as they are, also after `.train()`.

        affine: whether their scales and shifts are still trained
        """
        self._in_evaluation = tuple(_batch_norms(self))
        for norm in self._in_evaluation:
            for parameter in norm.parameters():
                parameter.requires_grad_(affine)
        self.train(self.training)

    def freeze_until(self, last: str) -> None:
        """Keep the weights of all stages up to and including `last`, and keep these stages in evaluation mode.

        Raise BadOption if there is no such stage.
        """
        self._check_stage(last, "freeze_until")
        ordered = isinstance(self.trunk, nn.Sequential)
        if not ordered:
            for parameter in loose_parameters(self.trunk):
                parameter.requires_grad_(False)
        self.frozen_until = last if ordered else None
        for name, stage in stages(self.trunk, last) if ordered else parts(self.trunk):
            stage.requires_grad_(False)
            self._in_evaluation += (stage,)
            if name == last:
                break
        self.train(self.training)

    def freeze_all(self) -> None:
        """Keep all weights, and the statistics of all batch norms."""
        self.requires_grad_(False)
        self._in_evaluation += tuple(_batch_norms(self))
        self.train(self.training)

    def hold(self, held: bool) -> None:
        """Keep all weights and statistics as they are, and stay in evaluation mode, until `hold(False)`.

        What is frozen otherwise stays frozen. After `hold(False)`, call `train` of the whole network.
        """
        if held and self._held is None:
            self._held = tuple(parameter for parameter in self.parameters() if parameter.requires_grad)
        for parameter in self._held or ():
            parameter.requires_grad_(not held)
        if not held:
            self._held = None
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        """Set the training mode of all modules but those that are frozen, which stay in evaluation mode."""
        super().train(mode and self._held is None)
        for module in self._in_evaluation:
            module.eval()
        return self

    def _check_stage(self, name: str, setting: str) -> None:
        ordered = isinstance(self.trunk, nn.Sequential)
        names = [known for known, _ in (all_stages(self.trunk) if ordered else parts(self.trunk))]
        if name not in names:
            outer = [known for known in names if known.count(".") <= 1 or not ordered]
            listed = ", ".join(outer[:NAMES_IN_MESSAGES]) + (", …" if len(names) > NAMES_IN_MESSAGES else "")
            raise BadOption(
                f"{setting}={name} is not a stage of backbone {self.name}{did_you_mean(name, names)}; it has {listed}."
            )


def _batch_norms(module: nn.Module) -> Iterator[nn.Module]:
    return (child for child in module.modules() if isinstance(child, nn.modules.batchnorm._BatchNorm))
