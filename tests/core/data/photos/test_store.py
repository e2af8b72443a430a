"""Photos in shards and in place: written, indexed and read by row."""

from __future__ import annotations

import os
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.texts import Texts
from prodrec.core.data.photos import store as store_module
from prodrec.core.data.photos.locations import PhotoLocations
from prodrec.core.data.photos.store import PhotoStore, ShardWriter, write_in_place, write_index

PHOTOS = [bytes([i]) * (i + 1) for i in range(40)]


def store(directory: Path, *, shard_bytes: int = 100, rows: list[int] | None = None) -> PhotoStore:
    with ShardWriter(directory, shard_bytes=shard_bytes) as writer:
        index = np.array([writer.append(data) for data in PHOTOS], np.int64)
    write_index(directory, index, np.array(rows) if rows is not None else np.arange(len(PHOTOS)))
    return PhotoStore.open(directory, in_place=False)


def files(folder: Path, *names: str) -> PhotoLocations:
    n = len(names)
    return PhotoLocations(
        str(folder), Texts.from_strings(names), np.zeros(n, np.int64), np.full(n, -1), np.zeros(n, bool)
    )


def test_photos_are_read_in_any_order(tmp_path: Path) -> None:
    photos = store(tmp_path)
    assert len(photos) == len(PHOTOS)
    assert [photos.read(row) for row in reversed(range(40))] == PHOTOS[::-1]
    sizes = [file.stat().st_size for file in sorted(tmp_path.glob("*.bin"))]
    assert len(sizes) > 5 and max(sizes) <= 100 and sum(sizes) == sum(map(len, PHOTOS))


def test_few_files_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_OPEN", 3)
    photos = store(tmp_path)
    opened, closed = [], []
    real_open, real_close = os.open, os.close
    monkeypatch.setattr(os, "open", lambda *arguments: opened.append(real_open(*arguments)) or opened[-1])
    monkeypatch.setattr(os, "close", lambda file: closed.append(file) or real_close(file))
    for _ in range(2):
        assert [photos.read(row) for row in range(40)] == PHOTOS
        assert len(opened) - len(closed) == 3
    photos.close()
    assert len(opened) == len(closed)


def test_a_photo_larger_than_a_shard(tmp_path: Path) -> None:
    photos = store(tmp_path, shard_bytes=5)
    assert [photos.read(row) for row in range(40)] == PHOTOS


def test_rows_share_photos_and_unused_photos_are_removed(tmp_path: Path) -> None:
    rows = [3, 3, 20, 7]
    photos = store(tmp_path, rows=rows)
    assert [photos.read(i) for i in range(4)] == [PHOTOS[row] for row in rows]
    assert sum(file.stat().st_size for file in tmp_path.glob("*.bin")) == 4 + 21 + 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.bin", "index.npy"]


def test_every_process_opens_its_own_files(tmp_path: Path) -> None:
    photos = store(tmp_path)
    photos.read(0)
    copy = pickle.loads(pickle.dumps(photos))
    assert copy.read(5) == PHOTOS[5]
    child = os.fork()
    if child == 0:
        right = photos.read(39) == PHOTOS[39]
        photos.close()
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert photos.read(1) == PHOTOS[1]  # closing in the child process left them open here


def test_reads_again_after_close(tmp_path: Path) -> None:
    photos = store(tmp_path)
    photos.read(0)
    photos.close()
    assert photos.read(0) == PHOTOS[0]


def test_decodes_to_upright_rgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (9, 5), 200).save(tmp_path / "a.png", exif=exif)
    write_in_place(tmp_path, files(tmp_path, "a.png"))
    photo = PhotoStore.open(tmp_path, in_place=True).decode(0)
    assert photo.shape == (3, 9, 5) and photo.dtype == np.uint8 and (photo == 200).all()
    assert photo.flags.c_contiguous and photo.flags.writeable
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(BadArtefact, match="photo of row 0: the file is empty"):
        PhotoStore.open(tmp_path, in_place=True).decode(0)
    (tmp_path / "a.png").unlink()
    with pytest.raises(BadArtefact, match="photo of row 0"):
        PhotoStore.open(tmp_path, in_place=True).decode(0)


def test_photos_in_place(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(b"packed" * 9) + packer.flush()
    (tmp_path / "archive").write_bytes(b"...one" + packed)
    lengths, deflated = np.array([len(packed), 3]), np.array([True, False])
    parts = PhotoLocations(str(tmp_path / "archive"), None, np.array([6, 3]), lengths, deflated)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "照片.jpg").write_bytes(b"two")
    (tmp_path / "b.jpg").write_bytes(b"three")
    inside = files(tmp_path, "sub/照片.jpg", "b.jpg", "sub/照片.jpg")
    for locations, expected in ((parts, [b"packed" * 9, b"one"]), (inside, [b"two", b"three", b"two"])):
        write_in_place(tmp_path, locations)
        assert [location.read() for location in locations] == expected
        photos = pickle.loads(pickle.dumps(PhotoStore.open(tmp_path, in_place=True)))
        assert [photos.read(row) for row in range(len(photos))] == expected


@pytest.mark.parametrize("file", ["index.npy", "00000.bin"])
def test_a_broken_file_is_named(tmp_path: Path, file: str) -> None:
    store(tmp_path)
    path = tmp_path / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadArtefact, match=f"{file}.*prepare the dataset again"):
        PhotoStore.open(tmp_path, in_place=False)
    path.unlink()
    with pytest.raises(BadArtefact, match=file):
        PhotoStore.open(tmp_path, in_place=False)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [(0, 2**31, "2147483648.bin does not exist"), (1, 2**63 - 1, "no place"), (2, -1, "no place")],
)
def test_places_that_do_not_exist(tmp_path: Path, column: int, value: int, message: str) -> None:
    store(tmp_path)
    index_N3 = np.load(tmp_path / "index.npy")
    index_N3[-1, column] = value
    np.save(tmp_path / "index.npy", index_N3)
    with pytest.raises(BadArtefact, match=f"{message}.*; prepare the dataset again"):
        PhotoStore.open(tmp_path, in_place=False)


def test_index_of_another_shape(tmp_path: Path) -> None:
    store(tmp_path)
    np.save(tmp_path / "index.npy", np.zeros((3, 2), np.int64))
    with pytest.raises(BadArtefact, match=r"expected int64 \[any, 3\]; prepare the dataset again"):
        PhotoStore.open(tmp_path, in_place=False)
    with pytest.raises(BadArtefact, match=r"in_place\.parquet"):
        PhotoStore.open(tmp_path, in_place=True)
