"""Write the directory of a checkpoint atomically, and read it without running code. `checkpoint.py` lists its files."""

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

from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.json_types import check_types, read_json
from prodrec.core.training.run_file import CheckpointFile

HEADER = "checkpoint.json"
METADATA = ".metadata"
"""torch's name of the pickle that maps tensors to files."""

CHECKPOINTS_TO_KEEP = 2
"""Number of checkpoints that remain. If the newest one turns out to be damaged, the one before it is loaded."""

UNPICKLED_NAMES = {
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("torch.serialization", "_get_layout"),
}
"""Module and name of what torch's metadata may refer to, besides classes of dcp_metadata, torch.Size and dtypes."""

# --- writing


class CheckpointWriter(FileSystemWriter):
    """Writes the checkpoint at `path` under a temporary name, and renames it when all ranks have written their part."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        super().__init__(_partial_path(path))
        self.checkpoint_path, self.header = path, header

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Complete the checkpoint, on rank 0. torch raises an error of this method on all ranks."""
        super().finish(metadata, results)
        partial = _partial_path(self.checkpoint_path)
        with (partial / HEADER).open("w", encoding="utf-8") as file:
            json.dump(self.header, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        _sync_directory(partial)
        _remove(self.checkpoint_path)  # a damaged one of the same step
        partial.rename(self.checkpoint_path)
        _sync_directory(self.checkpoint_path.parent)
        for outdated in _outdated_checkpoints(self.checkpoint_path):
            _remove(outdated)

    def storage_meta(self) -> StorageMeta:
        """Return torch's description of the checkpoint without the path, whose pickle depends on the Python version."""
        return StorageMeta(save_id=self.save_id)


def remove_partial_checkpoints(directory: Path) -> None:
    """Remove the checkpoints that killed processes had not completely written or removed."""
    for partial in directory.glob(".step-*"):
        shutil.rmtree(partial)


def _partial_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _outdated_checkpoints(newest: Path) -> list[Path]:
    """Return all checkpoints except `newest` and the one before it.

    Checkpoints of later steps are among them: they are damaged, or training would have resumed from them.
    """
    checkpoints = sorted(newest.parent.glob("step-*"))
    until_newest = [path for path in checkpoints if path.name <= newest.name]
    return [path for path in checkpoints if path not in until_newest[-CHECKPOINTS_TO_KEEP:]]


def _remove(path: Path) -> None:
    """Rename a checkpoint and remove it. If this process is killed meanwhile, no partial checkpoint has its name."""
    if path.exists():
        removed = path.with_name(f".{path.name}.removed")
        shutil.rmtree(removed, ignore_errors=True)
        path.rename(removed)
        shutil.rmtree(removed)


def _sync_directory(directory: Path) -> None:
    """Flush the names in a directory to the disk. Windows, which cannot open directories, does so by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- reading


class CheckpointReader(FileSystemReader):
    """Reads the tensors of the checkpoint at `path` with metadata from `read_metadata`."""

    def __init__(self, path: Path, metadata: Metadata) -> None:
        super().__init__(path)
        self.metadata = metadata

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Return the metadata that was read already."""
        return self.metadata


def read_metadata(path: Path) -> Metadata:
    """Return the metadata of the checkpoint at `path`. Raise OSError, or any error of a damaged pickle."""
    with (path / METADATA).open("rb") as file:
        metadata = _MetadataUnpickler(file).load()
    if not isinstance(metadata, Metadata):
        raise pickle.UnpicklingError(f"{METADATA} contains no metadata")
    return metadata


class _MetadataUnpickler(pickle.Unpickler):
    """Creates the dataclasses of torch's metadata and nothing else: the pickle of a stranger could run any code."""

    def find_class(self, module: str, name: str) -> Any:
        value = getattr({"torch": torch, dcp_metadata.__name__: dcp_metadata}.get(module), name, None)
        is_metadata_class = isinstance(value, type) and value.__module__ == dcp_metadata.__name__
        if is_metadata_class or value is torch.Size or isinstance(value, torch.dtype):
            return value
        if (module, name) in UNPICKLED_NAMES:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{METADATA} names {module}.{name}, which no checkpoint does")


def has_checkpoint(directory: Path) -> bool:
    """Return whether `directory` contains a checkpoint."""
    return any(directory.glob(f"step-*/{HEADER}"))


def read_headers(directory: Path) -> list[tuple[str, dict[str, Any] | str]]:
    """Return name and header of every checkpoint, newest first. A message replaces a header that cannot be read."""
    headers: list[tuple[str, dict[str, Any] | str]] = []
    remedy = "take another checkpoint"
    for path in sorted(directory.glob("step-*"), reverse=True):
        try:
            header = read_json(path / HEADER, remedy=remedy)
            check_types(header, CheckpointFile, path / HEADER, remedy=remedy)
            headers.append((path.name, header))
        except BadArtefact as error:
            headers.append((path.name, str(error).removesuffix(f"; {remedy}.")))
    return headers
