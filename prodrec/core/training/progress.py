"""What a run has reached: its position, its history and its best weights, as checkpoints save and restore them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console
from prodrec.core.training.checkpoint import Checkpoints
from prodrec.core.training.history import Row, history_row
from prodrec.core.training.loop import Position, Step
from prodrec.core.training.train_state import TrainState
from prodrec.core.training.validate import Validation

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class BestEpoch:
    """The epoch with the highest top-1 on the validation photos so far, and its weights if the run keeps the best.

    Before the first validation, top1 is -1 and epoch is 0.
    """

    top1: float = -1.0
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
        best = BestEpoch(**checkpoint.extra["best"], weights=checkpoint.best_weights)
        progress = cls(checkpoint.position, checkpoint.extra["history"], best)
        console.info(f"continuing after step {progress.position.step:,} (epoch {progress.position.epoch + 1}).")
        return progress

    def save(self, checkpoints: Checkpoints, train_state: TrainState) -> None:
        """Save a checkpoint, as `Checkpoints.save` does."""
        extra = {"history": self.history, "best": {"top1": self.best.top1, "epoch": self.best.epoch}}
        checkpoints.save(train_state, self.position, extra=extra, best_weights=self.best.weights)

    def add_epoch(self, step: Step, validation: Validation | None, train_state: TrainState) -> Row:
        """Add the epoch that `step` ends, and return its row of the history."""
        self.history.append(history_row(step, validation))
        if validation and validation.top1 > self.best.top1:
            self.best.top1, self.best.epoch = validation.top1, step.epoch
            if train_state.config.keep == "best":
                self.best.copy_weights(train_state.network_to_save.state_dict())
        return self.history[-1]

    def final_weights(self, train_state: TrainState) -> dict[str, Tensor]:
        """Return the weights of the finished run: the best ones if the run keeps them, otherwise the last ones."""
        weights = self.best.weights or train_state.network_to_save.state_dict()
        return train_state.network.finished_weights(weights)

    def result(self) -> dict[str, Any]:
        """Return the result for run.json."""
        return {"steps": self.position.step, "epochs": self.history, "best_epoch": self.best.epoch or None}
