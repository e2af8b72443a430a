"""Web addresses, absolute names and names without an ending, and the photos that they refer to."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodrec.core.base.texts import Texts
from prodrec.core.data.photos.name_matching import match_names
from prodrec.core.data.photos.sources import PhotoSource


def listing(*names: str) -> PhotoSource:
    zeros = np.zeros(len(names), np.int64)
    texts = Texts.from_strings(sorted(names))
    return PhotoSource(Path("photos"), None, texts, zeros, zeros - 1, zeros.astype(bool), zeros.astype(np.uint8))


def match(listed: list[str], names: list[str]) -> list[str]:
    """The photo of every name, or why it has none."""
    source = listing(*listed)
    matches = match_names(source, pl.Series(names, dtype=pl.String))
    return [
        source.names_P[photo] if photo >= 0 else matches.reasons[int(reason)]
        for photo, reason in zip(matches.photo_W, matches.reason_W, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("https://cdn.shop.example/s/files/1/shirt.jpg?v=1612", "shirt.jpg"),
        ("http://shop.example/shirt.jpg#main", "shirt.jpg"),
        ("//cdn.shop.example/a/shirt.jpg", "shirt.jpg"),
        ("HTTPS://SHOP.example/A/SHIRT.JPG", "shirt.jpg"),
        ("https://shop.example/red%20shirt.jpg", "red shirt.jpg"),
        ("https://shop.example/caf%C3%A9.jpg", "café.jpg"),
        ("https://shop.example/caf%E9.jpg", "caf%E9.jpg"),  # Latin-1, which curl writes unchanged
        ("https://shop.example/as%20is.jpg", "as%20is.jpg"),
        ("https://shop.example/x.jpg?v=1", "x.jpg?v=1"),  # as wget writes it
        ("https://shop.example/only.jpg", "only.jpg?v=7"),
        ("https://shop.example/only.jpg?v=8", "only.jpg?v=7"),
        ("https://shop.example/windows.jpg?v=8", "windows.jpg@v=8"),
        ("https://shop.example/img.php?id=3", "img.php?id=3"),
        ("https://i.shop.example/abc123", "abc123.png"),  # saved with an ending
        ("https://shop.example/media/m/b/mb01.jpg", "m/b/mb01.jpg"),
        ("/m/b/mb01.jpg", "m/b/mb01.jpg"),
        ("/pub/media/catalog/product/m/b/mb01.jpg", "m/b/mb01.jpg"),
        ("//shop.example/1163", "1163.jpg"),
        ("1163", "1163.jpg"),
        ("img/1163", "1163.jpg"),
        ("file:///home/me/shirt.jpg", "shirt.jpg"),
        ("C:\\photos\\shirt.jpg", "shirt.jpg"),
        ("files/shirt.jpg?v=3", "shirt.jpg"),
        ("a#1.jpg", "a#1.jpg"),
    ],
)
def test_names_of_shops(name: str, photo: str) -> None:
    listed = ["shirt.jpg", "red shirt.jpg", "café.jpg", "caf%E9.jpg", "as%20is.jpg", "x.jpg?v=1", "x.jpg?v=2"]
    listed += ["only.jpg?v=7", "windows.jpg@v=8", "img.php?id=3", "img.php?id=4", "abc123.png", "m/b/mb01.jpg"]
    listed += ["1163.jpg", "a#1.jpg"]
    assert match(listed, [name]) == [photo]
    assert match(listed[::-1], [name, "shirt.jpg"])[0] == photo


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("https://shop.example/a/none.jpg?v=1", "and no photo in photos is named none.jpg: fetch the photos first"),
        ("https://shop.example/", "ends in no file name"),
        ("none.jpg", "no such photo in photos"),
        ("a.png", "no such photo in photos"),  # another ending is never tried
        ("https://shop.example/a.png", "no photo in photos is named a.png"),
        ("b", "2 photos have this name apart from ending"),
        ("a.jpg.1", "no such photo in photos"),
        ("a#2.jpg", "no such photo in photos"),
        ("", "no such photo in photos"),
        ("/", "no such photo in photos"),
    ],
)
def test_names_without_a_photo(name: str, reason: str) -> None:
    assert reason in match(["a.jpg", "b.jpg", "b.png"], [name])[0]


def test_the_folders_of_an_address_decide() -> None:
    listed = ["shop.example/a/1.jpg", "shop.example/b/1.jpg", "c/d/1.jpg"]
    addresses = ["https://shop.example/a/1.jpg", "http://shop.example/b/1.jpg?v=2", "https://x.example/z/c/d/1.jpg"]
    assert match(listed, addresses) == listed
    assert "3 photos have this name apart from folders" in match(listed, ["https://x.example/e/1.jpg"])[0]


def test_several_addresses_never_take_one_photo() -> None:
    """The remedy that the reason names, photos in the folders of their addresses, gives each its own."""
    addresses = ["https://a.example/x/1.jpg", "https://b.example/y/1.jpg"]
    for reason in match(["1.jpg"], addresses):
        assert reason.startswith("2 different names in the table end in 1.jpg, and only one photo has that name")
        assert "wget --force-directories" in reason
    fetched = [address.removeprefix("https://") for address in addresses]  # as wget --force-directories names them
    assert match(fetched, addresses) == fetched


def test_numbered_shops_are_not_one_host() -> None:
    addresses = ["https://shop1.example/x/1.jpg", "https://shop2.example/x/1.jpg"]
    assert all(reason.startswith("2 different names") for reason in match(["1.jpg"], addresses))


def test_folders_decide_whose_photo_it_is() -> None:
    photos = match(["x/1.jpg"], ["https://a.example/x/1.jpg", "https://b.example/y/1.jpg"])
    assert photos[0] == "x/1.jpg" and photos[1].startswith("2 different names")
    photos = match(["x/1.jpg"], ["https://a.example/x/1.jpg", "https://b.example/x/1.jpg"])
    assert all(reason.startswith("2 different names") for reason in photos)
    photos = match(["files/1.jpg"], ["files/1.jpg", "other/1.jpg", "https://h.example/files/1.jpg"])
    assert photos[0] == photos[2] == "files/1.jpg" and photos[1].startswith("3 different names")


@pytest.mark.parametrize(
    "names",
    [
        [
            "https://a.example/x/1.jpg?v=1",
            "http://a.example/x/1.jpg?v=2",
            "//A.example/x/1.jpg",
        ],  # versions of one photo
        ["https://img01.a.example/x/1.jpg", "https://img2.a.example/x/1.jpg"],
        ["https://a.example/x/1.jpg", "1.jpg"],
        ["/m/b/1.jpg", "m/b/1.jpg", "media/m/b/1.jpg"],
        ["images/1.jpg", "images/1.jpg"],
        ["1", "https://a.example/x/1.jpg"],
    ],
)
def test_names_that_mean_the_same_photo(names: list[str]) -> None:
    assert match(["1.jpg", "2.jpg"], names) == ["1.jpg"] * len(names)


def test_a_query_that_names_the_photo() -> None:
    addresses = ["https://a.example/image?id=1", "https://a.example/image?id=2"]
    assert all(reason.startswith("2 different names") for reason in match(["image.jpg"], addresses))
    assert match(["image?id=1", "image?id=2"], addresses) == ["image?id=1", "image?id=2"]


def test_superfluous_slashes() -> None:
    assert match(["a/1.jpg", "b/1.jpg"], ["a//1.jpg", "a/1.jpg", ".//b///1.jpg"]) == ["a/1.jpg", "a/1.jpg", "b/1.jpg"]


def test_one_address_in_two_notations() -> None:
    addresses = ["https://h.example/a/red%20boot+1.jpg", "https://h.example/a/red boot%2B1.jpg"]
    assert match(["red boot+1.jpg"], addresses) == ["red boot+1.jpg"] * 2


def test_counts_by_rule() -> None:
    names = [
        "a.jpg",
        "A.jpg",
        "x/a.jpg",
        "https://h.example/b.jpg",
        "https://h.example/z/c.jpg?v=1",
        "c",
        None,
        "d.jpg",
    ]
    matches = match_names(listing("a.jpg", "b.jpg", "c.jpg"), pl.Series(names))
    assert matches.counts(np.flatnonzero(matches.photo_W >= 0)) == {
        "as listed": 1,
        "ignoring case": 1,
        "by the path of a web address": 1,
        "by base name": 1,
        "by the base name of a web address": 1,
        "with an ending added": 1,
    }


@pytest.mark.parametrize("seed", range(30))
def test_no_two_addresses_of_different_paths_share_a_photo(seed: int) -> None:
    draw = random.Random(seed)
    hosts, folders, bases = ["a.example", "b.example"], ["", "x/", "y/", "x/y/"], ["1.jpg", "2.jpg", "3"]
    listed = {
        draw.choice(["", "a.example/"]) + draw.choice(folders) + draw.choice(["1.jpg", "2.jpg", "3.png"])
        for _ in range(6)
    }
    names = [f"https://{draw.choice(hosts)}/{draw.choice(folders)}{draw.choice(bases)}" for _ in range(12)]
    owners: dict[str, set[str]] = {}
    for name, photo in zip(names, match(sorted(listed), names), strict=True):
        if photo in listed:
            owners.setdefault(photo, set()).add(name)
    assert all(len(addresses) == 1 for addresses in owners.values())


def test_many_names_with_one_base_name() -> None:
    """Every photo of a shop may be named 1.jpg, in a folder of its product."""
    listed = [f"{i:05d}/1.jpg" for i in range(20_000)]
    names = [f"https://h.example/media/{name}" for name in listed]
    assert match(listed, names) == listed
