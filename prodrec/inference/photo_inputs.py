"""Read photos in all forms that users pass: paths, bytes of image files, Pillow images and arrays."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prodrec.core.base.errors import BadPhoto, NotFound
from prodrec.core.data.photos.upright import is_photo, to_upright

if TYPE_CHECKING:
    from torch import Tensor

Photo: TypeAlias = "str | Path | bytes | Image.Image | NDArray[np.uint8]"
"""A file, the bytes of a file, a Pillow image, or an array: uint8 [H, W], [H, W, 3] or [H, W, 4], red first."""


SIGNATURE_BYTES = 18
"""Bytes at the start of a file by which `is_photo` recognises it."""


def as_list(photos: Photo | Sequence[Photo]) -> list[Photo]:
    """Return one photo, or several, as a list. An array of four dimensions is a batch of photos."""
    if isinstance(photos, np.ndarray):
        return list(photos) if photos.ndim == 4 else [photos]
    if isinstance(photos, str | Path | bytes | Image.Image):
        return [photos]
    return list(photos)


def decode_photo(photo: Photo, number: int, *, stored_side: int | None) -> Tensor:
    """Return a photo as `prepare` would store it, uint8 [3, H, W]. Raise NotFound, or BadPhoto with its name.

    number:      of the photo among those that are recognised, which is the name of one without a path
    stored_side: as in `read_photo`
    """
    from prodrec.core.data.photos.views import read_photo

    try:
        return read_photo(encoded_bytes(photo), stored_side=stored_side)
    except BadPhoto as error:
        name = str(photo) if isinstance(photo, str | Path) else f"photo {number} (from 0)"
        raise BadPhoto(f"{name}: {error}") from error


def encoded_bytes(photo: Photo) -> bytes:
    """Return the photo as the bytes of an image file.

    Pillow images and arrays become PNG, which changes no pixel: photos of all forms are then decoded and resized by the
    same code. A Pillow image is turned upright as its EXIF data requires, like the file that it was opened from.

    Raise NotFound if a file does not exist, BadPhoto if it cannot be read, or an array or an image is not a photo.
    """
    if isinstance(photo, bytes):
        return photo
    if isinstance(photo, str | Path):
        return read_bytes(Path(photo))
    stream = io.BytesIO()
    image = _upright(photo) if isinstance(photo, Image.Image) else _to_image(photo)
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _upright(image: Image.Image) -> Image.Image:
    """Return a Pillow image upright in RGB or grey. Raise BadPhoto if it is empty or cannot be loaded or converted."""
    try:
        if 0 in image.size:
            raise ValueError("it has no pixels")
        return to_upright(image)
    except (OSError, ValueError) as error:
        raise BadPhoto(
            f"a Pillow image of mode {image.mode} and size {image.width}x{image.height} cannot be used ({error}); "
            "expected an image that Pillow converts to RGB."
        ) from error


def _to_image(array: NDArray[np.uint8]) -> Image.Image:
    """Return an array as a Pillow image. Raise BadPhoto if it has another dtype or shape than a photo."""
    shape = list(np.shape(array))
    is_photo = len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or not is_photo or 0 in shape:
        dtype = getattr(array, "dtype", type(array).__name__)
        raise BadPhoto(f"an array of {dtype} {shape} is not a photo; expected uint8 [height, width, 3], red first.")
    return Image.fromarray(np.ascontiguousarray(array))


def photo_files(paths: Sequence[Path]) -> list[Path]:
    """Return the photo files, with those in each folder and below in place of it, sorted by their path.

    A file is a photo by its content. Raise NotFound if a path does not exist, BadPhoto if a folder has no photo.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise NotFound(f"photo {path} does not exist.")
            files.append(path)
            continue
        inside = [file for file in sorted(path.rglob("*")) if file.is_file() and _begins_as_photo(file)]
        if not inside:
            raise BadPhoto(f"folder {path} contains no photo; give photo files, or a folder of them.")
        files += inside
    return files


def _begins_as_photo(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return is_photo(stream.read(SIGNATURE_BYTES))
    except OSError:
        return True  # so that it is rejected by name


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a photo file. Raise NotFound if it does not exist, BadPhoto if it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"photo {path} does not exist.") from error
    except OSError as error:
        raise BadPhoto(f"photo {path} cannot be read: {error.strerror}.") from error
