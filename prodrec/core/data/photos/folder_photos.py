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

_SYSTEM_NAMES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "$recycle.bin", "@eadir")
"""Files and folders that Windows, macOS and Synology write beside photos, in lower case."""

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

    def skip_counts(self) -> dict[str, int]:
        """Return the number of skipped files by reason, most frequent first."""
        counts = np.bincount(self.skip_reason_S, minlength=len(self.skip_reasons)).tolist()
        by_reason = {reason: count for reason, count in zip(self.skip_reasons, counts, strict=True) if count}
        return dict(sorted(by_reason.items(), key=lambda item: -item[1]))

    def skip_summary(self) -> str:
        """Return one sentence on the skipped files, with an example for each reason; empty if there are none."""
        if not len(self.skipped_S):
            return ""
        parts = []
        for reason, count in self.skip_counts().items():
            first = int(np.argmax(self.skip_reason_S == self.skip_reasons.index(reason)))
            parts.append(f"{count:,} {reason}, such as {self.skipped_S[first]}")
        return f"{len(self.skipped_S):,} files are skipped: {'; '.join(parts)}"


def find_folder_photos(source: PhotoSource) -> FolderPhotos:
    """Return the photos in `source` and the skipped files.

    A photo has the ending of a photo, or begins with the bytes of one: its ending may be missing or unknown. Hidden
    files, files in hidden folders (.ipynb_checkpoints) and system files are skipped whatever they contain.

    Raise OSError if a file without a photo's ending exists but cannot be read.
    """
    import polars as pl

    names = pl.DataFrame({"name": source.names_P.to_polars()})
    part = pl.col("name").str.to_lowercase()
    system = "|".join(pl.select(pl.lit(name).str.escape_regex()).item() for name in _SYSTEM_NAMES)
    flags = names.select(
        system=part.str.contains(rf"(?:^|/)(?:{system})(?:/|$)|(?:^|/)(?:\._|\.ds_store$)"),
        hidden=hidden_name("name"),
        ending=part.str.extract(r"\.([a-z]+)$").is_in(PHOTO_EXTENSIONS).fill_null(value=False),
    )
    is_system_P, is_hidden_P, has_ending_P = (flags[name].to_numpy() for name in ("system", "hidden", "ending"))
    reasons = [HIDDEN, SYSTEM, NOT_A_PHOTO, UNREADABLE_REASONS[CLOSED_FOLDER]]
    reason_P = np.full(len(source), -1, np.int64)  # -1 for a photo
    reason_P[is_hidden_P] = 0
    reason_P[is_system_P] = 1
    reason_P[source.unreadable_P == CLOSED_FOLDER] = 3
    unclear = np.flatnonzero((reason_P < 0) & ~has_ending_P)
    reason_P[unclear[~_begin_as_photos(source, unclear)]] = 2

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


def photo_names(source: PhotoSource) -> Texts:
    """Return the names of the photos in `source`, for a catalogue without tables."""
    return find_folder_photos(source).names


def hidden_name(column: str) -> pl.Expr:
    """Return whether a name is hidden: the file, or a folder that it is in, begins with a dot."""
    import polars as pl

    return pl.col(column).str.contains(r"(?:^|/)\.[^/.]")


def _begin_as_photos(source: PhotoSource, photo_p: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each of the files begins as a photo of a supported format: bool [p]."""
    if not len(photo_p):
        return np.zeros(0, bool)
    from prodrec.core.data.photos.upright import is_photo

    is_readable_p = source.unreadable_P[photo_p] == READABLE
    begins_p = np.zeros(len(photo_p), bool)
    for i, location in zip(np.flatnonzero(is_readable_p), source.locations(photo_p[is_readable_p]), strict=True):
        try:
            start = location.read_start(_START_BYTES)
        except PermissionError:
            continue
        begins_p[i] = is_photo(start)
    return begins_p
