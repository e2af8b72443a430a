"""Photos in a zip file: damaged bytes, wrong sizes and members that inflate to far more than a photo."""

from __future__ import annotations

import io
import random
import resource
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from prodrec.core.base.errors import BadArtefact
from prodrec.core.data.photos import locations
from prodrec.core.data.photos.examine import PhotoRules, examine
from prodrec.core.data.photos.locations import DamagedPhoto, PhotoLocation
from prodrec.core.data.photos.sources import PhotoSource, open_photos
from prodrec.core.data.photos.store import PhotoStore, write_in_place

CHECKSUM = "its bytes do not match the checksum of the zip file"


def bmp(seed: int = 0, side: int = 40) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 9, (side, side, 3), np.uint8)).save(stream, "BMP")
    return stream.getvalue()


def write_zip(path: Path, compression: int, **files: bytes) -> PhotoSource:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.bmp", data)
    return open_photos(path, unpack_into=None)


def reasons(source: PhotoSource) -> list[str]:
    table = examine(list(source.locations(np.arange(len(source)))), PhotoRules()).photos
    problems = list(table.problems)
    return [problems[code][1] for code in table.problem_P]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_photo_is_rejected(tmp_path: Path, compression: int, seed: int) -> None:
    path = tmp_path / "p.zip"
    source = write_zip(path, compression, a=bmp(1), b=bmp(2), c=bmp(3))
    damaged = random.Random(seed).randrange(3)
    data = bytearray(path.read_bytes())
    start, length = int(source.offsets_P[damaged]), int(source.lengths_P[damaged])
    data[random.Random(seed).randrange(start + 60, start + length)] ^= 0x55
    path.write_bytes(data)
    found = reasons(source)
    assert [bool(reason) for reason in found] == [i == damaged for i in range(3)]
    assert "checksum" in found[damaged] or "inflate" in found[damaged]
    if compression == zipfile.ZIP_STORED:
        assert found[damaged] == CHECKSUM


def test_a_photo_that_is_cut_off(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "p.zip", zipfile.ZIP_STORED, a=bmp())
    (tmp_path / "p.zip").write_bytes((tmp_path / "p.zip").read_bytes()[:500])
    assert reasons(source) == [CHECKSUM]


def test_a_bomb_is_rejected_before_it_is_inflated(tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.bmp", "w") as stream:
        for _ in range(400):
            stream.write(bytes(1_000_000))
    assert path.stat().st_size < 500_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = open_photos(path, unpack_into=None)
    (reason,) = reasons(source)
    assert reason.startswith("it inflates to 400,000,000 bytes, and a compressed photo may have 268,435,456")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


@pytest.mark.parametrize("declared", [10, 1_000, 4_853, 4_855, 10_000])
def test_a_wrong_size_in_the_directory_of_the_zip(tmp_path: Path, declared: int) -> None:
    data = bmp()
    assert len(data) == 4_854
    path = tmp_path / "p.zip"
    write_zip(path, zipfile.ZIP_DEFLATED, a=data)
    content = bytearray(path.read_bytes())
    entry = content.find(b"PK\x01\x02")
    struct.pack_into("<I", content, entry + 24, declared)
    path.write_bytes(content)
    (reason,) = reasons(open_photos(path, unpack_into=None))
    assert (
        reason == CHECKSUM
        if declared > len(data)
        else reason == (f"it inflates to more than the {declared:,} bytes that the zip file declares")
    )


@pytest.mark.parametrize("offset", [1, 30, 10_000, 2_000_000_000])
def test_a_wrong_offset_in_the_directory_of_the_zip(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "p.zip"
    write_zip(path, zipfile.ZIP_STORED, a=bmp())
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.find(b"PK\x01\x02") + 42, offset)
    path.write_bytes(content)
    assert reasons(open_photos(path, unpack_into=None)) == [CHECKSUM]


def test_the_remedy_for_a_large_photo_is_to_unpack_the_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locations, "MAX_INFLATED_BYTES", 5_000)
    source = write_zip(tmp_path / "p.zip", zipfile.ZIP_DEFLATED, a=bmp(), b=bmp(side=80))
    first, second = reasons(source)
    assert not first and "; unpack the zip file and give its folder" in second
    zipfile.ZipFile(tmp_path / "p.zip").extractall(tmp_path / "photos")
    assert reasons(open_photos(tmp_path / "photos", unpack_into=None)) == ["", ""]


def test_without_a_recorded_size_inflating_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locations, "MAX_INFLATED_BYTES", 1_000)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(bytes(1_001)) + packer.flush()
    (tmp_path / "a").write_bytes(packed)
    with pytest.raises(DamagedPhoto, match="more than the 1,000 bytes that a compressed photo may have"):
        PhotoLocation(str(tmp_path / "a"), 0, len(packed), deflated=True).read()
    monkeypatch.undo()
    with pytest.raises(DamagedPhoto, match="compressed bytes are incomplete"):
        PhotoLocation(str(tmp_path / "a"), 0, len(packed) - 1, deflated=True).read()


def test_empty_files_in_a_zip(tmp_path: Path) -> None:
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert reasons(write_zip(tmp_path / "p.zip", compression, a=b"")) == ["the file is empty"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_dataset_in_place_checks_the_zip_at_every_read(tmp_path: Path, compression: int) -> None:
    source = write_zip(tmp_path / "p.zip", compression, a=bmp(1), b=bmp(2))
    write_in_place(tmp_path, source.locations(np.array([1, 0, 1])))
    store = PhotoStore.open(tmp_path, in_place=True)
    assert [store.read(row) for row in range(3)] == [bmp(2), bmp(1), bmp(2)]
    assert store.decode(0).shape == (3, 40, 40)
    content = bytearray((tmp_path / "p.zip").read_bytes())
    content[int(source.offsets_P[1] + source.lengths_P[1]) - 1] ^= 0xFF
    (tmp_path / "p.zip").write_bytes(content)
    with pytest.raises(BadArtefact, match="photo of row 0: it"):
        store.decode(0)


def test_datasets_in_place_of_earlier_versions_have_no_checksums(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "p.zip", zipfile.ZIP_DEFLATED, a=bmp(1))
    write_in_place(tmp_path, source.locations(np.array([0])))
    path = tmp_path / "in_place.parquet"
    assert pl.read_parquet(path).columns == ["file", "offset", "length", "deflated", "size", "crc"]
    pl.read_parquet(path).drop("size", "crc").write_parquet(path)
    assert PhotoStore.open(tmp_path, in_place=True).read(0) == bmp(1)


@pytest.mark.parametrize("deflated", [True, False])
def test_the_first_bytes(tmp_path: Path, deflated: bool) -> None:
    compression = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    noise = np.random.default_rng(0).bytes(100_000)
    source = write_zip(tmp_path / "p.zip", compression, a=noise, b=b"short")
    starts = [location.read_start(40) for location in source.locations(np.arange(2))]
    assert starts == [noise[:40], b"short"]


def test_a_file_that_is_too_large_for_a_photo_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(1 << 40)  # takes no space
    with pytest.raises(DamagedPhoto, match="it has 1,099,511,627,776 bytes, and a photo may have 1,073,741,824"):
        PhotoLocation(str(tmp_path / "a.jpg")).read()
    with pytest.raises(DamagedPhoto, match="it has 2,147,483,648 bytes"):
        PhotoLocation(str(tmp_path / "a.jpg"), 10, 1 << 31).read()
