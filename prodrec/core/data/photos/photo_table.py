"""The facts about a catalogue's photos, found when they are decoded and kept until the dataset is written.

Shapes: P distinct photos.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16

NO_PROBLEM = ("", "")


@dataclass(frozen=True, eq=False)
class PhotoTable:
    """P photos; every array has one row for each of them.

    sizes_P2:   int32, width and height in pixels as stored
    digests_PD: uint8 [P, DIGEST_BYTES], hash of size and RGB pixels: equal for pixel-identical photos
    hashes_P:   uint64, perceptual hash: similar for similar photos
    index_P3:   int64, shard, offset and length in bytes in the photo store; zeros for a photo that is not stored
    problem_P:  int32, the number in `problems` of what makes the photo unusable; 0 for a usable photo
    problems:   the number of every distinct (reason, detail), as in rejected.csv, in order of first occurrence
    """

    sizes_P2: NDArray[np.int32]
    digests_PD: NDArray[np.uint8]
    hashes_P: NDArray[np.uint64]
    index_P3: NDArray[np.int64]
    problem_P: NDArray[np.int32]
    problems: dict[tuple[str, str], int]

    @classmethod
    def empty(cls, photos: int) -> PhotoTable:
        """Return a table of zeros, to be filled photo by photo or by `put`."""
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
        self.problem_P[photo] = self._number((reason, detail))

    def put(self, start: int, part: PhotoTable) -> None:
        """Copy the photos of `part` into this table, from position `start` on."""
        photos = slice(start, start + len(part))
        self.sizes_P2[photos] = part.sizes_P2
        self.digests_PD[photos] = part.digests_PD
        self.hashes_P[photos] = part.hashes_P
        self.index_P3[photos] = part.index_P3
        numbers = np.array([self._number(problem) for problem in part.problems], np.int32)
        self.problem_P[photos] = numbers[part.problem_P]

    def _number(self, problem: tuple[str, str]) -> int:
        return self.problems.setdefault(problem, len(self.problems))
