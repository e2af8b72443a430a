"""The memory that a training keeps from step to step: weights, their copies, gradients, and state of the optimizer.

It is computed from the shapes, so a network on torch's device "meta" is enough. This module does not import torch at
once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prodrec.core.training.config import TrainingConfig

if TYPE_CHECKING:
    from prodrec.core.training.protocols import Network


@dataclass(frozen=True)
class StateMemory:
    """Bytes on one rank.

    copies:           copies of the weights for `ema` and the best epoch
    gradients:        those of parameters that are not updated within backward
    classifier:       the part of the classifier of the deepest level in all of these; 0 if there is none
    classifier_width: length of the vectors that this classifier multiplies
    """

    weights: int
    copies: int
    gradients: int
    optimizer: int
    classifier: int
    classifier_width: int

    @property
    def total(self) -> int:
        """Bytes of everything."""
        return self.weights + self.copies + self.gradients + self.optimizer


def state_memory(network: Network, config: TrainingConfig) -> StateMemory:
    """Return the memory of a network in training, whose parts with learning rate 0 are frozen or are to be."""
    from prodrec.core.training.train_state import learning_rate_scales, reason_against_fused_update

    scales, groups = learning_rate_scales(config), network.parameter_groups()
    kept = {id(parameter) for part, scale in scales.items() if scale == 0 for parameter in groups.get(part, [])}
    classifiers = network.classifiers()
    fused: set[str] = set()
    if reason_against_fused_update(config) is None:
        fused = {name for name, classifier in classifiers.items() if classifier.can_update_in_backward}
    copies, states = (config.ema > 0) + config.keeps_best, _optimizer_states(config)
    deepest = list(classifiers)[-1] if classifiers else None
    sums = dict.fromkeys(("weights", "copies", "gradients", "optimizer", "classifier", "classifier_width"), 0)
    for name, parameter in network.named_parameters():
        module, _, kind = name.rpartition(".")
        size = parameter.numel() * parameter.element_size()
        is_trained = parameter.requires_grad and id(parameter) not in kept
        has_gradient = is_trained and not (module in fused and kind in ("weight", "bias"))
        own = {
            "weights": size,
            "copies": size * copies,
            "gradients": size * has_gradient,
            "optimizer": size * states * is_trained,
        }
        for key, value in own.items():
            sums[key] += value
        if module == deepest:
            sums["classifier"] += sum(own.values())
            if kind == "weight":
                sums["classifier_width"] = parameter.shape[1]
    return StateMemory(**sums)


def _optimizer_states(config: TrainingConfig) -> int:
    """Return how many numbers the optimizer keeps for a weight."""
    if config.optimizer == "adamw":
        return 2
    return 1 if config.momentum else 0
