"""Checkpoints: everything that training needs to go on as if it had never stopped.

A checkpoint is one file `checkpoints/step-00001234.pt`, written beside, flushed to the disk and renamed; the newest
two are kept, so that a kill at any moment leaves at least one that loads.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from prodrec.core.console import warn
from prodrec.core.errors import BadArtefact, Mismatch, ProdrecError
from prodrec.core.training.loop import Position, Trainee

KEPT = 2


def save_checkpoint(directory: Path, trainee: Trainee, position: Position, *, run: str, extra: dict[str, Any]) -> Path:
    """Write a checkpoint of run `run` (its identity) and remove all but the newest ones.

    `extra` holds plain values and tensors of the caller (history, best weights).
    """
    directory.mkdir(exist_ok=True)
    path = directory / f"step-{position.step:08d}.pt"
    beside = directory / ".checkpoint.partial"  # one name, so that kills leave one at most
    content = {
        "run": run,
        "position": asdict(position),
        "network": trainee.network.state_dict(),
        "optimizer": trainee.optimizer.state_dict(),
        "average": trainee.average.state_dict() if trainee.average is not None else None,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(trainee.device) if trainee.device.type == "cuda" else None,
        "extra": extra,
    }
    try:
        with beside.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, RuntimeError) as error:  # torch tells a full disk as a RuntimeError
        raise ProdrecError(f"checkpoint {path} could not be written ({error}); the one before it stands.") from error
    finally:
        beside.unlink(missing_ok=True)
    for old in sorted(directory.glob("step-*.pt"))[:-KEPT]:
        old.unlink()
    return path


def has_checkpoint(directory: Path) -> bool:
    """Whether training has begun here."""
    return any(directory.glob("step-*.pt"))


def load_checkpoint(directory: Path, trainee: Trainee, *, run: str) -> tuple[Position, dict[str, Any]] | None:
    """Put the newest checkpoint that loads into `trainee`; its position and the caller's extra, or None.

    Raises Mismatch for a checkpoint of another run, BadArtefact where checkpoints exist and none loads.
    """
    paths = sorted(directory.glob("step-*.pt"), reverse=True)
    for path in paths:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file fails in many ways
            warn(f"checkpoint {path} does not load ({type(error).__name__}); trying the one before.")
            continue
        if content["run"] != run:
            raise Mismatch(f"checkpoint {path} belongs to another run; remove it, or train anew with --force.")
        _restore(trainee, content)
        return Position(**content["position"]), content["extra"]
    if paths:
        raise BadArtefact(f"none of the {len(paths)} checkpoints in {directory} loads; train anew with --force.")
    return None


def _restore(trainee: Trainee, content: dict[str, Any]) -> None:
    trainee.network.load_state_dict(content["network"])
    trainee.optimizer.load_state_dict(content["optimizer"])
    if trainee.average is not None:
        trainee.average.load_state_dict(content["average"])
    torch.set_rng_state(content["random"])
    if content["random_cuda"] is not None and trainee.device.type == "cuda":
        torch.cuda.set_rng_state(content["random_cuda"], trainee.device)
