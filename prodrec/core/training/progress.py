"""What a run has reached: its position, its history and its best weights, as checkpoints save and restore them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console
from prodrec.core.training.checkpoint import Checkpoints
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.history import Row, history_row
from prodrec.core.training.loop import Position, Step
from prodrec.core.training.train_state import TrainState
from prodrec.core.training.validate import Validation

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class BestEpoch:
    """The best epoch on the validation photos so far, from 1, and its weights if the run keeps them.

    Before the first validation, epoch is 0. The first of several equally good epochs is the best.
    """

    epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def copy_weights(self, weights: dict[str, Tensor]) -> None:
        """Copy `weights` into the memory of the earlier best ones."""
        for name, tensor in weights.items():
            if name in self.weights:
                self.weights[name].copy_(tensor)
            else:
                self.weights[name] = tensor.detach().clone()


@dataclass
class Progress:
    """Position, rows of history.csv and best epoch of a run."""

    position: Position = field(default_factory=Position)
    history: list[Row] = field(default_factory=list)
    best: BestEpoch = field(default_factory=BestEpoch)

    @classmethod
    def resume(cls, checkpoints: Checkpoints, train_state: TrainState) -> Progress:
        """Load the newest checkpoint into `train_state`, or save one of the initial weights if there is none yet."""
        checkpoint = checkpoints.load(train_state)
        if checkpoint is None:
            progress = cls()
            progress.save(checkpoints, train_state)
            checkpoints.wait()  # a run that is killed from now on resumes from the weights that it started with
            return progress
        best = BestEpoch(checkpoint.extra["best"]["epoch"], checkpoint.best_weights)
        progress = cls(checkpoint.position, checkpoint.extra["history"], best)
        console.info(f"continuing after step {progress.position.step:,} (epoch {progress.position.epoch + 1}).")
        return progress

    def save(self, checkpoints: Checkpoints, train_state: TrainState) -> None:
        """Save a checkpoint, as `Checkpoints.save` does."""
        extra = {"history": self.history, "best": {"epoch": self.best.epoch}}
        checkpoints.save(train_state, self.position, extra=extra, best_weights=self.best.weights)

    def add_epoch(self, step: Step, validation: Validation | None, train_state: TrainState) -> Row:
        """Add the epoch that `step` ends, and return its row of the history."""
        self.history.append(history_row(step, validation))
        column = f"validation_{train_state.config.best_measure}"
        best_value = self.history[self.best.epoch - 1][column] if self.best.epoch else -1.0
        if self.history[-1].get(column, -1.0) > best_value:
            self.best.epoch = step.epoch
            if train_state.config.keeps_best:
                self.best.copy_weights(train_state.network_to_save.state_dict())
        return self.history[-1]

    def stops_early(self, config: TrainingConfig) -> bool:
        """Return whether the last `stop_after` epochs are no better than the best one. head_epochs do not count.

        It depends on the completed epochs alone, so a resumed training and all ranks stop at the same epoch.
        """
        if not config.stop_after or not self.best.epoch:
            return False
        return self.position.epoch - max(self.best.epoch, math.ceil(config.head_epochs)) >= config.stop_after

    @property
    def kept_epoch(self) -> int:
        """The epoch, from 1, at whose end the network had the weights of the finished run."""
        return self.best.epoch if self.best.weights else self.position.epoch

    def final_weights(self, train_state: TrainState) -> dict[str, Tensor]:
        """Return the weights of the finished run: the best ones if the run keeps them, otherwise the last ones."""
        weights = self.best.weights or train_state.network_to_save.state_dict()
        return train_state.network.finished_weights(weights)

    def result(self) -> dict[str, Any]:
        """Return the result for run.json."""
        return {
            "steps": self.position.step,
            "epochs": self.history,
            "best_epoch": self.best.epoch or None,
            "kept_epoch": self.kept_epoch,
        }
