"""Results of decoding photos, the bytes that are stored, and the errors of a machine."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from prodrec.core.base.errors import NotFound, ProdrecError
from prodrec.core.data.photos.examine import ExaminedChunk, PhotoRules, examine, examine_chunks
from prodrec.core.data.photos.locations import PhotoLocation
from prodrec.core.data.photos.photo_table import PhotoTable
from prodrec.core.data.photos.upright import TRUNCATED, UNDECODABLE, open_upright

PATCHES = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PATCHES).resize((64, 48), Image.Resampling.BICUBIC)
ORIENTATION = 0x0112


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(open_upright(data)[0].convert("RGB"))


def examine_files(tmp_path: Path, *photos: bytes, **rules: int | bool) -> ExaminedChunk:
    locations = []
    for i, data in enumerate(photos):
        (tmp_path / str(i)).write_bytes(data)
        locations.append(PhotoLocation(str(tmp_path / str(i))))
    return examine(locations, PhotoRules(**rules))  # type: ignore[arg-type]


def reasons(photos: PhotoTable) -> dict[int, str]:
    """The reason why a photo is unusable, by photo."""
    problems = list(photos.problems)
    return {photo: problems[number][0] for photo, number in enumerate(photos.problem_P.tolist()) if number}


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOENT, NotFound), (errno.ESTALE, ProdrecError), (errno.EIO, ProdrecError)]
)
def test_a_photo_that_this_machine_cannot_read_is_not_undecodable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[ProdrecError]
) -> None:
    def read(location: PhotoLocation) -> bytes:
        raise OSError(number, os.strerror(number), location.path)

    monkeypatch.setattr(PhotoLocation, "read", read)
    with pytest.raises(kind, match=r"a\.jpg was listed but .* photos must be readable on all machines") as caught:
        examine([PhotoLocation(str(tmp_path / "a.jpg"))], PhotoRules())
    assert os.strerror(number) in str(caught.value) and type(caught.value) is kind


def test_small_plain_jpegs_keep_their_bytes(tmp_path: Path) -> None:
    colour, grey = encode(PICTURE, "JPEG", quality=70), encode(PICTURE.convert("L"), "JPEG", quality=70)
    chunk = examine_files(tmp_path, colour, grey, size=48)
    assert chunk.encoded == [colour, grey]
    assert chunk.photos.sizes_P2.tolist() == [[64, 48], [64, 48]]


def test_all_other_photos_are_encoded_as_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    photos = [encode(PICTURE), encode(PICTURE, "JPEG", exif=exif), encode(PICTURE.convert("CMYK"), "JPEG")]
    chunk = examine_files(tmp_path, *photos, size=48)
    for data, size in zip(chunk.encoded, [(64, 48), (48, 64), (64, 48)], strict=True):
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.mode, image.size, image.getexif().get(ORIENTATION)) == (
                "JPEG",
                "RGB",
                size,
                None,
            )
    assert np.abs(pixels(chunk.encoded[0]).astype(int) - np.asarray(PICTURE)).mean() < 1.5


def test_large_photos_are_resized_once(tmp_path: Path) -> None:
    chunk = examine_files(
        tmp_path, encode(PICTURE.resize((400, 300)), "JPEG", quality=95), encode(PICTURE.resize((20, 90))), size=30
    )
    assert chunk.photos.sizes_P2.tolist() == [[40, 30], [20, 90]]
    expected = np.asarray(PICTURE.resize((400, 300)).resize((40, 30), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(pixels(chunk.encoded[0]).astype(int) - expected).mean() < 2


def test_in_place_stores_nothing(tmp_path: Path) -> None:
    chunk = examine_files(tmp_path, encode(PICTURE), size=20, store=False)
    assert chunk.encoded == [b""] and chunk.photos.sizes_P2.tolist() == [[64, 48]]


def test_hashes_depend_only_on_pixels(tmp_path: Path) -> None:
    """The same pixels in other formats are the same photo; one other pixel or another shape is not."""
    other = PICTURE.copy()
    other.putpixel((5, 5), (1, 2, 3))
    grey = PICTURE.convert("L")
    chunk = examine_files(
        tmp_path,
        *(encode(PICTURE), encode(PICTURE, "BMP"), encode(PICTURE.convert("RGBA")), encode(other)),
        *(encode(grey), encode(grey.convert("RGB"))),
        encode(Image.new("RGB", (4, 2))),
        encode(Image.new("RGB", (2, 4))),
    )
    digests = [digest.tobytes() for digest in chunk.photos.digests_PD]
    assert digests[0] == digests[1] == digests[2] != digests[3]
    assert digests[4] == digests[5] and len(set(digests)) == 5
    assert chunk.photos.hashes_P[0] == chunk.photos.hashes_P[1]


def test_problems_are_recorded_by_photo(tmp_path: Path) -> None:
    good = encode(PICTURE)
    truncated = encode(PICTURE.resize((400, 300)))[:9000]
    chunk = examine_files(tmp_path, good, b"nothing", good, truncated, pixel_limit=200_000)
    assert reasons(chunk.photos) == {1: UNDECODABLE, 3: TRUNCATED}
    assert [bool(data) for data in chunk.encoded] == [True, False, True, False]
    unreadable = examine([PhotoLocation(str(tmp_path / "0"), 0, 9, deflated=True)], PhotoRules())
    assert reasons(unreadable.photos) == {0: UNDECODABLE}


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    locations = []
    for i in range(150):
        path = tmp_path / f"{i}.png"
        path.write_bytes(encode(PICTURE.rotate(i)) if i % 50 else b"broken")
        locations.append(PhotoLocation(str(path)))
    alone = list(examine_chunks(locations, PhotoRules(size=32), workers=1))
    shared = list(examine_chunks(locations, PhotoRules(size=32), workers=2))
    assert len(alone) == len(shared) == 3
    for a, b in zip(alone, shared, strict=True):
        assert reasons(a.photos) == reasons(b.photos) and a.encoded == b.encoded
        assert a.photos.problems == b.photos.problems
        assert np.array_equal(a.photos.digests_PD, b.photos.digests_PD)
        assert np.array_equal(a.photos.hashes_P, b.photos.hashes_P)
        assert np.array_equal(a.photos.sizes_P2, b.photos.sizes_P2)
