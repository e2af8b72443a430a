"""Train a run: steps from the loop, validation after every epoch, history and checkpoints.

From `prodrec train` to the update of the weights:

    pipeline.train.train_recipe → train.train → loop.train_steps → loop._update → network.loss and optimizer.step
"""

from __future__ import annotations

import math
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from prodrec.core.base import console, dist
from prodrec.core.base.errors import Interrupted
from prodrec.core.base.lock import lock_run
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.checkpoint import Checkpoints
from prodrec.core.training.curves import write_curves
from prodrec.core.training.frozen_cache import frozen_cache
from prodrec.core.training.history import (
    early_stop_message,
    epoch_message,
    ranks_message,
    step_note,
    write_history,
)
from prodrec.core.training.interrupts import name_resume_command, resume_command, stop_on_signals
from prodrec.core.training.loop import train_steps
from prodrec.core.training.progress import Progress
from prodrec.core.training.run import Run, open_run
from prodrec.core.training.schedule import count_steps
from prodrec.core.training.train_state import TrainState
from prodrec.core.training.training_batches import TrainingBatches
from prodrec.core.training.validate import require_finite_weights, validate
from prodrec.core.training.write_run import finish_run

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset


def train(run: Run, dataset: Dataset, train_state: TrainState, photos: PhotoConfig, *, workers: int = 0) -> Run:
    """Train on the training photos of `dataset`, from the newest checkpoint of the run, and return the finished run.

    Raise Interrupted after Ctrl-C or SIGTERM, as soon as a checkpoint is complete; LostContact if another rank is gone;
    RunLocked if another job trains this run; Mismatch or BadArtefact if its checkpoints cannot be loaded;
    ProdrecError if the loss is not finite, a file cannot be written, or the dataset has no training photo.
    """
    config, command = train_state.config, resume_command(run.family, dataset.path, run.path)
    with (
        lock_run(run.path),
        closing(Checkpoints(run.checkpoints, run=run.identity)) as checkpoints,
        name_resume_command(command),
        ExitStack() as resources,
    ):
        current = open_run(run.path)
        if current.finished:  # by a job that had the lock until now
            return current
        progress = Progress.resume(checkpoints, train_state)
        remaining = math.ceil(config.epochs) - progress.position.epoch
        cache = resources.enter_context(
            frozen_cache(run.path, dataset, photos, train_state, epochs=remaining, workers=workers)
        )
        batches = TrainingBatches(dataset, photos, train_state, workers=workers, cache=cache)
        last_step = count_steps(config, batches.per_epoch)
        if dist.world_size() > 1:
            console.info(ranks_message(config))

        def flags() -> dict[str, bool]:
            is_due = checkpoints.minutes_since_last() >= config.checkpoint_minutes
            return {"stop": stop.is_set, "save": dist.is_main() and is_due}

        def is_over() -> bool:
            return progress.stops_early(config)

        total = len(batches.rows) * config.epochs
        done = total * progress.position.step / last_step
        with (
            stop_on_signals() as stop,
            console.progress("training", total=total, unit="photos", done=done) as advance,
        ):
            for step in train_steps(
                train_state,
                batches,
                batches_per_epoch=batches.per_epoch,
                position=progress.position,
                flags=flags,
                is_over=is_over,
            ):
                advance(step.photos, note=step_note(step, progress.history))

                if step.ends_epoch:
                    require_finite_weights(train_state)
                    validation = validate(train_state, dataset, photos, workers=workers)
                    progress.add_epoch(step, validation, train_state)
                    if dist.is_main():
                        write_history(run.path, progress.history)

                is_stopping = stop.is_agreed(step)
                if step.ends_epoch or is_stopping or "save" in step.flags:
                    progress.save(checkpoints, train_state)
                if step.ends_epoch:
                    console.info(epoch_message(progress.history[-1]))

                if is_stopping and step.step < last_step and not is_over():
                    checkpoints.wait()
                    raise Interrupted(
                        f"stopped after step {step.step:,} of {last_step:,}; everything up to there is saved. "
                        f"Continue with `{command}`."
                    )

        if progress.position.step < last_step:
            console.info(early_stop_message(config, progress.position.epoch, kept_epoch=progress.kept_epoch))
        checkpoints.wait()
        if dist.is_main():
            write_curves(run.path, progress.history)
        return finish_run(
            run, progress.final_weights(train_state), progress.result(), shards=train_state.network.shards()
        )
