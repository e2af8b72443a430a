"""The features of the frozen network, mapped from a file, so that memory does not grow with the number of photos.

Shapes: N photos, V views of each, D numbers of a feature, R rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class FrozenFeatures:
    """The inputs of a classifier: float32 [N, V, D], and the class of every photo, int64 [N]."""

    values_NVD: NDArray[np.float32]
    class_N: NDArray[np.int64]

    @classmethod
    def open(cls, path: Path, class_N: NDArray[np.int64]) -> FrozenFeatures:
        """Map the `.npy` file at `path`."""
        values_NVD = np.load(path, mmap_mode="r")
        assert values_NVD.ndim == 3 and len(values_NVD) == len(class_N)
        return cls(values_NVD, class_N)

    def __len__(self) -> int:
        return len(self.class_N)

    @property
    def views(self) -> int:
        """V, the number of views of every photo."""
        return int(self.values_NVD.shape[1])

    @property
    def width(self) -> int:
        """D, the width of a feature."""
        return int(self.values_NVD.shape[2])

    def read(self, rows_R: NDArray[np.int64], views_R: NDArray[np.int64], device: torch.device) -> Tensor:
        """Return a view of each of `rows_R`, float32 [R, D] on `device`."""
        return torch.from_numpy(self.values_NVD[rows_R, views_R]).to(device)

    def read_all_views(self, rows_R: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return all views of `rows_R` and their classes, float32 [R·V, D] and int64 [R·V] on `device`."""
        values_RVD = torch.from_numpy(self.values_NVD[rows_R]).to(device)
        class_R = torch.from_numpy(self.class_N[rows_R]).to(device)
        return values_RVD.flatten(0, 1), class_R.repeat_interleave(self.views)
