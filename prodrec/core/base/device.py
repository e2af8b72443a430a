"""Choose the device on which the network runs, and the number of processes that load photos."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prodrec.core.base import dist, memory
from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    import torch

MAX_WORKERS = 8
"""Largest default number of processes that load batches for one network."""
CORES_OF_A_WORKER = 8
"""Cores that train on a CPU while one core loads batches for them. A guess: loading a photo takes 1 to 2 ms, and
training on it with mobilenet_v2 at 128 x 128 takes 30 to 100 ms of a core."""
WORKER_BYTES = 2**30
"""Free memory for each process that loads batches. It takes about half of it, most of that for torch."""


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

    The ranks of a machine share its cores and its memory equally. With a GPU, the default is one process for each core
    of the rank except one. With a CPU it is one for CORES_OF_A_WORKER cores, because the network needs the others; with
    a single core it is 0, and this process loads the batches itself. It is at least 1 otherwise, at most MAX_WORKERS,
    and at most one for WORKER_BYTES of free memory. For feature vectors (`photos` is false) it is 0: reading them takes
    less time than sending them to another process.
    """
    if requested is not None or not photos:
        return requested or 0
    cores = available_cores() // dist.local_world_size()
    if device.type == "cuda":
        workers = cores - 1
    elif cores <= 1:
        return 0
    else:
        workers = cores // CORES_OF_A_WORKER
    fits = memory.available() // dist.local_world_size() // WORKER_BYTES
    return max(1, min(workers, MAX_WORKERS, fits))


def available_memory(device: torch.device) -> int:
    """Return the bytes that can be allocated on the device of this rank: of its GPU, or its share of the machine's."""
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return memory.available() // dist.local_world_size()
