"""Checkpoints: everything that training needs to go on as if it had never stopped, on any number of ranks.

A checkpoint is a directory `checkpoints/step-00001234/`, written by torch.distributed.checkpoint:

    checkpoint.json     header, ranks that wrote it, position, and the caller's plain values (history)
    __R_0.distcp        tensors that rank R wrote
    .metadata           which rows of which tensor stand where, pickled by torch

It is written beside, flushed to the disk and renamed when all ranks are done, and the newest two are kept, so that a
kill at any moment leaves one that loads. Where memory has room for a copy of the tensors, training goes on while the
files are written. All ranks see one file system. Random numbers are not in it: the loop seeds itself at every step.

Reading one runs no code that is in it. What a newer torch wrote, an older one may not read: a checkpoint serves to go
on, and the finished run's model.safetensors is what lasts.
"""

from __future__ import annotations

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
from prodrec.core.training.checkpoint_shards import LoadPieces, SavePieces
from prodrec.core.training.checkpoint_tensors import state_of
from prodrec.core.training.loop import Position, TrainState

SHARE_OF_MEMORY = 0.5
"""Of the memory that is free, for the copy that is written while training goes on."""

warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")

has_checkpoint = files.has_checkpoint


@dataclass(frozen=True)
class Saved:
    """What a checkpoint gives back besides the state of the train_state: the caller's plain values and weights."""

    position: Position
    extra: dict[str, Any]
    best: dict[str, Tensor]


class Checkpoints:
    """The checkpoints of run `run` (its identity) in `directory`. All ranks call the same methods in the same order."""

    def __init__(self, directory: Path, *, run: str) -> None:
        self.directory, self.run = directory, run
        # what the ranks tell each other from the thread that writes must not meet what they tell in training
        self._group = c10d.new_group(backend="gloo", timeout=dist.TIMEOUT) if dist.world_size() > 1 else None
        self._writing: tuple[Path, futures.Future[Any]] | None = None

    def save(
        self,
        train_state: TrainState,
        position: Position,
        *,
        extra: dict[str, Any],
        best: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Begin a checkpoint when the last one stands; it may still be under way on return (see `wait`).

        extra: plain values; best: weights by their names in the network. Raises what `wait` raises.
        """
        self.wait()
        tensors, shards = state_of(train_state, best or {})
        if not dist.is_main():  # rank 0 writes what is alike on all; no other one makes a copy of it
            tensors = {name: tensor for name, tensor in tensors.items() if name in shards}
        place = self.directory / f"step-{position.step:08d}"
        plain = {"position": asdict(position), "extra": extra, "best": bool(best)}
        content = make_header(
            "checkpoint",
            fingerprint=Fingerprint().add("run", self.run).add("plain", plain).hexdigest(),
            made_from={"run": self.run},
            torch=torch.__version__,
        )
        how: dict[str, Any] = {
            "storage_writer": files.Writer(place, {**content, "ranks": dist.world_size(), **plain}),
            "planner": SavePieces(shards),
            "process_group": self._group,
        }
        if has_room(tensors):
            self._writing = place, cast("futures.Future[Any]", async_save(tensors, **how))
        else:
            self._settle(place, lambda: save(tensors, **how))

    def wait(self) -> None:
        """Return when the last checkpoint stands. Raises ProdrecError where it could not be written."""
        if self._writing is not None:
            (place, future), self._writing = self._writing, None
            self._settle(place, future.result)

    def close(self) -> None:
        """Let a checkpoint that is under way come to its end, well or not, where training ends by another error."""
        if self._writing is not None:
            (_, future), self._writing = self._writing, None
            with suppress(KeyboardInterrupt):  # ends the waiting, and hides no error
                futures.wait([future])

    def _settle(self, place: Path, work: Callable[[], Any]) -> None:
        try:
            work()
        except (Exception, CheckpointException) as error:
            cause, by = _cause(error)
            if is_lost_contact(cause) or isinstance(cause, KeyboardInterrupt):
                raise cause from None
            stands = "the one before it stands" if has_checkpoint(self.directory) else "there is none before it"
            if dist.is_main():
                with suppress(OSError):  # the next to load sweeps again
                    files.sweep(self.directory)
            raise ProdrecError(f"checkpoint {place} could not be written ({by}{_line(cause)}); {stands}.") from error

    def load(self, train_state: TrainState) -> Saved | None:
        """Put the newest checkpoint that loads into `train_state`, whatever number of ranks wrote it; None without any.

        Raises Mismatch for a checkpoint of another run, BadArtefact where checkpoints exist and none loads.
        """
        if dist.is_main():
            files.sweep(self.directory)
        found = dist.broadcast(files.headers(self.directory) if dist.is_main() else [])
        versions, do = "", "train anew with --force"
        for name, content in found:
            path, answer = self.directory / name, content
            if isinstance(content, dict):
                check_header(content, kind="checkpoint", path=path / files.HEADER)
                if content["made_from"].get("run") != self.run:
                    raise Mismatch(f"checkpoint {path} belongs to another run; remove it, or train anew with --force.")
                answer = self._read(path, train_state, with_best=content["best"])
                if isinstance(answer, dict):
                    return Saved(Position(**content["position"]), content["extra"], answer)
                written_by = content["made_by"].get("torch")
                if written_by != torch.__version__:
                    versions = f" with torch {torch.__version__}; torch {written_by} wrote the last"
                    do = "resume with that, or train anew with --force"
            warn(f"checkpoint {path} does not load ({answer}); trying the one before.")
        if found:
            raise BadArtefact(f"none of the {len(found)} checkpoints in {self.directory} loads{versions}: {do}.")
        return None

    def _read(self, path: Path, train_state: TrainState, *, with_best: bool) -> dict[str, Tensor] | str:
        """Read all tensors in place; the best weights, or why the files cannot be read."""
        metadata = dist.broadcast(_metadata(path) if dist.is_main() else "")
        if isinstance(metadata, str):
            return metadata
        kept = train_state.network_to_save.state_dict() if with_best else {}
        best = {name: torch.empty_like(tensor) for name, tensor in kept.items()}
        tensors, shards = state_of(train_state, best)
        try:
            load(
                tensors,
                storage_reader=files.Reader(path, metadata),
                planner=LoadPieces(shards),
                process_group=self._group,
            )
        except (Exception, CheckpointException) as error:
            cause, _ = _cause(error)
            if is_lost_contact(cause) or isinstance(cause, KeyboardInterrupt):
                raise cause from None
            return _line(cause)
        return best


def has_room(tensors: Mapping[str, Tensor]) -> bool:
    """Whether every rank has memory for a copy of its tensors."""
    needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    return not dist.any_rank(needed > SHARE_OF_MEMORY * memory.available() / dist.local_world_size())


def _metadata(path: Path) -> Metadata | str:
    try:
        return files.read_metadata(path)
    except Exception as error:  # a damaged pickle fails in many ways
        return f"{files.PICKLE}: {_line(error)}"


def _cause(error: BaseException) -> tuple[BaseException, str]:
    """The first rank's error of those that torch has collected, and that rank where there are several."""
    failures = error.failures if isinstance(error, CheckpointException) else {}
    if not failures:
        return error, ""
    number = min(failures)
    return failures[number][0], f"rank {number}: " if dist.world_size() > 1 else ""


def _line(error: BaseException) -> str:
    """An error in one line of usual length."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
