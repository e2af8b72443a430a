"""Listings that end after some seconds."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import polars as pl
import pytest

from prodrec.core.base.errors import BadOption, NotFound
from prodrec.core.data.photos.partial_listing import list_for, list_for_names, named_photos
from prodrec.core.data.photos.sources import open_photos

MINUTE = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six files, two of them in a folder of their own."""
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "deep/e.jpg", "deep/f.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 1000)
    return tmp_path / "photos"


def pack(folder: Path, archive: Path, mode: str) -> Path:
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]  # any mode
        tar.add(folder, ".")
    return archive


def test_enough_time_lists_what_prepare_lists(folder: Path, tmp_path: Path) -> None:
    tar, packed = pack(folder, tmp_path / "a.tar", "w"), pack(folder, tmp_path / "a.tgz", "w:gz")
    for source in (folder, tar, packed):
        (scratch := tmp_path / f"scratch-{source.name}").mkdir()
        (unpacked := tmp_path / f"unpacked-{source.name}").mkdir()
        listing = list_for(MINUTE, source, scratch=scratch)
        assert listing.is_complete and listing.source.names_P == open_photos(source, unpack_into=unpacked).names_P


def test_hard_links_of_a_tar_are_listed(folder: Path, tmp_path: Path) -> None:
    (folder / "again.jpg").hardlink_to(folder / "a.jpg")
    listing = list_for(MINUTE, pack(folder, tmp_path / "a.tar", "w"), scratch=tmp_path)
    offset_of = dict(zip(listing.source.names_P, listing.source.offsets_P.tolist(), strict=True))
    assert offset_of["again.jpg"] == offset_of["a.jpg"] and len(offset_of) == 7


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_no_time_lists_one_file(folder: Path, tmp_path: Path, mode: str) -> None:
    listing = list_for(0, folder, scratch=None)
    assert not listing.is_complete and len(listing.source) == 1
    (tmp_path / "scratch").mkdir()
    listing = list_for(0, pack(folder, tmp_path / "a.tar", mode), scratch=tmp_path / "scratch")
    assert not listing.is_complete and len(listing.source) == 1


def test_names_are_looked_up(folder: Path) -> None:
    names = ["deep/f.jpg", "https://cdn.example/x/a.jpg?v=1", str(folder / "b.jpg"), None, "/c.jpg"]
    listing = list_for_names(MINUTE, folder, pl.Series(names), scratch=None)
    assert sorted(listing.source.names_P) == ["a.jpg", "b.jpg", "c.jpg", "deep/f.jpg"] and not listing.is_complete
    listing = list_for_names(MINUTE, folder, pl.Series([*names, "../photos/d.jpg", "lost.jpg"]), scratch=None)
    assert listing.is_complete and len(listing.source) == 6
    (folder.parent / "outside.jpg").write_bytes(b"")
    listing = list_for_names(0, folder, pl.Series(["deep/e.jpg", "../outside.jpg"]), scratch=None)
    assert "deep/e.jpg" in listing.source.names_P and "../outside.jpg" not in listing.source.names_P


def test_errors_are_those_of_open_photos(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(gzip.compress(b"no tar" * 1000)[:-20])
    (text := tmp_path / "text.tar").write_text("no tar" * 1000)
    with pytest.raises(NotFound, match="does not exist"):
        list_for(MINUTE, tmp_path / "gone", scratch=tmp_path)
    with pytest.raises(BadOption, match="cannot be unpacked"):
        list_for(MINUTE, broken, scratch=tmp_path)
    with pytest.raises(BadOption, match="neither a folder nor a readable tar"):
        list_for(MINUTE, text, scratch=tmp_path)


def test_named_photos() -> None:
    assert list(named_photos(Path("shop"), ["b.jpg", "a.jpg"]).names_P) == ["a.jpg", "b.jpg"]
