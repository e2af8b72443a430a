"""The number of steps of a training, and the learning rate of each. A step is one update of the weights."""

from __future__ import annotations

import math

from prodrec.core.training.config import TrainingConfig

ROUNDING = 1e-9
"""Larger than the rounding errors of numbers of epochs and steps: 1.1 epochs of 10 steps are 11 steps and not 12."""


def count_steps_per_epoch(config: TrainingConfig, batches_per_epoch: int) -> int:
    """Return the number of steps of a whole epoch. Its last step may have fewer batches than `accumulate`."""
    return math.ceil(batches_per_epoch / config.accumulate)


def count_steps(config: TrainingConfig, batches_per_epoch: int) -> int:
    """Return the number of steps of the whole training, which may end with a fraction of an epoch."""
    whole_epochs, fraction = divmod(config.epochs, 1)
    steps_per_epoch = count_steps_per_epoch(config, batches_per_epoch)
    return int(whole_epochs) * steps_per_epoch + math.ceil(fraction * steps_per_epoch - ROUNDING)


def count_head_steps(config: TrainingConfig, steps_per_epoch: int) -> int:
    """Return the number of the first steps that keep the backbone, those of `head_epochs`."""
    return math.ceil(config.head_epochs * steps_per_epoch - ROUNDING)


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step, numbered from 0: a linear warm-up to lr, then the schedule.

    The default, the step schedule without a warm-up, is that of A §4.3. Its decays are counted from the end of the
    warm-up. With `head_epochs`, both stages have a warm-up and the whole schedule, as two trainings would have (Kumar
    et al. 2022, "Fine-tuning can distort pretrained features", §3.3).
    """
    head_steps = count_head_steps(config, steps_per_epoch)
    in_head_stage = step < head_steps
    epochs = config.head_epochs if in_head_stage else config.epochs - config.head_epochs
    step -= 0 if in_head_stage else head_steps
    epochs_done = step / steps_per_epoch
    if epochs_done < config.warmup_epochs:
        return config.lr * (step + 1) / math.ceil(config.warmup_epochs * steps_per_epoch)
    if config.schedule == "step":
        epochs_at_full_rate = epochs_done - config.warmup_epochs
        return float(config.lr * config.decay_factor ** math.floor(epochs_at_full_rate / config.decay_every + ROUNDING))
    if config.schedule == "cosine":
        share = (epochs_done - config.warmup_epochs) / (epochs - config.warmup_epochs)
        return config.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return config.lr
