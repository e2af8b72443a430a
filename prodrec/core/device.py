"""Which device computes, and how many processes load photos beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prodrec.core.errors import BadOption

if TYPE_CHECKING:
    import torch


def choose_device(name: str) -> torch.device:
    """`auto` takes the GPU where there is one. Raises BadOption for a device that is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BadOption(f"--device {name} is no device; expected auto, cpu, cuda or cuda:N.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BadOption(f"--device {name}: this machine has {torch.cuda.device_count()} GPUs that torch can use.")
    if device.type not in ("cpu", "cuda"):
        raise BadOption(f"--device {name} is not supported; expected auto, cpu, cuda or cuda:N.")
    return device


def choose_workers(wanted: int | None, device: torch.device) -> int:
    """As asked; else one beside a CPU that trains, and most of the cores beside a GPU."""
    if wanted is not None:
        return wanted
    cores = os.cpu_count() or 1
    return min(8, max(1, cores - 1)) if device.type == "cuda" else min(1, cores - 1)
