"""Flat texts behave like the tuple of strings that they stand for, at every size, and survive the disk."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

from prodrec.core.base import byte_hashes
from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.texts import Texts, factorize

STRINGS = ("bags", "衣服 / 上衣", "", "T恤", "👗 dress", "bag", 'a\nb,\t"c"', "x" * 50)


@pytest.fixture(params=[2**20, 16, 1], ids=["one piece", "pieces", "a row a piece"])
def found(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Texts:
    monkeypatch.setattr(byte_hashes, "PIECE", request.param)
    return Texts.of(STRINGS)


def test_it_is_the_sequence_of_its_strings(found: Texts) -> None:
    assert len(found) == len(STRINGS) and list(found) == list(STRINGS)
    assert [found[i] for i in range(-8, 8)] == [STRINGS[i] for i in range(-8, 8)]
    assert (
        found[2:5] == STRINGS[2:5] and found[::-2] == STRINGS[::-2] and found[6:2] == () and found[-3:] == STRINGS[-3:]
    )
    assert list(reversed(found)) == list(reversed(STRINGS))
    with pytest.raises(IndexError, match="text 8 of 8"):
        found[8]


def test_equal_to_the_same_strings_and_to_nothing_else(found: Texts) -> None:
    plain = tuple(STRINGS)
    assert found == STRINGS and plain == found and found == list(STRINGS) and found == Texts.of(iter(STRINGS))
    assert found != STRINGS[:-1] and found != (*STRINGS[:-1], "y" * 50) and found != (*STRINGS[:-1], 3)
    assert Texts.of(("ab", "c")) != Texts.of(("a", "bc")) and found != "bags"
    assert Texts.of(found) is found and Texts.of(()) == ()


def test_where_a_text_stands(found: Texts) -> None:
    wanted = ["bag", "bags", "", "none", "x" * 49, "衣服 / 上衣", "bag"]
    places = [STRINGS.index(text) if text in STRINGS else -1 for text in wanted]
    assert found.find(wanted).tolist() == places
    assert found.find([]).tolist() == [] and Texts.of(()).find(wanted[:2]).tolist() == [-1, -1]
    assert found.index("T恤") == 3 and "T恤" in found and "T" not in found and 3 not in found
    with pytest.raises(ValueError, match="'T' is not among 8 texts"):
        found.index("T")


def test_the_first_of_repeated_texts_is_found_and_the_first_repetition_told(found: Texts) -> None:
    assert found.first_repeated() is None
    twice = Texts.of(("b", "a", "", "b", "", "a", "b"))
    assert twice.find(["a", "b", ""]).tolist() == [1, 0, 2]
    assert twice.first_repeated() == 3


def test_texts_with_equal_hashes_stay_different(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash of a text only says where to look: with the sum of its bytes everything still holds."""
    monkeypatch.setattr(byte_hashes, "BASE", 1)
    assert Texts.of(("ab", "ba", "a\x62")).find(["ba"]).tolist() == [1]
    found = Texts.of(STRINGS)
    assert found.find(["bag", "bags", "bagx", "x" * 50]).tolist() == [5, 0, -1, 7]
    assert found.first_repeated() is None and Texts.of((*STRINGS, "T恤", "bags")).first_repeated() == 8


def test_texts_that_look_like_another(found: Texts) -> None:
    names = Texts.of(["", "a", "ab", "Bach_size", "batch", "x" * 40 + "batch_size", "颜色", "尺码"])
    assert names.like("bachsize", 2) == ["Bach_size", "batch"] and names.like("颜色类", 1) == ["颜色"]
    assert names.like("") == list(names) and Texts.of(()).like("x") == []
    assert found.like("BAGS", 2) == ["bags", "bag"]


def test_taken_texts_and_where_two_agree(found: Texts) -> None:
    which = np.array([7, 0, 0, 2, 3])
    assert found.take(which) == [STRINGS[i] for i in which] and found.take([]) == ()
    other = Texts.of(("bags", "衣服 / 下衣", "", "T恤", "x", "bug", STRINGS[6], "x" * 50))
    assert found.same(other).tolist() == [a == b for a, b in zip(STRINGS, other, strict=True)]
    assert found.first_difference(other) == 1 and other.first_difference(found) == 1
    assert found.first_difference(found[:3]) is None and Texts.of(("", "a")).first_difference(Texts.of(("", "b"))) == 1


def test_it_survives_the_disk_and_another_process(found: Texts, tmp_path: Path) -> None:
    found.save(tmp_path / "0.names")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.names.npy", "0.names.offsets.npy"]
    again = Texts.load(tmp_path / "0.names")
    assert again == found and again.find(["T恤"]).tolist() == [3]
    assert pickle.loads(pickle.dumps(again)) == found
    Texts.of(()).save(tmp_path / "none")
    assert Texts.load(tmp_path / "none") == ()
    with pytest.raises(ValueError, match="read-only"):
        found.data[0] = 1


def test_it_survives_an_hdf5_file(found: Texts, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        found.write_hdf5(file.create_group("classes"), "name")
        Texts.of(()).write_hdf5(file, "none")
        assert Texts.read_hdf5(file, "classes/name") == found and Texts.read_hdf5(file, "none") == ()
        file["classes/name_offsets"][1] += 1
        with pytest.raises(ValueError, match="begins inside a character"):
            Texts.read_hdf5(file, "classes/name")


@pytest.mark.parametrize(
    ("data", "offsets", "told"),
    [
        (b"abc", [0, 2], "offsets do not fit"),
        (b"abc", [1, 3], "offsets do not fit"),
        (b"abc", [0, 3, 2, 3], "offsets do not fit"),
        (b"abc", [], "offsets do not fit"),
        (b"a\xffc", [0, 3], "can't decode byte 0xff"),
        ("恤".encode(), [0, 1, 3], "begins inside a character"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, data: bytes, offsets: list[int], told: str) -> None:
    np.save(tmp_path / "words.npy", np.frombuffer(data, np.uint8))
    np.save(tmp_path / "words.offsets.npy", np.array(offsets, np.int64))
    with pytest.raises(BadArtefact, match=rf"words\.npy holds no texts .*{told}"):
        Texts.load(tmp_path / "words")
    (tmp_path / "words.npy").unlink()
    with pytest.raises(BadArtefact, match=r"words\.npy cannot be read"):
        Texts.load(tmp_path / "words")


def test_to_a_column_and_back(found: Texts) -> None:
    column = found.to_polars("name")
    assert column.equals(pl.Series("name", STRINGS, dtype=pl.String)) and column.name == "name"
    assert Texts.from_polars(column) == STRINGS
    assert Texts.from_polars(pl.Series(["b", "a", "b"], dtype=pl.Categorical)) == ("b", "a", "b")
    empty = Texts.of(()).to_polars()
    assert empty.dtype == pl.String and Texts.from_polars(empty) == ()


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        Texts.of(["\ud800"])


def test_it_says_what_it_holds() -> None:
    assert repr(Texts.of(("a", "b"))) == "Texts('a', 'b')"
    assert repr(Texts.of(("a",) * 5000)) == "Texts('a', 'a', 'a', … of 5,000)"


def test_factorize() -> None:
    names, codes = factorize(pl.Series(["b", None, "a", "中", "B", "b"]))
    assert names == ["B", "a", "b", "中"]
    assert codes.tolist() == [2, -1, 1, 3, 0, 2] and codes.dtype == np.int32
    assert factorize(pl.Series([None, None], dtype=pl.String))[1].tolist() == [-1, -1]
