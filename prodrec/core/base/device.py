"""Which device computes, how many cores there are, and how many processes load photos beside the device."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prodrec.core.base import dist
from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    import torch


def choose_device(name: str) -> torch.device:
    """`auto` takes the GPU where there is one; of several ranks on a machine each takes its own.

    Raises BadOption for a device that is not there, or one that the ranks would have to share.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BadOption(f"--device {name} is no device; expected auto, cpu, cuda or cuda:N.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BadOption(f"--device {name}: this machine has {torch.cuda.device_count()} GPUs that torch can use.")
    if device.type not in ("cpu", "cuda"):
        raise BadOption(f"--device {name} is not supported; expected auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and dist.world_size() > 1:
        return _own_gpu(name)
    return device


def _own_gpu(name: str) -> torch.device:
    import torch

    if name != "cuda":
        raise BadOption(f"--device {name} names one GPU, and every rank needs its own; give --device cuda.")
    if dist.local_rank() >= torch.cuda.device_count():
        raise BadOption(
            f"{dist.local_world_size()} ranks on this machine and {torch.cuda.device_count()} GPUs that torch can use; "
            "start one rank a GPU, or give --device cpu."
        )
    return torch.device("cuda", dist.local_rank())


def available_cores() -> int:
    """The cores that this process may use: those of its job, which may be fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_workers(wanted: int | None, device: torch.device, *, photos: bool = True) -> int:
    """As asked; else one beside a CPU that trains, and most of the cores beside a GPU; ranks share the cores.

    Without photos to decode none by default: feature vectors are read faster than they are handed over.
    """
    if wanted is not None or not photos:
        return wanted or 0
    cores = available_cores() // dist.local_world_size()
    return min(8, max(1, cores - 1)) if device.type == "cuda" else min(1, max(0, cores - 1))
