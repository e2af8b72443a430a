"""The photos that the rows of a table name, as the items that `prodrec predict` recognises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prodrec.core.base.errors import BadOption, BadPhoto
from prodrec.core.data.tables.columns import ColumnNames

Cells = dict[str, str]
MAX_POOLED = 128
"""Photos of one product: more are a mistaken column of products, and would not fit in memory."""


@dataclass
class Item:
    """What has one result: a photo file, or a row of a table or a product of it with its photo files.

    files:   the files to read; none if a row names no photo that exists
    reasons: why photos or rows cannot be used
    cells:   returns the row of the table; None without a table
    """

    files: list[Path]
    reasons: dict[Path | str, str] = field(default_factory=dict)
    cells: Callable[[], Cells] | None = None


def table_items(table: Path, *, images: Path | None, image: str | None, group_by: str, pool: bool) -> list[Item]:
    """Return an item for every photo that the rows of a table name, or with `pool` for every product.

    Raise NotFound, BadTable or BadOption if table, columns or folder cannot be used, BadPhoto if no photo exists.
    """
    from prodrec.core.data.photos.name_matching import match_names
    from prodrec.core.data.photos.sources import open_photos
    from prodrec.core.data.tables.photo_rows import read_photo_rows

    folder = images or table.parent
    if folder.is_file():
        raise BadOption(f"--images {folder} is a file; unpack it and name the folder of the photos.")
    rows = read_photo_rows(table, ColumnNames(image=image, group_by=group_by))
    source = open_photos(folder, unpack_into=None)
    names = rows.photos["image"]
    matches = match_names(source, names)
    items: list[Item] = []
    by_product: dict[str, Item] = {}
    for number, (position, row, product, name, problem) in enumerate(rows.photos.iter_rows()):
        item = by_product.get(product) if pool else None
        if item is None:
            item = Item([], cells=lambda position=position: rows.cells_of(position))  # type: ignore[misc]
            items.append(item)
            by_product[product] = item
        photo = int(matches.photo_W[number])
        if photo >= 0 and problem is None:
            item.files.append(source.path / source.names_P[photo])
        else:
            where = f"{table}, row {row}" if name is None else f"{table}, row {row}: {name}"
            item.reasons[where] = problem or matches.reasons[int(matches.reason_W[number])]
    _check(items, table, folder)
    return items


def _check(items: list[Item], table: Path, folder: Path) -> None:
    largest = max((len(item.files) for item in items), default=0)
    if largest > MAX_POOLED:
        raise BadOption(
            f"{table} has a product with {largest:,} photos, more than {MAX_POOLED}; name the column of products with "
            "--group-by."
        )
    if not largest:
        first = next((f"; {where}: {reason}" for item in items for where, reason in item.reasons.items()), "")
        raise BadPhoto(f"{table} names no photo of {folder}{first}; name the folder of the photos with --images.")
