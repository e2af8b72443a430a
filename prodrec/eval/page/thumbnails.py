"""The photos of the page: small JPEG files as data URIs, up to a budget of bytes."""

from __future__ import annotations

from base64 import b64encode

from prodrec.core.base import console
from prodrec.core.base.errors import ProdrecError
from prodrec.core.data.photos.thumbnails import jpeg_thumbnail
from prodrec.eval.page.inputs import PhotoSource

BUDGET = 2_500_000
"""Bytes of all data URIs together; a page of 10,000 classes then has less than 5 MB."""


class Thumbnails:
    """Makes the data URIs of photos. Sections take them in order of importance, because the budget may end.

    omitted: number of photos that the budget did not allow
    """

    def __init__(self, photos: PhotoSource | None, *, budget: int = BUDGET) -> None:
        self._photos = photos
        self._left = budget
        self._made: dict[tuple[int, int], str] = {}
        self.omitted = 0

    def uri(self, row: int, side: int) -> str | None:
        """Return the photo of a row in a box of `side` pixels; None without photos, budget, or a readable photo."""
        if self._photos is None or row < 0:
            return None
        uri = self._made.get((row, side))
        if uri is None:
            if self._left <= 0:
                self.omitted += 1
                return None
            try:
                jpeg = jpeg_thumbnail(self._photos.read(row), side)
            except ProdrecError as error:
                console.warn(f"{error} The page shows no photo in its place.")
                return None
            uri = self._made[row, side] = f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
        if len(uri) > self._left:
            self._left = 0  # a smaller photo of a later section must not come before this one
            self.omitted += 1
            return None
        self._left -= len(uri)  # every use is text of the page
        return uri
