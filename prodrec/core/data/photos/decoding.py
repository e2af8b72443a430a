"""Finds and decodes the photos of a catalogue, each once, and stores their bytes. Of several ranks each takes a share.

Shapes: M rows of all tables, P distinct photos.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console, dist
from prodrec.core.base.errors import NotFound
from prodrec.core.data.photos.examine import UNDECODABLE, PhotoRules, examine_all
from prodrec.core.data.photos.sources import PROBLEMS, PhotoLocations, PhotoSource
from prodrec.core.data.photos.store import ShardWriter, shard_name
from prodrec.core.data.tables.rejects import MISSING, Rejects

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


@dataclass(frozen=True, eq=False)
class Share:
    """What one rank is to decode, and where to write it: a directory that all ranks see."""

    places: PhotoLocations
    directory: Path
    rules: PhotoRules


@dataclass(frozen=True, eq=False)
class Found:
    """What a rank has found in its share of p photos: columns of Decoded, its shards in order, and what is wrong.

    problem_p: int32, which of `problems`, (reason, detail), a photo has, from 1 on; 0 for none
    """

    sizes: NDArray[np.int32]
    digests: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    places: NDArray[np.int64]
    problem_p: NDArray[np.int32]
    problems: list[tuple[str, str]]
    shards: list[Path]


def decode_photos(
    source: PhotoSource, wanted_M: pl.Series, rejected: Rejects, directory: Path, rules: PhotoRules, *, workers: int
) -> Decoded:
    """Find and decode the photos of all rows that are kept so far; reject rows whose photo cannot be used.

    Rank 0 calls it; of several ranks every one decodes its share of the photos, the others in `decode_share`.
    """
    kept = rejected.kept
    lookup = source.find(wanted_M.gather(kept))
    missing = lookup.found_W < 0
    rejected.add(MISSING, kept[missing], lookup.reasons, lookup.why_W[missing])
    kept, found = kept[~missing], lookup.found_W[~missing]
    problem = source.problems[found]
    rejected.add(UNDECODABLE, kept[problem > 0], PROBLEMS, problem[problem > 0])
    kept, found = kept[problem == 0], found[problem == 0]
    photos, number = np.unique(found, return_inverse=True)
    number_M = np.full(len(wanted_M), -1, np.int64)
    number_M[kept] = number
    parts = [dist.shard_slice(len(photos), number=rank) for rank in range(dist.world_size())]
    own = dist.scatter([Share(source.places(photos[part]), directory, rules) for part in parts])
    of_ranks = dist.gather(_decode(own, workers))
    decoded = _joined(of_ranks, photos, number_M, directory)
    problems, problem_P = _problems(of_ranks)
    for reason in dict.fromkeys(reason for reason, _ in problems[1:]):
        of_reason = np.array([each == reason for each, _ in problems])
        broken = of_reason[problem_P[number]]
        rejected.add(reason, kept[broken], [detail for _, detail in problems], problem_P[number[broken]])
    return decoded


def decode_share(*, workers: int) -> None:
    """Decode this rank's share of the photos that rank 0 is at."""
    dist.gather(_decode(dist.scatter(None), workers))


def _decode(share: Share, workers: int) -> Found:
    total, start = len(share.places), 0
    found = Found(
        sizes=np.zeros((total, 2), np.int32),
        digests=np.zeros((total, 16), np.uint8),
        hashes=np.zeros(total, np.uint64),
        places=np.zeros((total, 3), np.int64),
        problem_p=np.zeros(total, np.int32),
        problems=[],
        shards=[],
    )
    numbers: dict[tuple[str, str], int] = {}
    _refuse_unseen(share)
    own = share.directory / f"of-rank-{dist.rank()}"
    own.mkdir()
    title = "decoding photos" if dist.world_size() == 1 else f"decoding photos, 1 of {dist.world_size()} shares"
    with console.progress(title, total=total, unit="photos") as advance, ShardWriter(own) as writer:
        for examined in examine_all(share.places, share.rules, workers=workers if total > FEW else 1):
            stop = start + len(examined.stored)
            found.sizes[start:stop], found.digests[start:stop] = examined.sizes, examined.digests
            found.hashes[start:stop] = examined.hashes
            for i, problem in examined.problems.items():
                found.problem_p[start + i] = numbers.setdefault(problem, len(numbers) + 1)
            if share.rules.store:
                for i, data in enumerate(examined.stored):
                    if data:
                        found.places[start + i] = writer.append(data)
            advance(stop - start)
            start = stop
    found.problems.extend(numbers)
    found.shards.extend(sorted(own.iterdir()))
    return found


def _refuse_unseen(share: Share) -> None:
    """Raise NotFound where this rank's machine does not see the photos, or where they are to be written."""
    dist.wait_for_path(share.directory)
    for what, place in (("photos", Path(share.places.where)), ("dataset in the making", share.directory.parent)):
        if not place.exists():
            raise NotFound(
                f"the {what}, {place}, cannot be seen on {socket.gethostname()}; put it where all machines of the job "
                "see it."
            )


def _joined(of_ranks: list[Found], photos: NDArray[np.int64], number_M: NDArray[np.int64], directory: Path) -> Decoded:
    """What all ranks have found, with their shards side by side in `directory`."""
    shards = 0
    for found in of_ranks:
        found.places[:, 0] += shards
        for shard in found.shards:
            shard.rename(directory / shard_name(shards))
            shards += 1
    for own in directory.glob("of-rank-*"):
        own.rmdir()
    return Decoded(
        photos=photos,
        number_M=number_M,
        sizes=np.concatenate([found.sizes for found in of_ranks]),
        digests=np.concatenate([found.digests for found in of_ranks]),
        hashes=np.concatenate([found.hashes for found in of_ranks]),
        places=np.concatenate([found.places for found in of_ranks]),
    )


def _problems(of_ranks: list[Found]) -> tuple[list[tuple[str, str]], NDArray[np.int32]]:
    """The distinct (reason, detail), as one process meets them, the first for none; which one every photo has."""
    numbers = {("", ""): 0}
    of_photos = []
    for found in of_ranks:
        own = [0, *(numbers.setdefault(problem, len(numbers)) for problem in found.problems)]
        of_photos.append(np.array(own, np.int32)[found.problem_p])
    return list(numbers), np.concatenate(of_photos)
