"""The directory of one checkpoint: written beside, flushed, renamed when whole; read without running code from it.

Its layout is told in `checkpoint.py`.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import metadata as dcp_metadata
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.storage import WriteResult

HEADER = "checkpoint.json"
PICKLE = ".metadata"
KEPT = 2
PLAIN_NAMES = {("torch.distributed.checkpoint.filesystem", "_StorageInfo"), ("torch.serialization", "_get_layout")}


class Writer(FileSystemWriter):
    """Writes the checkpoint at `place` with `header`; nothing stands there before all ranks have written their part."""

    def __init__(self, place: Path, header: dict[str, Any]) -> None:
        super().__init__(beside(place))
        self.place, self.header = place, header

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Called on rank 0 when every rank's files are on the disk; an error here is one of all ranks."""
        super().finish(metadata, results)
        written = beside(self.place)
        with (written / HEADER).open("w", encoding="utf-8") as file:
            json.dump(self.header, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        _flush(written)
        _remove(self.place)  # a damaged one of the same step
        written.rename(self.place)
        _flush(self.place.parent)
        for other in _besides(self.place):
            _remove(other)

    def storage_meta(self) -> StorageMeta:
        """Without the path, whose pickle differs between versions of Python."""
        return StorageMeta(save_id=self.save_id)


class Reader(FileSystemReader):
    """Reads the tensors of the checkpoint at `place`, whose metadata `read_metadata` has given."""

    def __init__(self, place: Path, metadata: Metadata) -> None:
        super().__init__(place)
        self.metadata = metadata

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        return self.metadata


def read_metadata(place: Path) -> Metadata:
    """Which rows of which tensor stand where. Raises OSError, or what a damaged pickle raises."""
    with (place / PICKLE).open("rb") as file:
        found = _Unpickler(file).load()
    if not isinstance(found, Metadata):
        raise pickle.UnpicklingError(f"{PICKLE} holds no metadata")
    return found


class _Unpickler(pickle.Unpickler):
    """Makes the plain records of torch's metadata and nothing else, so that a run of a stranger cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        found = getattr({"torch": torch, dcp_metadata.__name__: dcp_metadata}.get(module), name, None)
        record = isinstance(found, type) and found.__module__ == dcp_metadata.__name__
        if record or found is torch.Size or isinstance(found, torch.dtype):
            return found
        if (module, name) in PLAIN_NAMES:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{PICKLE} names {module}.{name}, which no checkpoint does")


def beside(place: Path) -> Path:
    """Where the checkpoint at `place` is written."""
    return place.with_name(f".{place.name}.partial")


def sweep(directory: Path) -> None:
    """Remove what killed processes left half-written or half-removed."""
    for left in directory.glob(".step-*"):
        shutil.rmtree(left)


def has_checkpoint(directory: Path) -> bool:
    """Whether training has begun here."""
    return any(directory.glob(f"step-*/{HEADER}"))


def headers(directory: Path) -> list[tuple[str, dict[str, Any] | str]]:
    """Name and header of every checkpoint, newest first; in place of a header that does not read what is wrong."""
    found: list[tuple[str, dict[str, Any] | str]] = []
    for place in sorted(directory.glob("step-*"), reverse=True):
        try:
            content = json.loads((place / HEADER).read_text("utf-8"))
            missing = {"made_from", "made_by", "position", "extra", "best"} - set(content)
            found.append((place.name, f"{HEADER} lacks {', '.join(sorted(missing))}" if missing else content))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, TypeError) as error:
            found.append((place.name, f"{HEADER}: {error}"))
    return found


def _besides(newest: Path) -> list[Path]:
    """The checkpoints that need not be kept: all but the two newest, and those of later steps, which did not load."""
    until_now = sorted(place for place in newest.parent.glob("step-*") if place.name <= newest.name)
    return [place for place in newest.parent.glob("step-*") if place not in until_now[-KEPT:]]


def _remove(place: Path) -> None:
    """Remove a checkpoint; what a kill leaves of it does not look like one."""
    if place.exists():
        away = place.with_name(f".{place.name}.removed")
        shutil.rmtree(away, ignore_errors=True)
        place.rename(away)
        shutil.rmtree(away)


def _flush(directory: Path) -> None:
    """Make the names in a directory last."""
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
