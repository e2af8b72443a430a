"""Train one run: steps from the loop, checkpoints, validation after every epoch, history, progress."""

from __future__ import annotations

import csv
import io
import math
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from prodrec.core.base import console, dist, rank_failures
from prodrec.core.base.errors import BadOption, Interrupted, LostContact, ProdrecError
from prodrec.core.base.outputs import atomic_write
from prodrec.core.data.batches import Batch, RowBatches, load_batches, local_shards, shuffled_order
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.checkpoint import Checkpoints
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.lock import sole_use
from prodrec.core.training.loop import Position, Step, TrainState, steps_in_all, train_steps
from prodrec.core.training.run import Run, finish_run, open_run
from prodrec.core.training.validate import validate

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset


@dataclass
class Best:
    """The best weights on the validation photos so far, kept for keep=best."""

    top1: float = -1.0
    epoch: int = 0
    weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def keep(self, weights: dict[str, torch.Tensor]) -> None:
        """Copy them, into the memory of those before."""
        for name, tensor in weights.items():
            if name in self.weights:
                self.weights[name].copy_(tensor)
            else:
                self.weights[name] = tensor.detach().clone()


def refuse_tiny_batches(dataset: Dataset, config: TrainingConfig) -> None:
    """Raise BadOption where the smallest batch has no photo for every rank."""
    rows = len(dataset.rows("train"))
    smallest = rows // math.ceil(rows / config.batch_size) if rows else dist.world_size()
    if smallest < dist.world_size():
        raise BadOption(
            f"{dist.world_size()} ranks cannot share a batch of {smallest} photos (batch_size={config.batch_size}, "
            f"{rows:,} training photos); start fewer ranks, or set a larger batch_size."
        )


def train(run: Run, dataset: Dataset, train_state: TrainState, photos: PhotoConfig, *, workers: int = 0) -> Run:
    """Train `train_state` on the training photos of `dataset` from the run's newest checkpoint to its end.

    Returns the finished run. Raises Interrupted after Ctrl-C, with a checkpoint made, LostContact where another rank is
    gone, BadOption for batches too small to be shared by the ranks, RunLocked where another job trains this run.
    """
    with sole_use(run.path):
        now = open_run(run.path)
        return (
            now if now.finished else _train(run, dataset, train_state, photos, workers)
        )  # by a job that has just ended


def _train(run: Run, dataset: Dataset, train_state: TrainState, photos: PhotoConfig, workers: int) -> Run:
    session = _Session(run, dataset, train_state, photos, workers)
    try:
        session.resume()
        session.go()
        return session.finish()
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"stopped at once; the last checkpoint stands. Go on with `{session.resume_command()}`."
        ) from stop
    except RuntimeError as error:
        if not rank_failures.is_lost_contact(error):
            raise
        raise LostContact(
            "lost contact with another rank (it was killed, or its machine is gone); the last checkpoint stands. "
            f"Go on with `{session.resume_command()}`."
        ) from error
    finally:
        session.checkpoints.close()


class _Session:
    """One sitting of training: from the newest checkpoint to the end or to an interruption."""

    def __init__(self, run: Run, dataset: Dataset, train_state: TrainState, photos: PhotoConfig, workers: int) -> None:
        self.run, self.dataset, self.train_state, self.photos, self.workers = run, dataset, train_state, photos, workers
        self.config = train_state.config
        self.rows = dataset.rows("train")
        if not len(self.rows):
            raise ProdrecError(f"{dataset.path} has no training photo.")
        self.batches_per_epoch = len(self._order(0))
        self.position = Position()
        self.history: list[dict[str, Any]] = []
        self.best = Best()
        self.checkpoints = Checkpoints(run.checkpoints, run=run.identity)

    def _order(self, epoch: int) -> list[NDArray[np.int64]]:
        return shuffled_order(self.rows, batch_size=self.config.batch_size, seed=self.config.seed, epoch=epoch)

    def epoch_batches(self, epoch: int, skip: int) -> Iterator[Batch]:
        """This rank's share of the training batches of an epoch, on the device, from batch number `skip` on."""
        source = RowBatches(self.dataset, self.photos, augment=True, seed=self.config.seed, epoch=epoch)
        order = self._order(epoch)[skip:]
        for whole, batch in zip(order, load_batches(source, local_shards(order), workers=self.workers), strict=True):
            share = replace(batch, global_size=len(whole))
            yield share.to_device(self.train_state.device, self.photos, channels_last=self.train_state.channels_last)

    def go(self) -> None:
        steps = steps_in_all(self.config, self.batches_per_epoch)
        photos_in_all = len(self.rows) * self.config.epochs
        photos_done = photos_in_all * self.position.step / steps
        saved = time.monotonic()
        if dist.world_size() > 1:
            console.info(_tell_ranks(self.config))

        def flags() -> dict[str, bool]:
            minutes = (time.monotonic() - saved) / 60
            return {"stop": stop.asked, "save": dist.is_main() and minutes >= self.config.checkpoint_minutes}

        with (
            stop_between_steps() as stop,
            console.progress("training", total=photos_in_all, unit="photos", done=photos_done) as advance,
        ):
            for step in train_steps(
                self.train_state,
                self.epoch_batches,
                batches_per_epoch=self.batches_per_epoch,
                position=self.position,
                flags=flags,
            ):
                advance(step.photos, note=_glance(step, self.history))
                if step.ends_epoch:
                    self._end_epoch(step)
                ranks_may_ask = step.ends_epoch or dist.world_size() == 1
                stopping = "stop" in step.flags or (ranks_may_ask and dist.any_rank(stop.asked))
                if step.ends_epoch or stopping or "save" in step.flags:
                    self.save()
                    saved = time.monotonic()
                if stopping and step.step < steps:
                    self.checkpoints.wait()
                    raise Interrupted(
                        f"stopped after step {step.step:,} of {steps:,}; everything up to there is saved. "
                        f"Go on with `{self.resume_command()}`."
                    )

    def _end_epoch(self, step: Step) -> None:
        """Validate and write the epoch's row of history.csv."""
        validation = validate(self.train_state, self.dataset, self.photos, workers=self.workers)
        row = {
            "epoch": step.epoch,
            "step": step.step,
            "lr": step.lr,
            **{name if name == "loss" else f"loss_{name}": mean for name, mean in step.epoch_losses.items()},
            **(validation.as_columns() if validation else {}),
        }
        self.history.append(row)
        if dist.is_main():
            write_history(self.run, self.history)
            _write_tensorboard(self.run, row)
        if validation and validation.top1 > self.best.top1:
            self.best.top1, self.best.epoch = validation.top1, step.epoch
            if self.config.keep == "best":
                self.best.keep(self.train_state.network_to_save.state_dict())
        console.info(_tell(row))

    def resume_command(self) -> str:
        """The command line that goes on with this run."""
        places = [str(self.dataset.path), "--out", str(self.run.path)]
        command = shlex.join(["prodrec", "train", self.run.family, *places, "--resume"])
        if dist.world_size() == 1:
            return command
        how = f"--nproc-per-node {dist.local_world_size()}" if dist.local_world_size() == dist.world_size() else "…"
        return f"torchrun {how} -m {command}"

    def save(self) -> None:
        extra = {"history": self.history, "best": {"top1": self.best.top1, "epoch": self.best.epoch}}
        self.checkpoints.save(self.train_state, self.position, extra=extra, best=self.best.weights)

    def resume(self) -> None:
        found = self.checkpoints.load(self.train_state)
        if found is None:
            self.save()
            self.checkpoints.wait()  # from here on a kill finds the weights that training began with
            return
        self.position, self.history = found.position, found.extra["history"]
        self.best = Best(**found.extra["best"], weights=found.best)
        console.info(f"going on after step {self.position.step:,} (epoch {self.position.epoch + 1}).")

    def finish(self) -> Run:
        self.checkpoints.wait()
        kept = self.best.weights or self.train_state.network_to_save.state_dict()
        result = {"steps": self.position.step, "epochs": self.history, "best_epoch": self.best.epoch or None}
        return finish_run(self.run, kept, result, shards=self.train_state.network.shards())


@dataclass
class _Stop:
    asked: bool = False
    since: float = 0.0


SECONDS_OF_ONE_REQUEST = 5.0
"""torchrun passes on a signal that the terminal may have sent to the ranks already: that is no second one."""


@contextmanager
def stop_between_steps() -> Iterator[_Stop]:
    """Ctrl-C and SIGTERM ask to stop after the step under way, so that what is saved is whole; again: at once."""
    stop = _Stop()

    def ask(number: int, frame: object) -> None:
        if stop.asked and (dist.world_size() == 1 or time.monotonic() - stop.since > SECONDS_OF_ONE_REQUEST):
            raise KeyboardInterrupt
        if not stop.asked:
            stop.asked, stop.since = True, time.monotonic()
            console.info("stopping after this step; once more stops at once, at the last checkpoint.")

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
    with atomic_write(run.path / "history.csv") as partial:
        partial.write_text(text.getvalue(), "utf-8")


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


def _tell_ranks(config: TrainingConfig) -> str:
    ranks, shared = dist.world_size(), config.batch_size * config.accumulate
    each, left = divmod(config.batch_size, ranks)
    of_each = f"{each} to {each + 1}" if left else f"{each}"
    times = f", {config.accumulate} times" if config.accumulate > 1 else ""
    return f"{ranks} ranks: {shared:,} photos a step, {of_each} on each{times}; learning rate {config.lr:g}."


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
