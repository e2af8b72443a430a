"""From photos as shops and operating systems leave them to a dataset, and what is reported of them."""

from __future__ import annotations

import csv
import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prodrec.core.data.dataset import open_dataset
from prodrec.pipeline.prepare import prepare

LEAVES = ("Shirts", "Boots", "Mugs")


def jpeg(seed: int) -> bytes:
    stream = io.BytesIO()
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(patches).resize((64, 48), Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


def write_table(path: Path, images: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["id", "image", "title", "leaf"])
        rows.writerows([i, image, f"Item {i}", LEAVES[i % 3]] for i, image in enumerate(images))
    return path


def rejected(directory: Path) -> list[dict[str, str]]:
    with (directory / "rejected.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_fetched_photos_of_web_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(12):
        (tmp_path / "photos" / f"shirt {i}.jpg").write_bytes(jpeg(i))
    addresses = [f"https://cdn.shop.example/s/files/shirt%20{i}.jpg?v=17{i}" for i in range(12)]
    table = write_table(tmp_path / "products.csv", [*addresses, "https://cdn.shop.example/gone.jpg"])
    prepare([table], images=tmp_path / "photos", out=tmp_path / "d", workers=1)
    assert len(open_dataset(tmp_path / "d")) == 12
    assert "names matched with photos 12 by the base name of a web address" in capsys.readouterr().err
    (row,) = rejected(tmp_path / "d")
    assert "is named gone.jpg: fetch the photos first" in row["detail"]
    (tmp_path / "photos" / "gone.jpg").write_bytes(jpeg(99))  # what the sentence asks for
    prepare([table], images=tmp_path / "photos", out=tmp_path / "e", workers=1)
    assert len(open_dataset(tmp_path / "e")) == 13


@pytest.mark.parametrize("in_place", [False, True])
def test_a_damaged_photo_in_a_zip_is_one_rejected_row(tmp_path: Path, in_place: bool) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for i in range(12):
            archive.writestr(f"{i}.jpg", jpeg(i))
    data = bytearray((tmp_path / "p.zip").read_bytes())
    data[data.find(jpeg(5)) + len(jpeg(5)) - 40] ^= 1
    (tmp_path / "p.zip").write_bytes(data)
    table = write_table(tmp_path / "products.csv", [f"{i}.jpg" for i in range(12)])
    prepare([table], images=tmp_path / "p.zip", out=tmp_path / "d", workers=1, in_place=in_place)
    (row,) = rejected(tmp_path / "d")
    assert row["detail"] == "its bytes do not match the checksum of the zip file"
    photos = open_dataset(tmp_path / "d").photos
    assert photos is not None and len(photos) == 11
    assert all(photos.decode(i).shape == (3, 48, 64) for i in range(11))


def test_names_of_a_chinese_zip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"女装/连衣裙-{i}.jpg" for i in range(12)]
    directory = b""
    with (tmp_path / "p.zip").open("wb") as stream:
        for i, name in enumerate(names):
            raw, data, offset = name.encode("gb18030"), jpeg(i), stream.tell()
            entry = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(raw), 0)
            stream.write(b"PK\x03\x04" + entry + raw + data)
            directory += b"PK\x01\x02" + struct.pack("<H", 20) + entry + struct.pack("<HHHII", 0, 0, 0, 0, offset) + raw
        end = struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(directory), stream.tell(), 0)
        stream.write(directory + b"PK\x05\x06" + end)
    table = write_table(tmp_path / "products.csv", names)
    prepare([table], images=tmp_path / "p.zip", out=tmp_path / "d", workers=1)
    assert len(open_dataset(tmp_path / "d")) == 12
    assert "read as GB18030" in capsys.readouterr().err


def test_skipped_files_of_folders_are_rejected(tmp_path: Path) -> None:
    for i in range(12):
        folder = tmp_path / "photos" / LEAVES[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / (f"{i}.jpg" if i else "without-ending")).write_bytes(jpeg(i))
    (tmp_path / "photos" / "Mugs" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "photos" / "Mugs" / ".ipynb_checkpoints" / "2-checkpoint.jpg").write_bytes(jpeg(2))
    (tmp_path / "photos" / "Mugs" / "notes.txt").write_text("notes")
    prepare(images=tmp_path / "photos", out=tmp_path / "d", workers=1)
    data = open_dataset(tmp_path / "d")
    assert len(data) == 12 and data.header["counts"]["rows"]["in"] == 14
    with (tmp_path / "d" / "rejected.csv").open(encoding="utf-8") as stream:
        rejected = [(row["image"], row["reason"], row["detail"]) for row in csv.DictReader(stream)]
    assert rejected == [
        ("Mugs/.ipynb_checkpoints/2-checkpoint.jpg", "not a photo", "hidden file or folder"),
        ("Mugs/notes.txt", "not a photo", "neither the ending nor the first bytes of a photo"),
    ]
