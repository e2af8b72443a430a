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


def photos_from_blobs(photos: Iterable[tuple[str, bytes]], archive: Path, *, path: Path) -> PhotoSource:
    """Write photos one after another to the new file `archive`, and return them as a source in the given order.

    They are read one at a time, so that they need not fit in memory.

    photos: the name and the bytes of each; all names differ, because rows of a table refer to photos by name
    path:   the table that contains them, for messages

    Raise ValueError if a name occurs twice, and FileExistsError.
    """
    offsets, lengths, offset = array("q"), array("q"), 0

    def written_names(stream: IO[bytes]) -> Iterator[str]:
        nonlocal offset
        for name, data in photos:
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
        path=path,
        archive=os.path.abspath(archive),  # noqa: PTH100 - resolves no links: they may be replaced
        names_P=names_P,
        offsets_P=np.array(offsets, np.int64),
        lengths_P=np.array(lengths, np.int64),
        deflated_P=np.zeros(count, bool),
        unreadable_P=np.zeros(count, np.uint8),
    )
