"""Choose the device on which the network runs, and the number of processes that load photos."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prodrec.core.base import dist
from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    import torch

MAX_GPU_WORKERS = 8
"""Largest default number of processes that load batches for one GPU."""


def choose_device(name: str) -> torch.device:
    """Return the device `name`: cpu, cuda, cuda:N, or auto, which is the GPU if there is one, else the CPU.

    With several ranks on GPUs, every rank gets its own GPU. Raise BadOption if torch cannot use the device here, if its
    type is not supported, or if ranks would share a GPU.
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
    """Return the GPU of this rank: its index is the local rank. Raise BadOption if there are fewer GPUs than ranks."""
    import torch

    if name != "cuda":
        raise BadOption(f"--device {name} names one GPU, and every rank needs its own; give --device cuda.")
    if dist.local_rank() >= torch.cuda.device_count():
        raise BadOption(
            f"{dist.local_world_size()} ranks on this machine and {torch.cuda.device_count()} GPUs that torch can use; "
            "start one rank per GPU, or give --device cpu."
        )
    return torch.device("cuda", dist.local_rank())


def available_cores() -> int:
    """Return the number of cores that this process may use, which a job scheduler may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_workers(requested: int | None, device: torch.device, *, photos: bool = True) -> int:
    """Return the number of processes that load batches: `requested`, or a default if it is None.

    The ranks of a machine share its cores equally. With a GPU, the default is one process for each core of the rank
    except one, from 1 to MAX_GPU_WORKERS. With a CPU it is 1, because the network needs the other cores; with a single
    core it is 0, and this process loads the batches itself. For feature vectors (`photos` is false) it is 0: reading
    them takes less time than sending them to another process.
    """
    if requested is not None or not photos:
        return requested or 0
    cores = available_cores() // dist.local_world_size()
    return min(MAX_GPU_WORKERS, max(1, cores - 1)) if device.type == "cuda" else min(1, max(0, cores - 1))
