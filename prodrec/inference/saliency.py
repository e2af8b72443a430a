"""Where a network looks in photos: its spatial attention, or Grad-CAM.

Shapes: B photos, h×w cells of a feature map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.inference.protocols import RecognisingNetwork
from prodrec.inference.results import ATTENTION, GRAD_CAM

if TYPE_CHECKING:
    from torch import Tensor

FLAT = 0.2
"""Weights of the attention that differ by less than this share of the largest are flat."""


def find_saliency(
    network: RecognisingNetwork, images_BCHW: Tensor, scores: Mapping[str, Tensor]
) -> list[tuple[NDArray[np.float32], str]]:
    """Return for every photo where the network looks (h×w), and the method: its attention unless that is flat."""
    attention_Bhw = network.attention_weights(images_BCHW)
    found = [] if attention_Bhw is None else [(weights_hw, ATTENTION) for weights_hw in _to_numpy(attention_Bhw)]
    if found and not any(is_flat(weights_hw) for weights_hw, _ in found):
        return found
    activation_Bhw = None
    if scores:
        *_, best_level = scores.values()
        activation_Bhw = network.class_activation(images_BCHW, best_level.argmax(1))
    if activation_Bhw is None:
        if not found:
            problem = "has no feature map of several cells" if scores else "predicts attributes alone"
            raise BadOption(f"the run does not show where it looks: it has no attention, and {problem}.")
        return found
    by_class = [(weights_hw, GRAD_CAM) for weights_hw in _to_numpy(activation_Bhw)]
    pairs = zip(found or by_class, by_class, strict=True)
    return [of_class if is_flat(attention[0]) else attention for attention, of_class in pairs]


def is_flat(weights_hw: NDArray[np.float32]) -> bool:
    """Return whether the weights of the attention hardly differ, and therefore say nothing."""
    return bool(weights_hw.max() - weights_hw.min() < FLAT * np.abs(weights_hw).max())


def _to_numpy(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array
