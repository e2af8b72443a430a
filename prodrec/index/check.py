"""Find the rows of an index that cannot be used.

Shapes: N photos, d numbers of a vector.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from prodrec.core.base.errors import ProdrecError
from prodrec.core.base.wording import counted, listed
from prodrec.index.photos import THUMBNAIL_SIDE
from prodrec.index.product_index import ProductIndex

LENGTH_TOLERANCE = 0.01
"""Difference of the length of a vector from 1 that rounding to float16 does not explain."""
THUMBNAILS = 200
"""Thumbnails that are decoded, evenly chosen: decoding a million would take minutes."""


def find_problems(index: ProductIndex) -> list[str]:
    """Return a sentence for each kind of problem; none for a sound index."""
    try:
        return _problems(index)
    except ProdrecError:
        return ["its rows cannot be read, because files are missing or damaged"]


def _problems(index: ProductIndex) -> list[str]:
    import polars as pl

    problems = []
    frame, vectors_Nd = index.table.frame_and_vectors("sku", "photo", "photos", "predicted", "path", "words")
    length_N = np.linalg.norm(vectors_Nd.astype(np.float32), axis=1)
    bad = frame["sku"].filter(pl.Series(~(np.abs(length_N - 1) < LENGTH_TOLERANCE)))
    if len(bad):
        problems.append(f"{counted(len(bad), 'vector is', 'vectors are')} not of length 1: of {_names(bad)}")
    repeated = frame.filter(frame.select("sku", "photo").is_duplicated())["sku"]
    if len(repeated):
        problems.append(
            f"{counted(len(repeated), 'row has', 'rows have')} the number of another: of {_names(repeated)}"
        )
    numbered = frame.group_by("sku").agg(
        is_right=(pl.col("photo").sort() == pl.int_range(pl.len())).all() & (pl.col("photos") == pl.len()).all()
    )
    wrong = numbered.filter(~pl.col("is_right"))["sku"]
    if len(wrong):
        problems.append(f"{counted(len(wrong), 'product has', 'products have')} not all of its photos: {_names(wrong)}")
    described = frame["words"].filter(frame["words"] != "")
    if len(described) and not index.table.with_words(described[0].split(), 1):
        problems.append("words find no product")
    chosen = frame.select("sku", "photo")[np.unique(np.linspace(0, len(frame) - 1, THUMBNAILS).astype(np.int64))]
    broken = [sku for sku, photo in chosen.iter_rows() if not _is_thumbnail(index.thumbnail(sku, photo))]
    if broken:
        problems.append(f"{counted(len(broken), 'thumbnail is', 'thumbnails are')} no photo: of {listed(broken)}")
    return problems


def _names(skus: object) -> str:
    return listed(sorted(set(skus)))  # type: ignore[call-overload]  # a column of text


def _is_thumbnail(data: bytes | None) -> bool:
    try:
        with Image.open(io.BytesIO(data or b"")) as image:
            image.load()
            return max(image.size) <= THUMBNAIL_SIDE
    except (OSError, SyntaxError):
        return False
