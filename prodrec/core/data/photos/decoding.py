"""Find and decode the photos of a catalogue, each of them once, and write them into the dataset's photo store.

With several ranks, rank 0 finds the photos and scatters their locations. Every rank decodes one shard of the photos and
writes it to its own files in a directory that all ranks share. Rank 0 gathers the ranks' tables and renames the files.

Shapes: M rows of all tables, P distinct photos, W rows whose photo is looked up, w some of them.
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
from prodrec.core.data.photos.examine import PhotoRules, examine_chunks
from prodrec.core.data.photos.listing import READABLE, UNREADABLE_REASONS
from prodrec.core.data.photos.locations import PhotoLocations
from prodrec.core.data.photos.name_matching import match_names
from prodrec.core.data.photos.name_search import EXACT, NO_MATCH, RULES
from prodrec.core.data.photos.photo_table import PhotoTable
from prodrec.core.data.photos.sources import PhotoSource
from prodrec.core.data.photos.store import ShardWriter, shard_name
from prodrec.core.data.photos.upright import UNDECODABLE
from prodrec.core.data.tables.rejects import MISSING_PHOTO, Rejects

if TYPE_CHECKING:
    import polars as pl

MIN_PHOTOS_FOR_WORKERS = 1000
"""Up to this many photos, one process decodes sooner than worker processes start."""


@dataclass(frozen=True, eq=False)
class FoundPhotos:
    """The W rows whose photo is listed and readable.

    rows_W:   int64, the rows of the catalogue
    source_W: int64, the index of the photo in the PhotoSource
    counts:   these rows, by how the names of their photos were matched
    """

    rows_W: NDArray[np.int64]
    source_W: NDArray[np.int64]
    counts: dict[str, int]


@dataclass(frozen=True, eq=False)
class DecodedPhotos:
    """The P distinct photos that a catalogue shows, in order of their names.

    table:    the results of decoding each photo
    source_P: int64, the index of each photo in the PhotoSource
    photo_M:  int64, the index in `table` of the photo of every row; -1 for a row that was rejected before decoding
    """

    table: PhotoTable
    source_P: NDArray[np.int64]
    photo_M: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DecodeTask:
    """The photos that one rank decodes, and the photo store's directory, which all ranks share."""

    locations: PhotoLocations
    directory: Path
    rules: PhotoRules


def decode_photos(
    source: PhotoSource, names_M: pl.Series, rejected: Rejects, directory: Path, rules: PhotoRules, *, workers: int
) -> DecodedPhotos:
    """Find and decode the photos of all rows that are not rejected yet; reject the rows whose photo cannot be used.

    Call this function on rank 0 and `decode_shard` on the other ranks.

    names_M:   the name of the photo in every row of the catalogue
    directory: an empty directory, to which the photos are written
    workers:   processes of this rank

    Raise NotFound or ProdrecError if a rank cannot read the photos or cannot access the directory.
    """
    found = find_photos(source, names_M, rejected)
    if loose := [f"{count:,} {rule}" for rule, count in found.counts.items() if rule != RULES[EXACT]]:
        console.info(f"names matched with photos {', '.join(loose)}")
    rows_W = found.rows_W
    source_P, photo_W = np.unique(found.source_W, return_inverse=True)
    photo_M = np.full(len(names_M), -1, np.int64)
    photo_M[rows_W] = photo_W

    shards = [dist.shard_slice(len(source_P), index=rank) for rank in range(dist.world_size())]
    tasks = [DecodeTask(source.locations(source_P[shard]), directory, rules) for shard in shards]
    decoded = _decode(dist.scatter(tasks), workers)
    table = _merge(dist.gather(decoded), directory)

    problem_W = table.problem_P[photo_W]
    reasons, details = zip(*table.problems, strict=True)  # the first of each is for usable photos
    for reason in dict.fromkeys(reasons[1:]):
        has_reason = np.array([other == reason for other in reasons])
        is_rejected_W = has_reason[problem_W]
        rejected.add(reason, rows_W[is_rejected_W], details, problem_W[is_rejected_W])
    return DecodedPhotos(table, source_P, photo_M)


def decode_shard(*, workers: int) -> None:
    """Decode the photos that `decode_photos` on rank 0 scatters to this rank."""
    dist.gather(_decode(dist.scatter(None), workers))


def find_photos(source: PhotoSource, names_M: pl.Series, rejected: Rejects) -> FoundPhotos:
    """Look up the photo of every row that is not rejected yet; reject the rows whose photo is missing or unreadable."""
    rows_W = rejected.kept_rows
    matches = match_names(source, names_M.gather(rows_W))
    is_missing_W = matches.photo_W == NO_MATCH
    rejected.add(MISSING_PHOTO, rows_W[is_missing_W], matches.reasons, matches.reason_W[is_missing_W])
    listed_w = np.flatnonzero(~is_missing_W)
    unreadable_w = source.unreadable_P[matches.photo_W[listed_w]]
    is_readable_w = unreadable_w == READABLE
    rejected.add(UNDECODABLE, rows_W[listed_w[~is_readable_w]], UNREADABLE_REASONS, unreadable_w[~is_readable_w])
    found_w = listed_w[is_readable_w]
    return FoundPhotos(rows_W[found_w], matches.photo_W[found_w], matches.counts(found_w))


def _decode(task: DecodeTask, workers: int) -> tuple[PhotoTable, list[Path]]:
    """Decode the photos of `task`. Return their table and the files that contain them."""
    _check_access(task)
    total, start = len(task.locations), 0
    table = PhotoTable.empty(total)
    rank_directory = task.directory / f"rank-{dist.rank()}"
    rank_directory.mkdir()
    title = "decoding photos" if dist.world_size() == 1 else f"decoding photos, shard 1 of {dist.world_size()}"
    with console.progress(title, total=total, unit="photos") as advance, ShardWriter(rank_directory) as writer:
        workers = workers if total > MIN_PHOTOS_FOR_WORKERS else 1
        for chunk in examine_chunks(task.locations, task.rules, workers=workers):
            for i, data in enumerate(chunk.encoded):
                if data:
                    chunk.photos.index_P3[i] = writer.append(data)
            table.put(start, chunk.photos)
            start += len(chunk.photos)
            advance(len(chunk.photos))
    return table, sorted(rank_directory.iterdir())


def _check_access(task: DecodeTask) -> None:
    """Raise NotFound if this rank's machine cannot access the photos or the directory that they are written to."""
    dist.wait_for_path(task.directory)
    for name, path in (("photos", Path(task.locations.path)), ("unfinished dataset", task.directory.parent)):
        if not path.exists():
            raise NotFound(
                f"the {name}, {path}, cannot be accessed on {socket.gethostname()}; put it where all machines of the "
                "job can access it."
            )


def _merge(shards: list[tuple[PhotoTable, list[Path]]], directory: Path) -> PhotoTable:
    """Merge the tables of all ranks, and move their files into `directory`, numbered in one sequence."""
    merged = PhotoTable.empty(sum(len(table) for table, _ in shards))
    start = file_count = 0
    for table, files in shards:
        table.index_P3[:, 0] += file_count
        merged.put(start, table)
        start += len(table)
        for file in files:
            file.rename(directory / shard_name(file_count))
            file_count += 1
    for rank_directory in directory.glob("rank-*"):
        rank_directory.rmdir()
    return merged
