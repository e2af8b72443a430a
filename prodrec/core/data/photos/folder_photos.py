"""The photos of a folder or an archive without a table, and every other file in it with the reason why it is skipped.

With a table, the names in the table decide, so nothing is skipped.

Shapes: P files of a source, S skipped files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.texts import Texts
from prodrec.core.data.photos.listing import CLOSED_FOLDER, READABLE, UNREADABLE_REASONS
from prodrec.core.data.photos.sources import PhotoSource

if TYPE_CHECKING:
    import polars as pl

PHOTO_EXTENSIONS = ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff", "avif")

HIDDEN, SYSTEM = "hidden file or folder", "system file"
NOT_A_PHOTO = "neither the ending nor the first bytes of a photo"
DATASET = "part of a dataset of prodrec"
UNSUPPORTED = "its format is not supported; convert it to JPEG or PNG"

_SYSTEM_NAMES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "$recycle.bin", "@eadir")
"""Files and folders that Windows, macOS and Synology write beside photos, in lower case."""

_UNSUPPORTED_EXTENSIONS = ("heic", "heif", "jxl", "jp2", "psd", "tga", "ico", "svg")

_HEADER, _INDEX = "/dataset.json", "/products.parquet"
"""Two files by which a dataset is recognised."""

_START_BYTES = 32


@dataclass(frozen=True, eq=False)
class FolderPhotos:
    """The photos of a source, and its other files: together they are all files below the folder or in the archive.

    names:         the photos, in order
    skipped_S:     the S other files, in order of their names
    skip_reason_S: uint8, the index in `skip_reasons` of why each is skipped
    skip_reasons:  every distinct reason
    """

    names: Texts
    skipped_S: Texts
    skip_reason_S: NDArray[np.uint8]
    skip_reasons: tuple[str, ...]


def find_folder_photos(source: PhotoSource) -> FolderPhotos:
    """Return the photos in `source` and the skipped files.

    A photo has the ending of a photo, or begins with the bytes of one: its ending may be missing or unknown. Hidden
    files, files in hidden folders (.ipynb_checkpoints), system files and datasets that `prepare` wrote are skipped.

    Raise OSError if a file without a photo's ending exists but cannot be read.
    """
    import polars as pl

    names = pl.DataFrame({"name": source.names_P.to_polars()})
    part = pl.col("name").str.to_lowercase()
    system = "|".join(pl.select(pl.lit(name).str.escape_regex()).item() for name in _SYSTEM_NAMES)
    ending = part.str.extract(r"\.([a-z0-9]+)$")
    flags = names.select(
        system=part.str.contains(rf"(?:^|/)(?:{system})(?:/|$)|(?:^|/)(?:\._|\.ds_store$)"),
        hidden=hidden_name("name"),
        ending=ending.is_in(PHOTO_EXTENSIONS).fill_null(value=False),
        unsupported=ending.is_in(_UNSUPPORTED_EXTENSIONS).fill_null(value=False),
    )
    is_dataset_P = _are_in_datasets(names["name"])
    is_system_P, is_hidden_P, has_ending_P, is_unsupported_P = (flags[name].to_numpy() for name in flags.columns)
    reasons = [HIDDEN, SYSTEM, DATASET, NOT_A_PHOTO, UNSUPPORTED, *UNREADABLE_REASONS]
    reason_P = np.full(len(source), -1, np.int64)  # -1 for a photo
    reason_P[is_hidden_P] = reasons.index(HIDDEN)
    reason_P[is_system_P] = reasons.index(SYSTEM)
    reason_P[is_dataset_P] = reasons.index(DATASET)
    is_unclear_P = (reason_P < 0) & ~has_ending_P
    is_unreadable_P = source.unreadable_P == CLOSED_FOLDER
    is_unreadable_P |= is_unclear_P & (source.unreadable_P != READABLE)
    reason_P[is_unreadable_P] = reasons.index(UNREADABLE_REASONS[READABLE]) + source.unreadable_P[is_unreadable_P]
    unclear = np.flatnonzero(is_unclear_P & ~is_unreadable_P)
    others = unclear[~_begin_as_photos(source, unclear)]
    reason_P[others] = np.where(is_unsupported_P[others], reasons.index(UNSUPPORTED), reasons.index(NOT_A_PHOTO))

    skipped, codes = [source.names_P.take(np.flatnonzero(reason_P >= 0))], [reason_P[reason_P >= 0]]
    for reason, not_listed in source.not_listed.items():
        skipped.append(not_listed)
        codes.append(np.full(len(not_listed), len(reasons)))
        reasons.append(reason)
    all_skipped = pl.concat([part_names.to_polars("name") for part_names in skipped])
    order = all_skipped.arg_sort().to_numpy()
    photos = source.names_P.take(np.flatnonzero(reason_P < 0))
    if source.unflagged is not None:  # names that were read in another encoding than they were sorted in
        photos = photos.take(photos.to_polars().arg_sort().to_numpy())
    return FolderPhotos(
        photos, Texts.from_polars(all_skipped[order]), np.concatenate(codes)[order].astype(np.uint8), tuple(reasons)
    )


def hidden_name(column: str) -> pl.Expr:
    """Return whether a name is hidden: the file, or a folder that it is in, begins with a dot."""
    import polars as pl

    return pl.col(column).str.contains(r"(?:^|/)\.[^/.]")


def _are_in_datasets(names: pl.Series) -> NDArray[np.bool_]:
    """Return whether each file belongs to a dataset that `prepare` wrote among the photos: bool [P]."""
    folders = [name.removesuffix(_HEADER) for name in names.filter(names.str.ends_with(_HEADER))]
    are_inside = np.zeros(len(names), bool)
    for folder in folders:
        inside = names.str.starts_with(f"{folder}/")
        if names.filter(inside).is_in([f"{folder}{_INDEX}"]).any():
            are_inside |= inside.to_numpy()
    return are_inside


def _begin_as_photos(source: PhotoSource, photo_p: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each of the readable files begins as a photo of a supported format: bool [p]."""
    if not len(photo_p):
        return np.zeros(0, bool)
    from prodrec.core.data.photos.upright import is_photo

    begins_p = np.zeros(len(photo_p), bool)
    for i, location in enumerate(source.locations(photo_p)):
        try:
            start = location.read_start(_START_BYTES)
        except PermissionError:
            continue
        begins_p[i] = is_photo(start)
    return begins_p
