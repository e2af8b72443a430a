"""Finds and decodes the photos of a catalogue, each once, and stores their bytes.

Shapes: M rows of all tables, P distinct photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core import console
from prodrec.core.data.photo_sources import PhotoSource
from prodrec.core.data.photo_store import ShardWriter
from prodrec.core.data.photos import UNDECODABLE, PhotoRules, examine_all
from prodrec.core.data.rejects import MISSING, Rejects

if TYPE_CHECKING:
    import polars as pl

FEW = 1000
"""So few photos are decoded sooner than other processes start."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """The distinct photos of a catalogue.

    photos:    int64 [P], their numbers in the source, ascending
    number_M:  int64 [M], which of them every row shows, -1 for a row without
    sizes:     int32 [P, 2] width and height as stored
    digests:   uint8 [P, 16]; hashes: uint64 [P]; see photos.Examined
    places:    int64 [P, 3] shard, offset, length; zeros with --in-place
    """

    photos: NDArray[np.int64]
    number_M: NDArray[np.int64]
    sizes: NDArray[np.int32]
    digests: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    places: NDArray[np.int64]


def decode_photos(
    source: PhotoSource, wanted_M: pl.Series, rejected: Rejects, directory: Path, rules: PhotoRules, *, workers: int
) -> Decoded:
    """Find and decode the photos of all rows that are kept so far; reject rows whose photo cannot be used."""
    kept = rejected.kept
    found, why = source.find(wanted_M.gather(kept))
    rejected.add(MISSING, kept[found == -1], {int(kept[i]): text for i, text in why.items()})
    unreadable = {int(kept[i]): source.problems[p] for i, p in enumerate(found.tolist()) if p in source.problems}
    rejected.add(UNDECODABLE, np.array(list(unreadable), np.int64), unreadable)
    kept, found = kept[rejected.code_N[kept] == 0], found[rejected.code_N[kept] == 0]
    photos, number = np.unique(found, return_inverse=True)
    number_M = np.full(len(wanted_M), -1, np.int64)
    number_M[kept] = number
    decoded = Decoded(
        photos=photos,
        number_M=number_M,
        sizes=np.zeros((len(photos), 2), np.int32),
        digests=np.zeros((len(photos), 16), np.uint8),
        hashes=np.zeros(len(photos), np.uint64),
        places=np.zeros((len(photos), 3), np.int64),
    )
    problems = _decode(source, decoded, directory, rules, workers)
    for reason in dict.fromkeys(reason for reason, _ in problems.values()):
        broken = {p: detail for p, (why_not, detail) in problems.items() if why_not == reason}
        rows = kept[np.isin(number, list(broken))]
        rejected.add(reason, rows, {row: broken[int(number_M[row])] for row in rows.tolist()})
    return decoded


def _decode(
    source: PhotoSource, decoded: Decoded, directory: Path, rules: PhotoRules, workers: int
) -> dict[int, tuple[str, str]]:
    problems: dict[int, tuple[str, str]] = {}
    places = (source.place(photo) for photo in decoded.photos.tolist())
    total, start = len(decoded.photos), 0
    with console.progress("decoding photos", total=total, unit="photos") as advance, ShardWriter(directory) as writer:
        for examined in examine_all(places, rules, workers=workers if total > FEW else 1):
            stop = start + len(examined.stored)
            decoded.sizes[start:stop], decoded.digests[start:stop] = examined.sizes, examined.digests
            decoded.hashes[start:stop] = examined.hashes
            problems |= {start + i: problem for i, problem in examined.problems.items()}
            if rules.store:
                for i, data in enumerate(examined.stored):
                    if data:
                        decoded.places[start + i] = writer.append(data)
            advance(stop - start)
            start = stop
    return problems
