"""The vectors and descriptions of all photos of an index in memory, for exact search.

LanceDB searches exactly on the disk, which takes several times as long.

Shapes: N photos, d numbers of a vector, B queries, K nearest photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.nearest import nearest_vectors

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

    from prodrec.index.table import PhotoTable

MOST_NUMBERS = 1 << 29
"""Numbers of all vectors in memory: 2 GiB, which is a million photos with vectors of 512 numbers."""
CHUNK = 65_536
"""Photos whose cosines are in memory at a time."""


@dataclass(frozen=True, eq=False)
class PhotosInMemory:
    """All photos of a version. Several threads may use one.

    frame:      the columns that describe photos
    vectors_Nd: float32; to make them of float16 in every search would take longer than the search
    """

    frame: pl.DataFrame
    vectors_Nd: Tensor

    @classmethod
    def load(cls, table: PhotoTable) -> PhotosInMemory:
        """Read all photos of a version."""
        import torch

        from prodrec.index.table import WITHOUT_CONTENT

        frame, vectors_Nd = table.frame_and_vectors(*WITHOUT_CONTENT)
        return cls(frame, torch.from_numpy(vectors_Nd).float())

    def nearest(self, vectors_Bd: NDArray[np.floating], limit: int) -> list[list[tuple[float, dict[str, Any]]]]:
        """Return the `limit` nearest photos of each of B vectors of length 1, as `PhotoTable.nearest` does."""
        import torch

        queries_Bd = torch.from_numpy(np.ascontiguousarray(vectors_Bd, np.float32))
        cosine_BK, index_BK = nearest_vectors(queries_Bd, self.vectors_Nd, limit, chunk=CHUNK)
        used, position_BK = np.unique(index_BK.numpy(), return_inverse=True)
        rows = [dict(zip(self.frame.columns, row, strict=True)) for row in self.frame[used].rows()]
        found = zip(cosine_BK.tolist(), position_BK.reshape(index_BK.shape).tolist(), strict=True)
        return [
            sorted(
                ((cosine, rows[position]) for cosine, position in zip(*one, strict=True)),
                key=lambda pair: (-pair[0], pair[1]["sku"], pair[1]["photo"]),
            )
            for one in found
        ]
