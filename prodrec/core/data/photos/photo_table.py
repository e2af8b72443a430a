"""The results of decoding the photos of a catalogue, as one table in memory.

Shapes: P distinct photos.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16

NO_PROBLEM = ("", "")
"""The first entry of `PhotoTable.problems`, for usable photos."""


@dataclass(frozen=True, eq=False)
class PhotoTable:
    """P photos; every array has one row for each of them.

    sizes_P2:   int32, width and height in pixels as stored
    digests_PD: uint8 [P, DIGEST_BYTES], hash of size and RGB pixels: equal for pixel-identical photos
    hashes_P:   uint64, perceptual hash: similar for similar photos
    index_P3:   int64, shard, offset and length in bytes in the photo store; undefined for a photo that is not stored
    problem_P:  int32, the index in `problems` of why the photo is unusable; 0 for a usable photo
    problems:   every distinct (reason, detail), as in rejected.csv, in order of first occurrence, with its index
    """

    sizes_P2: NDArray[np.int32]
    digests_PD: NDArray[np.uint8]
    hashes_P: NDArray[np.uint64]
    index_P3: NDArray[np.int64]
    problem_P: NDArray[np.int32]
    problems: dict[tuple[str, str], int]

    @classmethod
    def empty(cls, photos: int) -> PhotoTable:
        """Return a table of zeros, which the caller fills."""
        return cls(
            sizes_P2=np.zeros((photos, 2), np.int32),
            digests_PD=np.zeros((photos, DIGEST_BYTES), np.uint8),
            hashes_P=np.zeros(photos, np.uint64),
            index_P3=np.zeros((photos, 3), np.int64),
            problem_P=np.zeros(photos, np.int32),
            problems={NO_PROBLEM: 0},
        )

    def __len__(self) -> int:
        return len(self.hashes_P)

    def set_problem(self, photo: int, reason: str, detail: str) -> None:
        """Mark one photo as unusable."""
        self.problem_P[photo] = self._problem_index((reason, detail))

    def put(self, start: int, part: PhotoTable) -> None:
        """Copy the photos of `part` into this table, from position `start` on."""
        photos = slice(start, start + len(part))
        self.sizes_P2[photos] = part.sizes_P2
        self.digests_PD[photos] = part.digests_PD
        self.hashes_P[photos] = part.hashes_P
        self.index_P3[photos] = part.index_P3
        own_index = np.array([self._problem_index(problem) for problem in part.problems], np.int32)
        self.problem_P[photos] = own_index[part.problem_P]

    def _problem_index(self, problem: tuple[str, str]) -> int:
        return self.problems.setdefault(problem, len(self.problems))
