"""The cost of a training from that of a photo. This module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PhotoCost:
    """What a photo costs: seconds of all ranks together, and bytes of memory of its rank in a training step.

    seconds:            of a training step
    memory_bytes:       that autograd and the scores take
    recognised_seconds: of recognising it
    cached_seconds:     of the output of the frozen stages for a view of it; 0 if every step computes it
    """

    seconds: float
    memory_bytes: float = 0.0
    recognised_seconds: float = 0.0
    cached_seconds: float = 0.0

    def training_seconds(
        self,
        epochs: float,
        *,
        train_photos: int,
        validation_photos: int,
        start_photos: int = 0,
        views: int | None = None,
        neighbours: bool = True,
    ) -> float:
        """Return the seconds of a training, with validation after every epoch, and the operating points and their
        calibration, which pass over the validation photos once more each, after the last.

        start_photos: photos that start the classifiers
        views:        views of every photo, each of which is cached once
        neighbours:   whether the features of all training photos are kept
        """
        trained = self.seconds * epochs + self.cached_seconds * min(views or 0, epochs)
        recognised_photos = start_photos + validation_photos * (epochs + 2) + train_photos * neighbours
        return train_photos * trained + recognised_photos * self.recognised_seconds
