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
from prodrec.core.data.photos.sources import PROBLEMS, PhotoSource, open_photos, photo_names

FILES = {"a.jpg": b"one", "sub/B.JPG": b"two" * 500, "sub/deep/c.png": b"three", "x/d.jpg": b"4", "y/d.jpg": b"5"}
NOISE = {"__MACOSX/._a.jpg": b"", "sub/._B.JPG": b"", ".DS_Store": b""}


def folder(place: Path) -> Path:
    for name, data in {**FILES, **NOISE}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


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
    where = {
        "folder": lambda: folder(tmp_path / "photos"),
        "tar": lambda: tar(tmp_path / "p.tar"),
        "tar.gz": lambda: tar(tmp_path / "p.tar.gz", "w:gz"),
        "tar.xz": lambda: tar(tmp_path / "p.txz", "w:xz"),
        "stored zip": lambda: zipped(tmp_path / "p.zip", zipfile.ZIP_STORED),
        "deflated zip": lambda: zipped(tmp_path / "p.zip", zipfile.ZIP_DEFLATED),
        "no ending": lambda: tar(tmp_path / "photos"),
    }[request.param]()
    return open_photos(where, unpack_into=tmp_path / "unpacked")


def test_names_and_bytes(source: PhotoSource) -> None:
    assert source.names == sorted(FILES)
    for photo, name in enumerate(source.names):
        assert [place.read() for place in source.places(np.array([photo]))] == [FILES[name]]
    assert photo_names(source) == sorted(FILES)


def test_lookup(source: PhotoSource) -> None:
    asked = {
        "a.jpg": "a.jpg",
        "./a.jpg": "a.jpg",
        "A.JPG": "a.jpg",  # ignoring case
        "sub\\B.JPG": "sub/B.JPG",
        "SUB/b.jpg": "sub/B.JPG",
        "b.jpg": "sub/B.JPG",  # by base name
        "images/c.png": "sub/deep/c.png",
        "x/d.jpg": "x/d.jpg",
    }
    found_W = source.find(pl.Series(list(asked))).found_W
    assert [source.names[photo] for photo in found_W] == list(asked.values())


def test_what_is_not_found(source: PhotoSource) -> None:
    asked = ["d.jpg", "a.png", "a", "https://shop.example/a.jpg", None, "z/a.jpg/", "c.jpeg"]
    lookup = source.find(pl.Series(asked, dtype=pl.String))
    why = [lookup.reasons[reason] for reason in lookup.why_W]
    assert lookup.found_W.tolist() == [-1] * len(asked)
    assert why[0] == "2 photos have this name apart from folders"
    assert why[1].startswith("no such photo in ")
    assert "nothing is downloaded" in why[3]
    assert why[4] == "the table names no photo"
    assert len(lookup.reasons) == len(set(why)) == 4  # each stands once, however many photos are missing


def test_exact_names_come_before_case(tmp_path: Path) -> None:
    for name in ("p/a.jpg", "p/A.jpg", "p/b.JPG", "p/B.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    source = open_photos(tmp_path / "p", unpack_into=None)
    if len(source) < 4:
        pytest.skip("this file system does not tell cases apart")
    lookup = source.find(pl.Series(["A.jpg", "a.jpg", "b.jpg"]))
    assert [source.names[i] for i in lookup.found_W[:2]] == ["A.jpg", "a.jpg"]
    assert lookup.found_W[2] == -1 and lookup.reasons[lookup.why_W[2]] == "2 photos have this name apart from case"


def test_composed_and_decomposed_letters(tmp_path: Path) -> None:
    (tmp_path / "cafe\u0301.jpg").write_bytes(b"x")
    lookup = open_photos(tmp_path, unpack_into=None).find(pl.Series(["caf\u00e9.jpg"]))
    assert lookup.found_W.tolist() == [0]


def test_absolute_names_inside_the_folder(tmp_path: Path) -> None:
    source = open_photos(folder(tmp_path / "photos"), unpack_into=None)
    inside, outside = str(tmp_path / "photos" / "sub" / "B.JPG"), str(tmp_path / "secret.jpg")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    found_W = source.find(pl.Series([inside, outside, "../secret.jpg"])).found_W
    assert found_W.tolist() == [source.names.index("sub/B.JPG"), -1, -1]


def test_links(tmp_path: Path) -> None:
    folder(tmp_path / "photos")
    (tmp_path / "photos" / "sub" / "back").symlink_to(tmp_path / "photos")  # leads in a circle
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "e.jpg").write_bytes(b"e")
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "photos" / "itself").symlink_to(tmp_path / "photos" / "itself")
    source = open_photos(tmp_path / "photos", unpack_into=None)
    assert source.names == sorted([*FILES, "linked/e.jpg", "gone.jpg", "itself"])
    broken = [name for name, problem in zip(source.names, source.problems, strict=True) if problem]
    assert broken == ["gone.jpg", "itself"]
    assert {PROBLEMS[problem] for problem in source.problems} == {"", "it is a link that leads nowhere"}


def test_names_that_are_no_utf_8_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").write_bytes(b"1")
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"2")
    except OSError:
        pytest.skip("this file system knows no such names")
    assert open_photos(tmp_path, unpack_into=None).names == ["a.jpg"]
    assert "1 files in" in capsys.readouterr().err


def test_of_two_members_of_a_tar_with_one_name_the_last_counts(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        for name, data in (("a.jpg", b"old"), ("b.jpg", b"b"), ("a.jpg", b"newer")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    source = open_photos(tmp_path / "p.tar", unpack_into=None)
    assert [place.read() for place in source.places(np.arange(len(source)))] == [b"newer", b"b"]


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
    assert [place.read() for place in source.places(np.arange(3))] == [b"abc"] * 3


def test_zip_compression_that_cannot_be_read(tmp_path: Path) -> None:
    source = open_photos(zipped(tmp_path / "p.zip", zipfile.ZIP_BZIP2), unpack_into=None)
    assert {PROBLEMS[problem] for problem in source.problems} == {PROBLEMS[2]} and "compression" in PROBLEMS[2]


def test_sources_that_are_none(tmp_path: Path) -> None:
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
