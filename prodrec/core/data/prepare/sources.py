"""Open the catalogue of tables or of folders with the options of `prepare`, for a dataset and for its preview.

Shapes: M rows of all tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadOption
from prodrec.core.data.photos.folder_photos import find_folder_photos
from prodrec.core.data.photos.sources import PhotoSource
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.borrowed_titles import apply_borrowed_titles
from prodrec.core.data.tables.catalogue import Catalogue, read_catalogue
from prodrec.core.data.tables.columns import NO_SPLITS
from prodrec.core.data.tables.corrections import apply_corrections
from prodrec.core.data.tables.folder_catalogue import catalogue_from_folders

if TYPE_CHECKING:
    import polars as pl


def photo_folder(tables: Sequence[Path], images: Path | None) -> Path:
    """Return where photos are looked for: `images`, or the folder of the first table."""
    return images or tables[0].parent


def photos_in_tables(catalogue: Catalogue, options: PrepareOptions) -> pl.Series | None:
    """Return the names of the photos that the tables contain, or None if they only name photos that are files.

    Raise BadOption for photos inside tables with --in-place.
    """
    import polars as pl

    if not catalogue.photo_tables:
        return None
    names_M = catalogue.read_column("image")
    inside = pl.concat([names_M.filter(table.contains_photos(names_M)) for table, _ in catalogue.photo_tables])
    if not len(inside):  # paths without bytes, as Hugging Face writes photos that are not embedded
        return None
    if options.in_place:
        raise BadOption(
            f"{catalogue.photo_tables[0][0].path} contains the photos themselves, which --in-place cannot use; omit "
            "--in-place."
        )
    return inside.unique()


def unused_images_note(catalogue: Catalogue, images: Path) -> str:
    """Return a sentence on --images beside a table that contains the photos."""
    return f"{catalogue.photo_tables[0][0].path} contains the photos themselves, so --images {images} is ignored"


def read_tables(
    tables: Sequence[Path], options: PrepareOptions, scratch: Path, *, max_rows: int | None = None
) -> Catalogue:
    """Return the catalogue of the tables; see `read_catalogue` for `scratch`, `max_rows` and errors."""
    catalogue = read_catalogue(
        tables,
        options.columns,
        scratch=scratch,
        encoding=options.encoding,
        missing_values=options.missing_values,
        needs_image=options.inputs == "photos",
        max_rows=max_rows,
    )
    return _completed(catalogue, options, scratch)


def _completed(catalogue: Catalogue, options: PrepareOptions, scratch: Path) -> Catalogue:
    """Return the catalogue with the corrections of --corrections and the titles of --borrowed-titles."""
    if options.corrections is not None:
        catalogue = apply_corrections(catalogue, Path(options.corrections), scratch)
    if options.borrowed_titles is not None:
        catalogue = apply_borrowed_titles(catalogue, Path(options.borrowed_titles), scratch)
    return catalogue


def open_folders(photos: PhotoSource, source_path: Path, options: PrepareOptions, scratch: Path) -> Catalogue:
    """Return the catalogue of photos in folders, with the files that are no photos."""
    folder_photos, columns = find_folder_photos(photos), options.columns
    catalogue = catalogue_from_folders(
        folder_photos.names,
        source_path,
        columns.levels,
        scratch=scratch,
        ignore_splits=columns.split == NO_SPLITS,
        skipped=list(folder_photos.skipped_S),
        skip_reasons=[folder_photos.skip_reasons[reason] for reason in folder_photos.skip_reason_S.tolist()],
    )
    return _completed(catalogue, options, scratch)
