"""Every file of a folder or an archive without a table is a photo, or skipped for a reason."""

from __future__ import annotations

import io
import os
import random
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from prodrec.core.data.photos.decoding import find_photos
from prodrec.core.data.photos.folder_photos import (
    DATASET,
    HIDDEN,
    NOT_A_PHOTO,
    SYSTEM,
    UNSUPPORTED,
    FolderPhotos,
    find_folder_photos,
)
from prodrec.core.data.photos.name_matching import match_names
from prodrec.core.data.photos.sources import open_photos
from prodrec.core.data.tables.rejects import Rejects


def photo(kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)).save(stream, kind)
    return stream.getvalue()


FILES = {
    "Shirts/a.jpg": (photo(), None),
    "Shirts/broken.PNG": (b"", None),  # decoding rejects it
    "Shirts/without-ending": (photo("PNG"), None),
    "Shirts/a.jpg_large": (photo("WEBP"), None),
    "Shirts/v1.2": (photo("GIF"), None),
    "Shirts/notes.txt": (b"notes", NOT_A_PHOTO),
    "Shirts/empty": (b"", NOT_A_PHOTO),
    "Shirts/a.JPG.part": (b"\x00" * 300, NOT_A_PHOTO),
    "labels.csv": (b"id\n", NOT_A_PHOTO),
    "Shirts/IMG_1.HEIC": (b"\0\0\0\x18ftypheic", UNSUPPORTED),
    "Shirts/IMG_2.heic": (photo(), None),
    "BMX bikes": (b"BMX bikes for all ages", NOT_A_PHOTO),
    "Shirts/bitmap": (photo("BMP"), None),
    "Shirts/tiff": (photo("TIFF"), None),
    ".ipynb_checkpoints/a-checkpoint.jpg": (photo(), HIDDEN),
    "Shirts/.ipynb_checkpoints/b.jpg": (photo(), HIDDEN),
    "Shirts/.hidden.jpg": (photo(), HIDDEN),
    ".DS_Store": (b"x", SYSTEM),
    "Shirts/.DS_Store": (b"x", SYSTEM),
    "Shirts/Thumbs.db": (photo(), SYSTEM),
    "Shirts/desktop.ini": (b"", SYSTEM),
    "__MACOSX/Shirts/._a.jpg": (b"", SYSTEM),
    "Shirts/._a.jpg": (photo(), SYSTEM),
    "Shirts/@eaDir/a.jpg/thumb.jpg": (photo(), SYSTEM),
    "Shirts/Icons/icon.jpg": (photo(), None),
}


def write(path: Path, kind: str, files: dict[str, bytes]) -> Path:
    if kind == "folder":
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    elif kind == "tar":
        with tarfile.open(path, "w") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if kind == "deflated" else zipfile.ZIP_STORED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    return path


def skipped(found: FolderPhotos) -> dict[str, str]:
    return {name: found.skip_reasons[code] for name, code in zip(found.skipped_S, found.skip_reason_S, strict=True)}


@pytest.mark.parametrize("kind", ["folder", "tar", "stored", "deflated"])
def test_files_are_photos_or_skipped_for_a_reason(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "photos", kind, {name: data for name, (data, _) in FILES.items()})
    found = find_folder_photos(open_photos(path, unpack_into=None))
    assert found.names == sorted(name for name, (_, reason) in FILES.items() if reason is None)
    assert skipped(found) == {name: reason for name, (_, reason) in FILES.items() if reason is not None}
    assert found.skipped_S == sorted(skipped(found))


@pytest.mark.parametrize("seed", range(20))
def test_photos_and_skipped_files_are_all_files(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    parts = [
        "a",
        ".git",
        "Thumbs.db",
        "..x",
        "b.jpg",
        "C.JPEG",
        "d.",
        "e.tar.gz",
        "__MACOSX",
        "f g",
        "é.png",
        "._h.jpg",
    ]
    files: dict[str, bytes] = {}
    for _ in range(30):
        name = "/".join([*draw.choices(["dir", ".dir", "@eaDir", "dir.jpg"], k=draw.randrange(3)), draw.choice(parts)])
        files[name] = draw.choice([b"", b"text", photo("PNG")])
    names = sorted(files)
    path = write(tmp_path / "photos", draw.choice(["folder", "tar", "stored"]), files)
    found = find_folder_photos(open_photos(path, unpack_into=None))
    assert sorted([*found.names, *found.skipped_S]) == names
    hidden = [name for name in found.names if any(part.startswith(".") and part[1] != "." for part in name.split("/"))]
    assert hidden == []


def test_a_table_may_name_hidden_files_exactly(tmp_path: Path) -> None:
    path = write(tmp_path / "photos", "folder", {".cache/a.jpg": b"1", "x/a.jpg": b"2", ".cache/b.jpg": b"3"})
    source = open_photos(path, unpack_into=None)
    matches = match_names(source, pl.Series([".cache/a.jpg", "a.jpg", "b.jpg"]))
    assert [source.names_P[i] if i >= 0 else None for i in matches.photo_W] == [".cache/a.jpg", "x/a.jpg", None]


def test_a_folder_without_permission_is_skipped_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "photos", "folder", {"closed/a.jpg": photo(), "open/b.jpg": photo()})
    scandir = os.scandir

    def refuse(folder: str) -> object:
        if folder.endswith("closed"):
            raise PermissionError(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_folder_photos(open_photos(path, unpack_into=None))
    assert found.names == ["open/b.jpg"]
    assert skipped(found) == {"closed/": "it is a folder without permission to read it"}


def test_symbolic_links_in_a_tar_are_listed_but_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        link = tarfile.TarInfo("x/a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "../secret.jpg"
        tar.addfile(link)
    source = open_photos(tmp_path / "p.tar", unpack_into=None)
    assert source.names_P == ["x/a.jpg"] and source.unreadable_P.all()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_pipes_are_listed_but_not_opened(tmp_path: Path) -> None:
    """Opening one would wait for a writer, for ever."""
    folder = write(tmp_path / "photos", "folder", {"a/x.jpg": photo()})
    os.mkfifo(folder / "a/pipe")
    os.mkfifo(folder / "a/pipe.jpg")
    (folder / "a/self").symlink_to("self")
    source = open_photos(folder, unpack_into=None)
    found = find_folder_photos(source)
    assert found.names == ["a/pipe.jpg", "a/x.jpg"] and set(skipped(found)) == {"a/pipe", "a/self"}
    rejected = Rejects.for_rows(3)
    photos = find_photos(source, pl.Series(["a/pipe.jpg", "a/x.jpg", "a/self"]), rejected)
    assert photos.rows_W.tolist() == [1] and photos.counts == {"as listed": 1}
    assert rejected.counts() == {"undecodable": 2}
    assert "it is a pipe, a socket or a device" in rejected.details.to_list()
    assert "it is a link that leads nowhere" in rejected.details.to_list()


def test_a_dataset_among_the_photos_is_skipped(tmp_path: Path) -> None:
    """`prepare --images . --force` finds what it wrote before."""
    written = ["dataset/dataset.json", "dataset/products.parquet", "dataset/photos/00000.bin", "dataset/long-tail.png"]
    others = ["dataset-2/dataset.json", "dataset-2/a.jpg", "boot/b.jpg"]
    path = write(tmp_path / "photos", "folder", dict.fromkeys([*written, *others], photo()))
    found = find_folder_photos(open_photos(path, unpack_into=None))
    assert skipped(found) == dict.fromkeys(written, DATASET)
    assert found.names == sorted(others)
