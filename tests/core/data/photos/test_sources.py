"""Folders and archives as one list of photos, and the photo that a name in a table refers to."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodrec.core.base.errors import BadOption, NotFound
from prodrec.core.data.photos.folder_photos import find_folder_photos
from prodrec.core.data.photos.listing import UNKNOWN_COMPRESSION, UNREADABLE_REASONS
from prodrec.core.data.photos.name_matching import match_names
from prodrec.core.data.photos.name_search import NO_MATCH
from prodrec.core.data.photos.partial_listing import list_for
from prodrec.core.data.photos.sources import PhotoSource, open_photos

FILES = {"a.jpg": b"one", "sub/B.JPG": b"two" * 500, "sub/deep/c.png": b"three", "x/d.jpg": b"4", "y/d.jpg": b"5"}
NOISE = {"__MACOSX/._a.jpg": b"", "sub/._B.JPG": b"", ".DS_Store": b""}


def folder(path: Path) -> Path:
    for name, data in {**FILES, **NOISE}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def tar(path: Path, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in {**FILES, **NOISE}.items():
            member = tarfile.TarInfo("./" + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def zipped(path: Path, compression: int) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.mkdir("sub")
        for name, data in {**FILES, **NOISE}.items():
            archive.writestr(name, data)
    return path


@pytest.fixture(params=["folder", "tar", "tar.gz", "tar.xz", "stored zip", "deflated zip", "no ending"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> PhotoSource:
    (tmp_path / "unpacked").mkdir()
    path = {
        "folder": lambda: folder(tmp_path / "photos"),
        "tar": lambda: tar(tmp_path / "p.tar"),
        "tar.gz": lambda: tar(tmp_path / "p.tar.gz", "w:gz"),
        "tar.xz": lambda: tar(tmp_path / "p.txz", "w:xz"),
        "stored zip": lambda: zipped(tmp_path / "p.zip", zipfile.ZIP_STORED),
        "deflated zip": lambda: zipped(tmp_path / "p.zip", zipfile.ZIP_DEFLATED),
        "no ending": lambda: tar(tmp_path / "photos"),
    }[request.param]()
    return open_photos(path, unpack_into=tmp_path / "unpacked")


def test_names_and_bytes(source: PhotoSource) -> None:
    everything = FILES | NOISE
    assert source.names_P == sorted(everything)
    for photo, name in enumerate(source.names_P):
        assert [location.read() for location in source.locations(np.array([photo]))] == [everything[name]]
    assert find_folder_photos(source).names == sorted(FILES)


def test_names_are_matched_exactly_then_ignoring_case_then_by_base_name(source: PhotoSource) -> None:
    photos = {
        "a.jpg": "a.jpg",
        "./a.jpg": "a.jpg",
        "A.JPG": "a.jpg",  # ignoring case
        "sub\\B.JPG": "sub/B.JPG",
        "SUB/b.jpg": "sub/B.JPG",
        "b.jpg": "sub/B.JPG",  # by base name
        "images/c.png": "sub/deep/c.png",
        "x/d.jpg": "x/d.jpg",
    }
    matches = match_names(source, pl.Series(list(photos)))
    assert [source.names_P[photo] for photo in matches.photo_W] == list(photos.values())
    assert matches.counts(np.arange(8)) == {"as listed": 4, "ignoring case": 2, "by base name": 2}


def test_names_without_a_photo(source: PhotoSource) -> None:
    names = ["d.jpg", "a.png", "d", "https://shop.example/z.jpg", None, "z/a.jpg/", "c.jpeg"]
    matches = match_names(source, pl.Series(names, dtype=pl.String))
    reasons = matches.reasons.gather(matches.reason_W).to_list()
    assert matches.photo_W.tolist() == [NO_MATCH] * len(names)
    assert reasons[0] == "2 photos have this name apart from folders"
    assert reasons[1].startswith("no such photo in ")
    assert reasons[2] == "2 photos have this name apart from folders"
    assert reasons[3].endswith(" is named z.jpg: fetch the photos first")
    assert reasons[4] == "the table names no photo"
    assert len(matches.reasons) == len(set(reasons)) == 4  # each is stored once, however many photos are missing


def test_exact_names_come_before_case(tmp_path: Path) -> None:
    for name in ("p/a.jpg", "p/A.jpg", "p/b.JPG", "p/B.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    source = open_photos(tmp_path / "p", unpack_into=None)
    if len(source) < 4:
        pytest.skip("this file system ignores case")
    matches = match_names(source, pl.Series(["A.jpg", "a.jpg", "b.jpg"]))
    assert [source.names_P[i] for i in matches.photo_W[:2]] == ["A.jpg", "a.jpg"]
    assert matches.photo_W[2] == NO_MATCH
    assert matches.reasons[int(matches.reason_W[2])] == "2 photos have this name apart from case"


def test_composed_and_decomposed_letters(tmp_path: Path) -> None:
    (tmp_path / "cafe\u0301.jpg").write_bytes(b"x")
    matches = match_names(open_photos(tmp_path, unpack_into=None), pl.Series(["caf\u00e9.jpg"]))
    assert matches.photo_W.tolist() == [0]


def test_absolute_names_inside_the_folder(tmp_path: Path) -> None:
    source = open_photos(folder(tmp_path / "photos"), unpack_into=None)
    inside, outside = str(tmp_path / "photos" / "sub" / "B.JPG"), str(tmp_path / "secret.jpg")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    matches = match_names(source, pl.Series([inside, outside, "../secret.jpg"]))
    assert matches.photo_W.tolist() == [source.names_P.index("sub/B.JPG"), NO_MATCH, NO_MATCH]


def test_links(tmp_path: Path) -> None:
    folder(tmp_path / "photos")
    (tmp_path / "photos" / "sub" / "back").symlink_to(tmp_path / "photos")  # a circle
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "e.jpg").write_bytes(b"e")
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "photos" / "itself").symlink_to(tmp_path / "photos" / "itself")
    source = open_photos(tmp_path / "photos", unpack_into=None)
    assert source.names_P == sorted([*FILES, *NOISE, "linked/e.jpg", "gone.jpg", "itself"])
    broken = [name for name, number in zip(source.names_P, source.unreadable_P, strict=True) if number]
    assert broken == ["gone.jpg", "itself"]
    assert {UNREADABLE_REASONS[number] for number in source.unreadable_P} == {"", "it is a link that leads nowhere"}


def test_names_that_are_not_utf_8_are_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").write_bytes(b"1")
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"2")
    except OSError:
        pytest.skip("this file system allows no such names")
    source = open_photos(tmp_path, unpack_into=None)
    assert source.names_P == ["a.jpg"]
    assert "1 files in" in capsys.readouterr().err
    found = find_folder_photos(source)
    assert found.names == ["a.jpg"] and found.skipped_S == ["caf\\udce9.jpg"]
    assert [found.skip_reasons[code] for code in found.skip_reason_S] == ["its name is not UTF-8"]


def test_the_last_of_two_tar_members_with_one_name_is_listed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        for name, data in (("a.jpg", b"old"), ("b.jpg", b"b"), ("a.jpg", b"newer")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    source = open_photos(tmp_path / "p.tar", unpack_into=None)
    assert [location.read() for location in source.locations(np.arange(len(source)))] == [b"newer", b"b"]
    found = find_folder_photos(source)
    assert [found.skip_reasons[code] for code in found.skip_reason_S] == [
        "a later file of the archive has the same name"
    ]


def test_hard_links_in_a_tar(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        member = tarfile.TarInfo("a.jpg")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("b.jpg")
        link.type, link.linkname = tarfile.LNKTYPE, "a.jpg"
        archive.addfile(link)
        link.name, link.linkname = "c.jpg", "b.jpg"
        archive.addfile(link)
    source = open_photos(tmp_path / "p.tar", unpack_into=None)
    assert [location.read() for location in source.locations(np.arange(3))] == [b"abc"] * 3


def test_zip_compression_that_cannot_be_read(tmp_path: Path) -> None:
    source = open_photos(zipped(tmp_path / "p.zip", zipfile.ZIP_BZIP2), unpack_into=None)
    assert {UNREADABLE_REASONS[number] for number in source.unreadable_P} == {UNREADABLE_REASONS[UNKNOWN_COMPRESSION]}
    assert "compression" in UNREADABLE_REASONS[UNKNOWN_COMPRESSION]


def test_unusable_sources(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"--images .*nowhere does not exist"):
        open_photos(tmp_path / "nowhere", unpack_into=None)
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff" * 300)
    with pytest.raises(BadOption, match="neither a folder nor a readable tar or zip"):
        open_photos(tmp_path / "a.jpg", unpack_into=None)
    packed = tar(tmp_path / "p.tar.gz", "w:gz")
    with pytest.raises(BadOption, match="--in-place cannot use the compressed"):
        open_photos(packed, unpack_into=None)
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(BadOption, match="broken or truncated"):
        open_photos(packed, unpack_into=tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"Rar!\x1a\x07\x00" + bytes(100), "is a RAR archive, which is not read; unpack it and give its folder"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "is a 7z archive"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "is a Zstandard archive"),
        (b"id,image\n1,a.jpg\n", "is neither a folder nor a readable tar or zip file"),
    ],
)
def test_archives_that_are_not_read(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "photos"
    path.write_bytes(data)
    for scratch in (None, tmp_path):
        with pytest.raises(BadOption, match=message):
            list_for(9.0, path, scratch=scratch)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.jpg", b"x" * 100)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadOption, match="is a zip file whose end is missing"):
        open_photos(path, unpack_into=None)


def test_hard_links_in_a_tar_beside_other_entries(tmp_path: Path) -> None:
    """Symbolic links and files with one name stay what they are if the tar also has hard links."""
    path = tmp_path / "photos.tar"
    with tarfile.open(path, "w") as archive:
        for name, data in (("a/1.jpg", b"one"), ("a/2.jpg", b"two"), ("a/2.jpg", b"three")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, kind in (
            ("a/hard.jpg", tarfile.LNKTYPE),
            ("a/soft.jpg", tarfile.SYMTYPE),
            ("a/2.jpg", tarfile.LNKTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "a/1.jpg" if kind == tarfile.LNKTYPE else "1.jpg"
            archive.addfile(member)
    source = open_photos(path, unpack_into=None)
    assert source.names_P == ["a/1.jpg", "a/2.jpg", "a/hard.jpg", "a/soft.jpg"]
    assert [UNREADABLE_REASONS[code] for code in source.unreadable_P][:3] == ["", "", ""]
    assert "unpack the tar file" in UNREADABLE_REASONS[source.unreadable_P[3]]
    assert [location.read() for location in source.locations(np.arange(3))] == [b"one", b"one", b"one"]
    assert [list(names) for names in source.not_listed.values()] == [["a/2.jpg", "a/2.jpg"]]
