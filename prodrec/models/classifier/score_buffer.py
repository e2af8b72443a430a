"""The score buffer, which a classifier keeps from step to step: fresh memory costs more than the arithmetic on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SPARE = 16
"""A buffer that grows gets a 16th more than requested, because the number of sampled classes varies a little."""
DEFAULT_LIMIT_GIB = 2.0


@dataclass
class ScoreBuffer:
    """A block of memory that one caller uses at a time.

    limit_gib: largest size in GiB. Larger scores are computed twice
    """

    limit_gib: float = DEFAULT_LIMIT_GIB
    values: Tensor | None = None

    def fits(self, scores_bytes: float) -> bool:
        """Return whether scores of this size may be stored."""
        return scores_bytes <= self.limit_gib * 2**30

    def describe(self, scores_bytes: int) -> str:
        """Return where scores of this size are stored, for `prodrec train --plan`."""
        scores = f"{scores_bytes / 2**20:,.1f} MiB of scores"
        return f"{scores} kept" if self.fits(scores_bytes) else f"computed twice, as {scores} would exceed score_buffer"

    def acquire(self, count: int, *, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return a tensor of at least `count` undefined numbers, 1-D. The caller gives it back with `release`."""
        values, self.values = self.values, None
        if values is None:
            return torch.empty(count, dtype=dtype, device=device)
        if len(values) < count or values.dtype != dtype or values.device != device:
            values = None  # frees the old memory before the new one is allocated
            return torch.empty(count + count // SPARE, dtype=dtype, device=device)
        return values

    def release(self, values: Tensor) -> None:
        """Take back the tensor that `acquire` returned, for the next `acquire`."""
        self.values = values

    def free(self) -> None:
        """Free the memory."""
        self.values = None
