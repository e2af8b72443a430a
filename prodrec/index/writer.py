"""Change a product index: one writer at a time, one commit for each change.

Readers keep the version that they opened. Its files are kept for KEEP_VERSIONS, after which the next change removes
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from prodrec.core.base import console
from prodrec.core.base.artefact import JSON_FILES
from prodrec.core.base.lock import lock_directory
from prodrec.index.header import KIND, IndexHeader, SearchSettings
from prodrec.index.lists import MAX_QUERIES, measure_lists, wants_lists
from prodrec.index.product_index import ProductIndex
from prodrec.index.table import PhotoRows, PhotoTable

KEEP_VERSIONS = timedelta(hours=1)
"""Longest time in which a reader should look for a newer version."""
BEING_CHANGED = "changed"


@dataclass(frozen=True)
class Changes:
    """The ids of the products that an update changed, and the number of those of its table that it did not."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int

    def as_json(self) -> dict[str, int]:
        """Return the numbers of products."""
        return {
            "added": len(self.added),
            "changed": len(self.changed),
            "removed": len(self.removed),
            "unchanged": self.unchanged,
        }


@contextmanager
def open_to_write(path: Path) -> Iterator[ProductIndex]:
    """Lock the index for the block, and yield its newest version, without what a killed writer left.

    Raise RunLocked if another process changes it.
    """
    index = ProductIndex.open(path)
    with lock_directory(path, BEING_CHANGED) as was_killed:
        index = index.refreshed()
        if was_killed:
            index.table.tidy(KEEP_VERSIONS, unfinished=True)
        yield index.refreshed()


@contextmanager
def lock_existing(path: Path) -> Iterator[None]:
    """Lock the index `path`, if there is one, for the block that replaces it: no update of it may be lost.

    Raise RunLocked if another process changes it.
    """
    with lock_directory(path, BEING_CHANGED) if (path / JSON_FILES[KIND]).is_file() else nullcontext():
        yield


def fill(directory: Path, header: IndexHeader, chunks: Iterator[PhotoRows]) -> ProductIndex:
    """Write the table and the header of a new index into `directory`, which no reader sees yet."""
    table = PhotoTable.create(directory, header.width)
    for rows in chunks:
        table.append(rows)
    table.index_skus()
    table.index_words()
    table.tidy(timedelta(0))
    header.write(directory)
    return ProductIndex(directory, header, table)


def replace_products(index: ProductIndex, rows: PhotoRows | None, skus: Sequence[str]) -> None:
    """Replace all photos of the products `skus` by `rows` in one commit, and remove old versions."""
    index.table.replace(rows, skus)
    index.table.tidy(KEEP_VERSIONS)


def choose_search(index: ProductIndex, wanted: str | None = None) -> ProductIndex:
    """Divide the vectors into lists if their number asks for it, and record how they are searched.

    wanted: one of SEARCHES; None is that of the index, whose lists remain as they are if it has some

    Print how, unless the search is exact.
    """
    settings = index.header.search if wanted is None else SearchSettings(wanted)
    if settings.probes or not wants_lists(settings.wanted, len(index)):
        return index if settings == index.header.search else _with_settings(index, settings)
    index.table.index_vectors()
    probes, recall, queries = measure_lists(index.table, index.table.sample_vectors(MAX_QUERIES))
    settings = replace(settings, probes=probes, recall=recall, queries=queries)
    console.info(f"search: {settings}")
    return _with_settings(index, settings)


def _with_settings(index: ProductIndex, settings: SearchSettings) -> ProductIndex:
    header = replace(index.header, search=settings)
    header.write_json(index.path)
    return replace(index, header=header)
