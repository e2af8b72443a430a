"""The history of a run, one row per epoch, as history.csv, for TensorBoard, and as messages."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import dist
from prodrec.core.base.outputs import atomic_write
from prodrec.core.training.config import TrainingConfig

if TYPE_CHECKING:
    from prodrec.core.training.loop import Step
    from prodrec.core.training.validate import Validation

Row = dict[str, Any]


def history_row(step: Step, validation: Validation | None) -> Row:
    """Return the row of the epoch that `step` ends: its mean losses, and the accuracies of the validation."""
    losses = {name if name == "loss" else f"loss_{name}": mean for name, mean in step.epoch_losses.items()}
    accuracies = validation.as_columns() if validation else {}
    return {"epoch": step.epoch, "step": step.step, "lr": step.lr, **losses, **accuracies}


def write_history(run: Path, history: list[Row]) -> None:
    """Write all rows to history.csv and the last one to TensorBoard."""
    _write_csv(run / "history.csv", history)
    _write_tensorboard(run / "tensorboard", history[-1])


def _write_csv(path: Path, history: list[Row]) -> None:
    """Write the whole file: that of a killed run may have rows after the checkpoint from which it was resumed."""
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


def _write_tensorboard(directory: Path, row: Row) -> None:
    """Write a point for every column, if TensorBoard is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    with SummaryWriter(str(directory)) as writer:
        for name, value in row.items():
            if name not in ("epoch", "step") and value is not None:
                writer.add_scalar(name, value, row["step"])


# --- messages


def ranks_message(config: TrainingConfig) -> str:
    """Describe how the ranks share a step."""
    ranks, photos = dist.world_size(), config.batch_size * config.accumulate
    per_rank, remainder = divmod(config.batch_size, ranks)
    on_each = f"{per_rank} to {per_rank + 1}" if remainder else f"{per_rank}"
    times = f", {config.accumulate} times" if config.accumulate > 1 else ""
    return f"{ranks} ranks: {photos:,} photos a step, {on_each} on each{times}; learning rate {config.lr:g}."


def step_note(step: Step, history: list[Row]) -> str:
    """Describe the progress of training next to the progress bar."""
    top1 = history[-1].get("validation_top1") if history else None
    accuracy = f" · validation {top1:.2%}" if top1 is not None else ""
    return f"epoch {step.epoch} · loss {step.losses['loss']:.3f} · lr {step.lr:.2g}{accuracy}"


def early_stop_message(config: TrainingConfig, epoch: int, *, kept_epoch: int) -> str:
    """Describe why a training ended after `epoch`, and which weights the run has."""
    measure = {"top1": "top-1", "macc": "MACC"}[config.best_measure]
    epochs = "epoch" if config.stop_after == 1 else f"{config.stop_after} epochs"
    return (
        f"stopped after epoch {epoch} of {config.epochs:g}, because validation {measure} has not improved in the last "
        f"{epochs}; the run has the weights of epoch {kept_epoch}."
    )


def epoch_message(row: Row) -> str:
    """Describe the losses and accuracies of an epoch."""
    parts = " ".join(f"{k.removeprefix('loss_')} {v:.3f}" for k, v in row.items() if k.startswith("loss_"))
    text = f"epoch {row['epoch']}: loss {row['loss']:.4f}" + (f" ({parts})" if parts else "")
    if "validation_top1" in row:
        text += f" · validation top-1 {row['validation_top1']:.2%}, MACC {row['validation_macc']:.2%}"
    return text
