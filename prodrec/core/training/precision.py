"""The number type of the layers and the memory layout of photos and convolutions, as set or chosen by a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from prodrec.core.training.config import TrainingConfig

BF16_PIXELS_ON_CPU = 160 * 160
"""Pixels of a photo from which bfloat16 is chosen on CPUs. Measured against float32 on a CPU that multiplies bfloat16:
2.3 to 4.3 times as fast at 224x224, 0.65 times as fast at 80x60."""


class Precision(NamedTuple):
    """Number type of the layers (torch.bfloat16 or torch.float32), and whether the layout is channels-last.

    Both change rounding errors, so a run keeps them when it is resumed or scored.
    """

    dtype: torch.dtype
    channels_last: bool

    def as_json(self) -> dict[str, Any]:
        """Return plain values, for run.json."""
        return {"dtype": str(self.dtype).removeprefix("torch."), "channels_last": self.channels_last}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Precision:
        """Return the precision that `as_json` described."""
        return cls(getattr(torch, values["dtype"]), values["channels_last"])


def choose_precision(config: TrainingConfig, device: torch.device, *, pixels: int) -> Precision:
    """Return the precision that `config` sets, or the faster one for photos of `pixels` pixels if it sets `auto`.

    `auto` is a rule and not a timing: a command computes the same numbers on all machines of the same kind. It
    chooses bfloat16 on GPUs that multiply it (emulated, it is slower than float32), and on CPUs that multiply it if
    photos have at least BF16_PIXELS_ON_CPU pixels. It always chooses channels-last (measured: 1.3 to 1.6 times as fast
    on a CPU).
    """
    if config.precision == "auto":
        if device.type == "cuda":
            use_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            use_bf16 = pixels >= BF16_PIXELS_ON_CPU and _cpu_multiplies_bf16()
    else:
        use_bf16 = config.precision == "bf16"
    return Precision(torch.bfloat16 if use_bf16 else torch.float32, config.channels_last != "no")


def _cpu_multiplies_bf16() -> bool:
    probes = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return "AVX512" in torch.backends.cpu.get_cpu_capability() and any(probe() for probe in probes if probe)
