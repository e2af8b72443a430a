"""Photos that a table contains, as in Parquet files of Hugging Face, written to one file.

Shapes: P photos.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from prodrec.core.base.texts import Texts
from prodrec.core.data.photos.sources import PhotoSource


def photos_from_blobs(names: Iterable[str], blobs: Iterable[bytes | None], archive: Path) -> PhotoSource:
    """Write photos one after another to the new file `archive`, and return them as a source in the given order.

    Both iterables are read once, side by side, so that the photos need not fit in memory.

    names: one for each photo, all different: rows of a table refer to photos by name
    blobs: the encoded photos; None is a photo without bytes, which decoding rejects as empty

    Raise ValueError if a name occurs twice or the numbers of names and photos differ, and FileExistsError.
    """
    offsets, lengths, offset = array("q"), array("q"), 0

    def written_names(stream: IO[bytes]) -> Iterator[str]:
        nonlocal offset
        for name, blob in zip(names, blobs, strict=True):
            data = b"" if blob is None else blob
            stream.write(data)
            offsets.append(offset)
            lengths.append(len(data))
            offset += len(data)
            yield name

    with archive.open("xb") as stream:
        names_P = Texts.from_strings(written_names(stream))
    repeated = names_P.first_duplicate()
    if repeated is not None:
        raise ValueError(f"photo {repeated} has the same name as an earlier one: {names_P[repeated]!r}")
    count = len(names_P)
    return PhotoSource(
        path=archive,
        archive=os.path.abspath(archive),  # noqa: PTH100 - resolves no links: they may be replaced
        names_P=names_P,
        offsets_P=np.array(offsets, np.int64),
        lengths_P=np.array(lengths, np.int64),
        deflated_P=np.zeros(count, bool),
        unreadable_P=np.zeros(count, np.uint8),
    )
