"""Open the catalogue of tables or of folders with the options of `prepare`, for a dataset and for its preview."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prodrec.core.data.photos.folder_photos import find_folder_photos
from prodrec.core.data.photos.sources import PhotoSource
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.catalogue import Catalogue, read_catalogue
from prodrec.core.data.tables.folder_catalogue import catalogue_from_folders


def read_tables(
    tables: Sequence[Path], options: PrepareOptions, scratch: Path, *, max_rows: int | None = None
) -> Catalogue:
    """Return the catalogue of the tables; see `read_catalogue` for `scratch`, `max_rows` and errors."""
    return read_catalogue(
        tables,
        options.columns,
        scratch=scratch,
        encoding=options.encoding,
        missing_values=options.missing_values,
        needs_image=options.inputs == "photos",
        max_rows=max_rows,
    )


def open_folders(photos: PhotoSource, source_path: Path, levels: Sequence[str], scratch: Path) -> Catalogue:
    """Return the catalogue of photos in folders, with the files that are no photos."""
    folder_photos = find_folder_photos(photos)
    return catalogue_from_folders(
        folder_photos.names,
        source_path,
        levels,
        scratch=scratch,
        skipped=list(folder_photos.skipped_S),
        skip_reasons=[folder_photos.skip_reasons[reason] for reason in folder_photos.skip_reason_S.tolist()],
    )
