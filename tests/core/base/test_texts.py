"""Texts behave like a tuple of the same strings, whatever the size of the chunks, in memory and on disk."""

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


@pytest.fixture(params=[2**20, 16, 1], ids=["one chunk", "chunks", "one text per chunk"])
def texts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Texts:
    monkeypatch.setattr(byte_hashes, "CHUNK_BYTES", request.param)
    return Texts.from_strings(STRINGS)


def test_it_is_a_sequence_of_its_strings(texts: Texts) -> None:
    assert len(texts) == len(STRINGS) and list(texts) == list(STRINGS)
    assert [texts[i] for i in range(-8, 8)] == [STRINGS[i] for i in range(-8, 8)]
    assert (
        texts[2:5] == STRINGS[2:5] and texts[::-2] == STRINGS[::-2] and texts[6:2] == () and texts[-3:] == STRINGS[-3:]
    )
    assert list(reversed(texts)) == list(reversed(STRINGS))
    with pytest.raises(IndexError, match="text 8 of 8"):
        texts[8]


def test_equal_to_the_same_strings_and_to_nothing_else(texts: Texts) -> None:
    plain = tuple(STRINGS)
    assert texts == STRINGS and plain == texts and texts == list(STRINGS) and texts == Texts.from_strings(iter(STRINGS))
    assert texts != STRINGS[:-1] and texts != (*STRINGS[:-1], "y" * 50) and texts != (*STRINGS[:-1], 3)
    assert Texts.from_strings(("ab", "c")) != Texts.from_strings(("a", "bc")) and texts != "bags"
    assert Texts.from_strings(texts) is texts and Texts.from_strings(()) == ()


def test_find_returns_the_index_of_a_text(texts: Texts) -> None:
    wanted = ["bag", "bags", "", "none", "x" * 49, "衣服 / 上衣", "bag"]
    indices = [STRINGS.index(text) if text in STRINGS else -1 for text in wanted]
    assert texts.find(wanted).tolist() == indices
    assert texts.find([]).tolist() == [] and Texts.from_strings(()).find(wanted[:2]).tolist() == [-1, -1]
    assert texts.index("T恤") == 3 and "T恤" in texts and "T" not in texts and 3 not in texts
    with pytest.raises(ValueError, match="'T' is not among 8 texts"):
        texts.index("T")


def test_find_returns_the_first_duplicate(texts: Texts) -> None:
    assert texts.first_duplicate() is None
    twice = Texts.from_strings(("b", "a", "", "b", "", "a", "b"))
    assert twice.find(["a", "b", ""]).tolist() == [1, 0, 2]
    assert twice.first_duplicate() == 3


def test_texts_with_equal_hashes_stay_different(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash only narrows the search: with the sum of the bytes as the hash all results are the same."""
    monkeypatch.setattr(byte_hashes, "BASE", 1)
    assert Texts.from_strings(("ab", "ba", "a\x62")).find(["ba"]).tolist() == [1]
    texts = Texts.from_strings(STRINGS)
    assert texts.find(["bag", "bags", "bagx", "x" * 50]).tolist() == [5, 0, -1, 7]
    assert texts.first_duplicate() is None and Texts.from_strings((*STRINGS, "T恤", "bags")).first_duplicate() == 8


def test_take_and_elementwise_comparison(texts: Texts) -> None:
    indices = np.array([7, 0, 0, 2, 3])
    assert texts.take(indices) == [STRINGS[i] for i in indices] and texts.take([]) == ()
    other = Texts.from_strings(("bags", "衣服 / 下衣", "", "T恤", "x", "bug", STRINGS[6], "x" * 50))
    assert texts.equal_elements(other).tolist() == [a == b for a, b in zip(STRINGS, other, strict=True)]
    assert texts.first_difference(other) == 1 and other.first_difference(texts) == 1
    assert (
        texts.first_difference(texts[:3]) is None
        and Texts.from_strings(("", "a")).first_difference(Texts.from_strings(("", "b"))) == 1
    )


def test_it_is_saved_and_pickled(texts: Texts, tmp_path: Path) -> None:
    texts.save(tmp_path / "0.names")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.names.npy", "0.names.offsets.npy"]
    again = Texts.load(tmp_path / "0.names")
    assert again == texts and again.find(["T恤"]).tolist() == [3]
    assert pickle.loads(pickle.dumps(again)) == texts
    Texts.from_strings(()).save(tmp_path / "none")
    assert Texts.load(tmp_path / "none") == ()
    with pytest.raises(ValueError, match="read-only"):
        texts.data[0] = 1


def test_it_is_written_to_hdf5(texts: Texts, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        texts.write_hdf5(file.create_group("classes"), "name")
        Texts.from_strings(()).write_hdf5(file, "none")
        assert Texts.read_hdf5(file, "classes/name") == texts and Texts.read_hdf5(file, "none") == ()
        file["classes/name_offsets"][1] += 1
        with pytest.raises(ValueError, match="begins inside a character"):
            Texts.read_hdf5(file, "classes/name")


@pytest.mark.parametrize(
    ("data", "offsets", "message"),
    [
        (b"abc", [0, 2], "offsets do not fit"),
        (b"abc", [1, 3], "offsets do not fit"),
        (b"abc", [0, 3, 2, 3], "offsets do not fit"),
        (b"abc", [], "offsets do not fit"),
        (b"a\xffc", [0, 3], "can't decode byte 0xff"),
        ("恤".encode(), [0, 1, 3], "begins inside a character"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, data: bytes, offsets: list[int], message: str) -> None:
    np.save(tmp_path / "words.npy", np.frombuffer(data, np.uint8))
    np.save(tmp_path / "words.offsets.npy", np.array(offsets, np.int64))
    with pytest.raises(BadArtefact, match=rf"words\.npy contains no texts .*{message}"):
        Texts.load(tmp_path / "words")
    (tmp_path / "words.npy").unlink()
    with pytest.raises(BadArtefact, match=r"words\.npy cannot be read"):
        Texts.load(tmp_path / "words")


def test_to_a_column_and_back(texts: Texts) -> None:
    column = texts.to_polars("name")
    assert column.equals(pl.Series("name", STRINGS, dtype=pl.String)) and column.name == "name"
    assert Texts.from_polars(column) == STRINGS
    assert Texts.from_polars(pl.Series(["b", "a", "b"], dtype=pl.Categorical)) == ("b", "a", "b")
    empty = Texts.from_strings(()).to_polars()
    assert empty.dtype == pl.String and Texts.from_polars(empty) == ()


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        Texts.from_strings(["\ud800"])


def test_repr_shows_the_first_texts_and_their_number() -> None:
    assert repr(Texts.from_strings(("a", "b"))) == "Texts('a', 'b')"
    assert repr(Texts.from_strings(("a",) * 5000)) == "Texts('a', 'a', 'a', … of 5,000)"


def test_factorize() -> None:
    names, codes = factorize(pl.Series(["b", None, "a", "中", "B", "b"]))
    assert names == ["B", "a", "b", "中"]
    assert codes.tolist() == [2, -1, 1, 3, 0, 2] and codes.dtype == np.int32
    assert factorize(pl.Series([None, None], dtype=pl.String))[1].tolist() == [-1, -1]
