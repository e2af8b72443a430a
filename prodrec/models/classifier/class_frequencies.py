"""What a classifier derives from the numbers of training images of its classes.

Shapes: B rows, C classes, N of them on this rank, S active ones among these.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prodrec.models.classifier.long_tail import LongTailLoss


class ClassFrequencies(nn.Module):
    """The shares of the classes in training, logit adjustment by them, and the weights and margins of the classes.

    A state dict contains nothing of it: `set_train_images` provides the numbers again.
    """

    log_prior_N: Tensor | None
    log_sampled_N: Tensor | None
    weight_C: Tensor | None
    margin_C: Tensor | None

    def __init__(self, long_tail: LongTailLoss | None = None) -> None:
        super().__init__()
        self.long_tail = long_tail or LongTailLoss()
        for name in ("log_prior_N", "log_sampled_N", "weight_C", "margin_C"):
            self.register_buffer(name, None, persistent=False)

    def set_train_images(
        self, train_images_C: Tensor, local: slice, device: torch.device, *, sampled_images_C: Tensor | None = None
    ) -> None:
        """Set the numbers of training images of the classes; 0 images count as 1.

        local:            the classes of this rank
        sampled_images_C: numbers in proportion to the images of the classes in an epoch, if a sampler changes them
        """
        self.log_prior_N = _log_shares(train_images_C)[local].to(device)
        self.log_sampled_N = None if sampled_images_C is None else _log_shares(sampled_images_C)[local].to(device)
        weight_C = self.long_tail.weights_of_classes(train_images_C)
        margin_C = self.long_tail.margins_of_classes(train_images_C)
        self.weight_C = None if weight_C is None else weight_C.float().to(device)
        self.margin_C = None if margin_C is None else margin_C.float().to(device)

    def weighted(self, weights_B: Tensor, labels_B: Tensor, *, progress: float) -> Tensor:
        """Return the weights of rows, times those of their labels where class weights apply.

        progress: share of the training that is done
        """
        if self.long_tail.class_weights == "none" or progress < self.long_tail.class_weights_from:
            return weights_B
        assert self.weight_C is not None, "class weights need the training images of every class"
        return weights_B * self.weight_C[labels_B].to(weights_B.dtype)

    def margins(self, labels_B: Tensor) -> Tensor | None:
        """Return the margin Δ of the label of every row; None without margins."""
        if not self.long_tail.ldam_margin:
            return None
        assert self.margin_C is not None, "margins need the training images of every class"
        return self.margin_C[labels_B]

    def adjustment(self, tau: float, active_S: Tensor | None) -> Tensor | None:
        """Return the logit adjustment of the active classes in training, or None if τ = 0.

        It is τ·log π, or τ·log q with a sampler, because training sees the classes with its shares q.
        """
        if not tau:
            return None
        log_share_N = self._known_log_prior() if self.log_sampled_N is None else self.log_sampled_N
        adjustment_N = tau * log_share_N
        return adjustment_N if active_S is None else adjustment_N[active_S]

    def adjusted_bias(self, bias_N: Tensor, tau: float | None, *, tau_of_training: float) -> Tensor:
        """Return the bias for scores with post-hoc logit adjustment by τ; see `Classifier.adjusted_bias`."""
        if tau is None or (tau == tau_of_training and self.log_sampled_N is None):
            return bias_N
        log_prior_N = self._known_log_prior()
        if self.log_sampled_N is None:
            return bias_N + (tau_of_training - tau) * log_prior_N
        return bias_N + (tau_of_training - 1) * self.log_sampled_N + (1 - tau) * log_prior_N

    def _known_log_prior(self) -> Tensor:
        assert self.log_prior_N is not None, "logit adjustment needs the training images of every class"
        return self.log_prior_N


def _log_shares(images_C: Tensor) -> Tensor:
    """Return the logarithm of the share of every class in all images, float32; fewer than 1 image count as 1."""
    counted_C = images_C.to(torch.float64).clamp(min=1)
    return (counted_C / counted_C.sum()).log().float()
