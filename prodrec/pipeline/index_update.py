"""`prodrec index update`: bring an index up to date with a table, or remove products from it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption
from prodrec.core.base.outputs import scratch_file
from prodrec.core.base.wording import listed
from prodrec.index.writer import Changes, choose_search, open_to_write, replace_products
from prodrec.pipeline.index_rows import joined, photo_rows, see_all
from prodrec.pipeline.index_table import TableProducts, read_products
from prodrec.pipeline.load import load
from prodrec.pipeline.load_index import run_of_index

if TYPE_CHECKING:
    from prodrec.core.data.tables.rejects import Rejects
    from prodrec.index.photos import Content
    from prodrec.index.product_index import ProductIndex
    from prodrec.index.table import PhotoRows
    from prodrec.inference.recognise import Recogniser

MOST_REMOVED = 0.5
"""Share of the products that --whole removes without --force: a table that was cut off must not empty an index."""
REJECTED = "rejected.csv"
UNPACKED = "unpacked"
"""Name of the photos of an archive, which are in the directory of the index while they are read."""


@dataclass(frozen=True)
class UpdatedIndex:
    """What an update changed.

    rejected: number of rows of the table that could not be used
    unknown:  ids that were to be removed, and that the index does not have
    seconds:  of the whole update
    commit:   of these, to write the changes
    """

    path: Path
    changes: Changes
    rejected: int
    unknown: tuple[str, ...]
    version: int
    products: int
    seconds: float
    commit: float

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in self.changes.as_json().items())
        lines = [f"{self.path}: {counts}; {self.products:,} products, version {self.version}"]
        lines[0] += f", in {self.seconds:.1f} s ({self.commit:.1f} s to write)"
        if self.rejected:
            lines.append(f"{self.rejected:,} rows cannot be used: see {self.path / REJECTED}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec index update --json` prints them."""
        return {
            "index": str(self.path),
            **self.changes.as_json(),
            "rejected": self.rejected,
            "unknown": list(self.unknown),
            "products": self.products,
            "version": self.version,
            "seconds": round(self.seconds, 3),
            "commit_seconds": round(self.commit, 3),
        }


def update_index(
    index: str | Path,
    tables: str | Path | Sequence[str | Path] = (),
    *,
    images: str | Path | None = None,
    columns: Mapping[str, str | None] | None = None,
    remove: Sequence[str] = (),
    whole: bool = False,
    run: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    force: bool = False,
) -> UpdatedIndex:
    """Add the new products of tables to an index, replace those that changed, and remove others, in one step.

    A product is unchanged if its title, categories, attributes and photos are. Readers see all changes together, and
    keep the version that they opened until then. The rows that cannot be used are in `rejected.csv` of the index; a
    product of which no photo can be used remains as it was.

    Args:
        index: directory of an index.
        tables: tables of products, as `prepare` reads them. Categories that the run does not know are kept as text, and
            for products without categories those that the run predicts are taken.
        images: folder, tar or zip of photos; by default the folder of the first table.
        columns: names of columns by role (id, image, title, levels, attributes, path, separator), as `prepare` takes
            them; by default those of the dataset of the index, or detected.
        remove: ids of products to remove, or files with one id in a line.
        whole: the tables are the whole catalogue: remove all other products.
        run: directory of the run, or its name in `runs/`; None is the place that the index names.
        device: auto, cpu, cuda or cuda:N.
        workers: processes that read photos; None chooses by their number and the cores.
        force: let `whole` remove more than half of the products.

    Raises:
        NotFound: if the index, its run, a table or the photos do not exist.
        BadArtefact: if the index or the run is damaged.
        BadTable: if a table cannot be read or lacks a column.
        BadOption: if there is nothing to do, options contradict each other, or `whole` would remove too much.
        Mismatch: if the vectors were made by another run.
        RunLocked: if another process changes the index.
    """
    paths = [Path(tables)] if isinstance(tables, str | Path) else [Path(table) for table in tables]
    given = {name: value for name, value in (columns or {}).items() if value is not None}
    if not paths and not remove:
        raise BadOption("there is nothing to change: give a table of products, or --remove.")
    for option, value in (("--whole", whole), ("--images", images), ("a column", given)):
        if value and not paths:
            raise BadOption(f"{option} is about a table, and there is none; give a table, or omit it.")
    start = time.monotonic()
    with open_to_write(Path(index)) as opened, scratch_file(opened.path / UNPACKED) as scratch:
        scratch.mkdir()
        known = _known(opened)
        removed, unknown = _to_remove(remove, known)
        rejected = 0
        rows: PhotoRows | None = None
        changed: list[str] = []
        unchanged = 0
        if paths:
            recogniser = load(run_of_index(opened, run), no_neighbours=True, device=device)
            opened.require_run(recogniser.run.fingerprint, name=str(recogniser.run.path))
            table = read_products(
                paths,
                None if images is None else Path(images),
                options=opened.header.options,
                given=given,
                taxonomy=recogniser.run.taxonomy,
                scratch=scratch,
            )
            if both := sorted(removed & table.named):
                raise BadOption(f"{listed(both)} is in the table and in --remove; omit it from one of them.")
            if whole:
                removed |= _others(known, table.named, force=force)
            rows, changed, unchanged = _see(table, recogniser, opened, known, workers)
            rejected = _write_rejected(opened.path, table)
        commit = time.monotonic()
        skus = [*changed, *sorted(removed)]
        if skus:
            replace_products(opened, rows, skus)
        opened = choose_search(opened)  # also if a killed update did not come so far
        seconds = time.monotonic()
        changes = Changes(
            added=tuple(sku for sku in changed if sku not in known),
            changed=tuple(sku for sku in changed if sku in known),
            removed=tuple(sorted(removed)),
            unchanged=unchanged,
        )
        products = len(known) + len(changes.added) - len(changes.removed)
        return UpdatedIndex(
            Path(index), changes, rejected, unknown, opened.version, products, seconds - start, seconds - commit
        )


def _known(index: ProductIndex) -> dict[str, Content]:
    """Return the hashes of the text and the photos of every product, by id."""
    frame = index.frame("sku", "photo", "text_hash", "photo_hash").sort("photo", maintain_order=True)
    known: dict[str, tuple[str, list[str]]] = {}
    for sku, _, text_hash, photo_hash in frame.iter_rows():
        known.setdefault(sku, (text_hash, []))[1].append(photo_hash)
    return {sku: (text_hash, tuple(hashes)) for sku, (text_hash, hashes) in known.items()}


def _to_remove(remove: Sequence[str], known: Mapping[str, Content]) -> tuple[set[str], tuple[str, ...]]:
    """Return the ids of `remove` that the index has, and those that it does not have, with a warning."""
    ids: list[str] = []
    for name in remove:
        path = Path(name)
        is_file = path.is_file() and name not in known
        lines = path.read_text("utf-8-sig").splitlines() if is_file else [name]
        ids += [line.strip() for line in lines if line.strip()]
    unknown = tuple(dict.fromkeys(sku for sku in ids if sku not in known))
    if unknown:
        console.warn(f"the index has no {listed(unknown)}, which cannot be removed.")
    return {sku for sku in ids if sku in known}, unknown


def _others(known: Mapping[str, Content], named: Collection[str], *, force: bool) -> set[str]:
    """Return the products that the tables do not name. Raise BadOption if they are too many, without `force`."""
    others = {sku for sku in known if sku not in named}
    if len(others) > MOST_REMOVED * len(known) and not force:
        raise BadOption(
            f"--whole would remove {len(others):,} of {len(known):,} products, since the table does not name them; "
            "give the whole catalogue, or add --force."
        )
    return others


def _see(
    table: TableProducts,
    recogniser: Recogniser,
    index: ProductIndex,
    known: Mapping[str, Content],
    workers: int | None,
) -> tuple[PhotoRows | None, list[str], int]:
    """Return the rows of the new and changed products, their ids, and the number of unchanged ones."""
    total = sum(len(product.photos) for product in table.products)
    parts: list[PhotoRows] = []
    changed: list[str] = []
    unchanged = 0
    with console.progress("reading products", total=total, unit="photos") as advance:
        for seen in see_all(table.products, recogniser, known=known, photos=total, workers=workers):
            part = photo_rows(seen, recogniser, index.to_vectors)
            parts += [] if part is None else [part]
            for product in seen:
                unchanged += product.is_unchanged
                if product.photos:
                    changed.append(product.given.sku)
                for row, reason, detail in product.problems:
                    table.rejected.add(reason, np.array([row]), detail)
                advance(len(product.given.photos))
    return joined(parts), changed, unchanged


def _write_rejected(directory: Path, table: TableProducts) -> int:
    """Write the rows of the tables that cannot be used, and return their number."""
    from prodrec.core.base.outputs import atomic_write
    from prodrec.core.data.prepare.write_lists import write_rejected

    rejected: Rejects = table.rejected
    with atomic_write(directory / REJECTED) as partial:
        write_rejected(partial, table.catalogue, rejected)
    return int((rejected.reason_M > 0).sum())
