"""Checkpoints: everything that training needs to resume as if it had never stopped, on any number of ranks.

A checkpoint is a directory `checkpoints/step-00001234/`, written by torch.distributed.checkpoint:

    checkpoint.json     header, number of ranks that wrote it, position, plain values of the caller, and whether it has
                        the best weights
    __R_0.distcp        tensors that rank R wrote
    .metadata           file and offset of every chunk of rows of every tensor, pickled by torch

It is written under a temporary name, flushed to the disk, and renamed when all ranks have written their part. The
newest two remain: after a kill at any moment, one of them loads. If memory has room for a copy of the tensors, training
continues while the files are written. All ranks must share a file system. Checkpoints contain no state of random
generators, because the loop seeds them at every step.

Reading a checkpoint runs no code that it contains. An older torch may not read what a newer one wrote: a checkpoint is
for resuming, and model.safetensors of the finished run for keeping.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent import futures
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as c10d
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save

from prodrec.core.base import dist, memory
from prodrec.core.base.artefact import Fingerprint, check_header, make_header
from prodrec.core.base.console import warn
from prodrec.core.base.errors import BadArtefact, Mismatch, ProdrecError
from prodrec.core.base.rank_failures import is_lost_contact
from prodrec.core.training import checkpoint_files as files
from prodrec.core.training.checkpoint_planners import ShardLoadPlanner, ShardSavePlanner
from prodrec.core.training.checkpoint_tensors import checkpoint_tensors
from prodrec.core.training.loop import Position
from prodrec.core.training.train_state import TrainState

COPY_SHARE_OF_MEMORY = 0.5
"""Share of the free memory that a copy of the tensors may take. The copy is written while training continues, and the
rest is for the data loaders and for activations."""

warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")


@dataclass(frozen=True)
class LoadedCheckpoint:
    """What a checkpoint contains besides the tensors of the TrainState.

    extra:        plain values of the caller
    best_weights: the best weights so far by name; empty if the run does not keep them
    """

    position: Position
    extra: dict[str, Any]
    best_weights: dict[str, Tensor]


class Checkpoints:
    """The checkpoints of a run in `directory`. All ranks must call the same methods in the same order.

    run: identity of the run; checkpoints of another run are refused
    """

    def __init__(self, directory: Path, *, run: str) -> None:
        self.directory, self.run = directory, run
        # The thread that writes has its own process group: its collectives must not mix with those of training.
        self._group = c10d.new_group(backend="gloo", timeout=dist.TIMEOUT) if dist.world_size() > 1 else None
        self._pending: tuple[Path, futures.Future[Any]] | None = None
        self._last_time = time.monotonic()

    def minutes_since_last(self) -> float:
        """Return the minutes since the last checkpoint was saved or loaded."""
        return (time.monotonic() - self._last_time) / 60

    def save(
        self,
        train_state: TrainState,
        position: Position,
        *,
        extra: dict[str, Any],
        best_weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Wait for the last checkpoint, and write a new one: in the background if memory has room for a copy.

        extra:        plain values
        best_weights: the best weights by their names in the network

        `wait` returns when the new checkpoint is complete. Raise ProdrecError if the last checkpoint could not be
        written, or if the new one is written at once and fails.
        """
        self.wait()
        tensors, shards = checkpoint_tensors(train_state, best_weights or {})
        if not dist.is_main():  # rank 0 writes the tensors that are not sharded; the others need no copy of them
            tensors = {name: tensor for name, tensor in tensors.items() if name in shards}
        path = self.directory / f"step-{position.step:08d}"
        # a copy: the caller goes on changing its lists while the writer runs
        plain_values = {"position": asdict(position), "extra": copy.deepcopy(extra), "best": bool(best_weights)}
        header = make_header(
            "checkpoint",
            fingerprint=Fingerprint().add("run", self.run).add("plain", plain_values).hexdigest(),
            made_from={"run": self.run},
            torch=torch.__version__,
        )
        arguments: dict[str, Any] = {
            "storage_writer": files.CheckpointWriter(path, {**header, "ranks": dist.world_size(), **plain_values}),
            "planner": ShardSavePlanner(shards),
            "process_group": self._group,
        }
        if has_memory_for_copy(tensors):
            self._pending = path, cast("futures.Future[Any]", async_save(tensors, **arguments))
        else:
            self._complete(path, lambda: save(tensors, **arguments))
        self._last_time = time.monotonic()

    def wait(self) -> None:
        """Wait until the last checkpoint is complete. Raise ProdrecError if it could not be written."""
        if self._pending is not None:
            (path, future), self._pending = self._pending, None
            self._complete(path, future.result)

    def close(self) -> None:
        """Wait until no checkpoint is being written. Ignore its errors: another error ended the training."""
        if self._pending is not None:
            (_, future), self._pending = self._pending, None
            with suppress(KeyboardInterrupt):  # a second Ctrl-C ends the wait and must not replace that error
                futures.wait([future])

    def _complete(self, path: Path, write: Callable[[], Any]) -> None:
        """Call `write`, which returns when the checkpoint at `path` is complete. Raise ProdrecError if it fails."""
        try:
            write()
        except (Exception, CheckpointException) as error:
            cause, rank_prefix = _first_failure(error)
            if is_lost_contact(cause) or isinstance(cause, KeyboardInterrupt):
                raise cause from None
            has_previous = files.has_checkpoint(self.directory)
            previous = "the one before it is complete" if has_previous else "there is none before it"
            if dist.is_main():
                with suppress(OSError):  # `load` removes them too
                    files.remove_partial_checkpoints(self.directory)
            problem = f"{rank_prefix}{_one_line(cause)}"
            raise ProdrecError(f"checkpoint {path} could not be written ({problem}); {previous}.") from error

    def load(self, train_state: TrainState) -> LoadedCheckpoint | None:
        """Load the newest readable checkpoint into `train_state`, or return None if there is no checkpoint.

        Raise Mismatch for a checkpoint of another run, and BadArtefact if there are checkpoints and none is readable.
        """
        if dist.is_main():
            files.remove_partial_checkpoints(self.directory)
        headers = dist.broadcast(files.read_headers(self.directory) if dist.is_main() else [])
        versions, remedy = "", "train anew with --force"
        for name, header in headers:
            path = self.directory / name
            if isinstance(header, str):
                problem = header
            else:
                check_header(header, kind="checkpoint", path=path / files.HEADER)
                if header["made_from"].get("run") != self.run:
                    raise Mismatch(f"checkpoint {path} belongs to another run; remove it, or train anew with --force.")
                result = self._load_tensors(path, train_state, with_best=header["best"])
                if isinstance(result, dict):
                    self._last_time = time.monotonic()
                    return LoadedCheckpoint(Position(**header["position"]), header["extra"], result)
                problem = result
                writer_version = header["made_by"].get("torch")
                if writer_version != torch.__version__:
                    versions = f" with torch {torch.__version__}; torch {writer_version} wrote the last"
                    remedy = "resume with that, or train anew with --force"
            warn(f"checkpoint {path} does not load ({problem}); trying the one before.")
        if headers:
            raise BadArtefact(f"none of the {len(headers)} checkpoints in {self.directory} loads{versions}: {remedy}.")
        return None

    def _load_tensors(self, path: Path, train_state: TrainState, *, with_best: bool) -> dict[str, Tensor] | str:
        """Load all tensors in place. Return the best weights, or a message that describes the damage."""
        metadata = dist.broadcast(_read_metadata(path) if dist.is_main() else "")
        if isinstance(metadata, str):
            return metadata
        weights = train_state.network_to_save.state_dict() if with_best else {}
        best_weights = {name: torch.empty_like(tensor) for name, tensor in weights.items()}
        tensors, shards = checkpoint_tensors(train_state, best_weights)
        reader, planner = files.CheckpointReader(path, metadata), ShardLoadPlanner(shards)
        try:
            load(tensors, storage_reader=reader, planner=planner, process_group=self._group)
        except (Exception, CheckpointException) as error:
            cause, _ = _first_failure(error)
            if is_lost_contact(cause) or isinstance(cause, KeyboardInterrupt):
                raise cause from None
            return _one_line(cause)
        return best_weights


def has_memory_for_copy(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether every rank has memory for a copy of its tensors."""
    needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    return not dist.any_rank(needed > COPY_SHARE_OF_MEMORY * memory.available() / dist.local_world_size())


def _read_metadata(path: Path) -> Metadata | str:
    """Return the metadata of a checkpoint, or a message if it cannot be read."""
    try:
        return files.read_metadata(path)
    except Exception as error:  # a damaged pickle may raise anything
        return f"{files.METADATA}: {_one_line(error)}"


def _first_failure(error: BaseException) -> tuple[BaseException, str]:
    """Return the error of the first rank that failed, and "rank N: " if there are several ranks."""
    failures = error.failures if isinstance(error, CheckpointException) else {}
    if not failures:
        return error, ""
    rank = min(failures)
    return failures[rank][0], f"rank {rank}: " if dist.world_size() > 1 else ""


def _one_line(error: BaseException) -> str:
    """Return the type and the first 200 characters of the message of an error, in one line."""
    message = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
