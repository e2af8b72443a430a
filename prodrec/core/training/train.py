"""Train one run: steps from the loop, checkpoints, validation after every epoch, history, progress."""

from __future__ import annotations

import csv
import io
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from prodrec.core import console
from prodrec.core.data.batches import Batch, PhotoBatches, load, training_order
from prodrec.core.data.photo_config import PhotoConfig
from prodrec.core.errors import Interrupted, ProdrecError
from prodrec.core.training.checkpoint import Checkpoints
from prodrec.core.training.loop import Position, Step, Trainee, steps_in_all, train_steps
from prodrec.core.training.run import Run, finish_run
from prodrec.core.training.validate import validate

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset


@dataclass
class Best:
    """The best weights on the validation photos so far, kept for keep=best."""

    top1: float = -1.0
    epoch: int = 0
    weights: dict[str, torch.Tensor] = field(default_factory=dict)


def train(run: Run, dataset: Dataset, trainee: Trainee, photos: PhotoConfig, *, workers: int = 0) -> Run:
    """Train `trainee` on the training photos of `dataset` from the run's newest checkpoint to its end.

    Returns the finished run. Raises Interrupted after Ctrl-C, with a checkpoint made.
    """
    session = _Session(run, dataset, trainee, photos, workers)
    try:
        session.resume()
        session.go()
        return session.finish()
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"stopped at once; the last checkpoint stands. Go on with `{session.resume_command()}`."
        ) from stop


class _Session:
    """One sitting of training: from the newest checkpoint to the end or to an interruption."""

    def __init__(self, run: Run, dataset: Dataset, trainee: Trainee, photos: PhotoConfig, workers: int) -> None:
        self.run, self.dataset, self.trainee, self.photos, self.workers = run, dataset, trainee, photos, workers
        self.config = trainee.config
        self.rows = dataset.rows("train")
        if not len(self.rows):
            raise ProdrecError(f"{dataset.path} has no training photo.")
        self.batches_per_epoch = len(self._order(0))
        self.position = Position()
        self.history: list[dict[str, Any]] = []
        self.best = Best()
        self.checkpoints = Checkpoints(run.checkpoints, run=run.identity)

    def _order(self, epoch: int) -> list[NDArray[np.int64]]:
        return training_order(self.rows, batch_size=self.config.batch_size, seed=self.config.seed, epoch=epoch)

    def epoch_batches(self, epoch: int, skip: int) -> Iterator[Batch]:
        """The training batches of an epoch, on the device, from batch number `skip` on."""
        source = PhotoBatches(self.dataset, self.photos, augment=True, seed=self.config.seed, epoch=epoch)
        for batch in load(source, self._order(epoch)[skip:], workers=self.workers):
            yield batch.to_device(self.trainee.device, self.photos, channels_last=self.trainee.channels_last)

    def go(self) -> None:
        steps = steps_in_all(self.config, self.batches_per_epoch)
        photos_in_all = len(self.rows) * self.config.epochs
        photos_done = photos_in_all * self.position.step / steps
        steps_to_come = train_steps(
            self.trainee, self.epoch_batches, batches_per_epoch=self.batches_per_epoch, position=self.position
        )
        saved = time.monotonic()
        with (
            stop_between_steps() as stop,
            console.progress("training", total=photos_in_all, unit="photos", done=photos_done) as advance,
        ):
            for step in steps_to_come:
                advance(step.photos, note=_glance(step, self.history))
                if step.ends_epoch:
                    self._end_epoch(step)
                minutes = (time.monotonic() - saved) / 60
                if step.ends_epoch or stop.asked or minutes >= self.config.checkpoint_minutes:
                    self.save()
                    saved = time.monotonic()
                if stop.asked and step.step < steps:
                    self.checkpoints.wait()
                    raise Interrupted(
                        f"stopped after step {step.step:,} of {steps:,}; everything up to there is saved. "
                        f"Go on with `{self.resume_command()}`."
                    )

    def _end_epoch(self, step: Step) -> None:
        """Validate and write the epoch's row of history.csv."""
        validation = validate(self.trainee, self.dataset, self.photos, workers=self.workers)
        row = {
            "epoch": step.epoch,
            "step": step.step,
            "lr": step.lr,
            **{name if name == "loss" else f"loss_{name}": mean for name, mean in step.epoch_losses.items()},
            **(validation.as_columns() if validation else {}),
        }
        self.history.append(row)
        write_history(self.run, self.history)
        _write_tensorboard(self.run, row)
        if validation and validation.top1 > self.best.top1:
            weights = self.trainee.to_keep.state_dict() if self.config.keep == "best" else {}
            self.best = Best(validation.top1, step.epoch, {name: t.detach().clone() for name, t in weights.items()})
        console.note(_tell(row))

    def resume_command(self) -> str:
        """The command line that goes on with this run."""
        places = [str(self.dataset.path), "--out", str(self.run.path)]
        return shlex.join(["prodrec", "train", self.run.family, *places, "--resume"])

    def save(self) -> None:
        extra = {"history": self.history, "best": {"top1": self.best.top1, "epoch": self.best.epoch}}
        self.checkpoints.save(self.trainee, self.position, extra=extra, best=self.best.weights)

    def resume(self) -> None:
        found = self.checkpoints.load(self.trainee)
        if found is None:
            self.save()  # from here on a kill finds the weights that training began with
            return
        self.position, self.history = found.position, found.extra["history"]
        self.best = Best(**found.extra["best"], weights=found.best)
        console.note(f"going on after step {self.position.step:,} (epoch {self.position.epoch + 1}).")

    def finish(self) -> Run:
        self.checkpoints.wait()
        kept = self.best.weights or self.trainee.to_keep.state_dict()
        result = {"steps": self.position.step, "epochs": self.history, "best_epoch": self.best.epoch or None}
        return finish_run(self.run, kept, result)


@dataclass
class _Stop:
    asked: bool = False


@contextmanager
def stop_between_steps() -> Iterator[_Stop]:
    """Ctrl-C and SIGTERM ask to stop after the step under way, so that what is saved is whole; again: at once."""
    stop = _Stop()

    def ask(number: int, frame: object) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        console.note("stopping after this step; once more stops at once, at the last checkpoint.")

    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread alone
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_history(run: Run, history: list[dict[str, Any]]) -> None:
    """history.csv, whole and anew (a resumed run may have fewer rows than a killed one wrote)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    beside = run.path / ".history.csv.partial"
    beside.write_text(text.getvalue(), "utf-8")
    beside.replace(run.path / "history.csv")


def _write_tensorboard(run: Run, row: dict[str, Any]) -> None:
    """One point an epoch and column, where TensorBoard is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    with SummaryWriter(str(run.path / "tensorboard")) as writer:
        for name, value in row.items():
            if name not in ("epoch", "step") and value is not None:
                writer.add_scalar(name, value, row["step"])


def _glance(step: Step, history: list[dict[str, Any]]) -> str:
    validated = history[-1].get("validation_top1") if history else None
    accuracy = f" · validation {validated:.2%}" if validated is not None else ""
    return f"epoch {step.epoch} · loss {step.losses['loss']:.3f} · lr {step.lr:.2g}{accuracy}"


def _tell(row: dict[str, Any]) -> str:
    parts = " ".join(f"{k.removeprefix('loss_')} {v:.3f}" for k, v in row.items() if k.startswith("loss_"))
    text = f"epoch {row['epoch']}: loss {row['loss']:.4f}" + (f" ({parts})" if parts else "")
    if "validation_top1" in row:
        text += f" · validation top-1 {row['validation_top1']:.2%}, MACC {row['validation_macc']:.2%}"
    return text
