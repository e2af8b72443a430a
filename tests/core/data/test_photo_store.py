from __future__ import annotations

import os
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prodrec.core.data.photo_sources import Place
from prodrec.core.data.photo_store import PhotoStore, ShardWriter, write_in_place, write_index
from prodrec.core.errors import BadArtefact

PHOTOS = [bytes([i]) * (i + 1) for i in range(40)]


def store(directory: Path, *, shard_bytes: int = 100, rows: list[int] | None = None) -> PhotoStore:
    with ShardWriter(directory, shard_bytes=shard_bytes) as writer:
        places = np.array([writer.append(data) for data in PHOTOS], np.int64)
    write_index(directory, places, np.array(rows) if rows is not None else np.arange(len(PHOTOS)))
    return PhotoStore.open(directory, in_place=False)


def test_reads_what_was_written_in_any_order(tmp_path: Path) -> None:
    photos = store(tmp_path)
    assert len(photos) == len(PHOTOS)
    assert [photos.read(row) for row in reversed(range(40))] == PHOTOS[::-1]
    sizes = [file.stat().st_size for file in sorted(tmp_path.glob("*.bin"))]
    assert len(sizes) > 5 and max(sizes) <= 100 and sum(sizes) == sum(map(len, PHOTOS))


def test_a_photo_larger_than_a_shard(tmp_path: Path) -> None:
    photos = store(tmp_path, shard_bytes=5)
    assert [photos.read(row) for row in range(40)] == PHOTOS


def test_rows_share_photos_and_unused_ones_go(tmp_path: Path) -> None:
    rows = [3, 3, 20, 7]
    photos = store(tmp_path, rows=rows)
    assert [photos.read(i) for i in range(4)] == [PHOTOS[row] for row in rows]
    assert sum(file.stat().st_size for file in tmp_path.glob("*.bin")) == 4 + 21 + 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.bin", "index.npy"]


def test_opens_its_files_anew_in_every_process(tmp_path: Path) -> None:
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
    assert photos.read(1) == PHOTOS[1]  # the child's closing was the child's


def test_reads_again_after_close(tmp_path: Path) -> None:
    photos = store(tmp_path)
    photos.read(0)
    photos.close()
    assert photos.read(0) == PHOTOS[0]


def test_decodes_to_upright_rgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (9, 5), 200).save(tmp_path / "a.png", exif=exif)
    write_in_place(tmp_path, [Place(str(tmp_path / "a.png"))])
    photo = PhotoStore.open(tmp_path, in_place=True).decode(0)
    assert photo.shape == (3, 9, 5) and photo.dtype == np.uint8 and (photo == 200).all()
    assert photo.flags.c_contiguous and photo.flags.writeable
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(BadArtefact, match="photo of row 0: the file is empty"):
        PhotoStore.open(tmp_path, in_place=True).decode(0)
    (tmp_path / "a.png").unlink()
    with pytest.raises(BadArtefact, match="photo of row 0"):
        PhotoStore.open(tmp_path, in_place=True).decode(0)


def test_photos_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(b"packed" * 9) + packer.flush()
    (tmp_path / "archive").write_bytes(b"...one" + packed)
    (tmp_path / "照片.jpg").write_bytes(b"two")
    monkeypatch.chdir(tmp_path)
    places = [Place("archive", 3, 3), Place("照片.jpg"), Place("archive", 6, len(packed), deflated=True)]
    (tmp_path / "photos").mkdir()
    write_in_place(tmp_path / "photos", places)
    monkeypatch.chdir("/")
    photos = pickle.loads(pickle.dumps(PhotoStore.open(tmp_path / "photos", in_place=True)))
    assert len(photos) == 3
    assert [photos.read(row) for row in range(3)] == [b"one", b"two", b"packed" * 9]


@pytest.mark.parametrize("file", ["index.npy", "00000.bin"])
def test_what_is_broken_is_said(tmp_path: Path, file: str) -> None:
    store(tmp_path)
    path = tmp_path / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadArtefact, match=f"{file}.*prepare the dataset again"):
        PhotoStore.open(tmp_path, in_place=False)
    path.unlink()
    with pytest.raises(BadArtefact, match=file):
        PhotoStore.open(tmp_path, in_place=False)


def test_index_of_another_shape(tmp_path: Path) -> None:
    store(tmp_path)
    np.save(tmp_path / "index.npy", np.zeros((3, 2), np.int64))
    with pytest.raises(BadArtefact, match="shape"):
        PhotoStore.open(tmp_path, in_place=False)
    with pytest.raises(BadArtefact, match=r"in_place\.parquet"):
        PhotoStore.open(tmp_path, in_place=True)
