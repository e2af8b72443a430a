"""What a classifier derives from the numbers of training images of its classes.

Shapes: C classes, N of them on this rank, S active ones among these.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClassFrequencies(nn.Module):
    """The shares of the classes in training, and logit adjustment by them.

    logit_adjustment: τ of training

    A state dict contains nothing of it: `set_train_images` provides the numbers again.
    """

    log_prior_N: Tensor | None

    def __init__(self, *, logit_adjustment: float = 0.0) -> None:
        super().__init__()
        self.logit_adjustment = logit_adjustment
        self.register_buffer("log_prior_N", None, persistent=False)

    def set_train_images(self, train_images_C: Tensor, local: slice, device: torch.device) -> None:
        """Set log π of the classes from their numbers of training images; 0 images count as 1.

        local: the classes of this rank
        """
        images_C = train_images_C.to(torch.float64).clamp(min=1)
        self.log_prior_N = (images_C / images_C.sum()).log().float()[local].to(device)

    def adjustment(self, active_S: Tensor | None) -> Tensor | None:
        """Return the logit adjustment τ·log π of the active classes in training; None without adjustment."""
        if not self.logit_adjustment:
            return None
        adjustment_N = self.logit_adjustment * self._known_log_prior()
        return adjustment_N if active_S is None else adjustment_N[active_S]

    def adjusted_bias(self, bias_N: Tensor, tau: float | None) -> Tensor:
        """Return the bias for scores with post-hoc logit adjustment by τ; see `Classifier.adjusted_bias`."""
        if tau is None or tau == self.logit_adjustment:
            return bias_N
        return bias_N + (self.logit_adjustment - tau) * self._known_log_prior()

    def _known_log_prior(self) -> Tensor:
        assert self.log_prior_N is not None, "logit adjustment needs the training images of every class"
        return self.log_prior_N
