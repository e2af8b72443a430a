"""embeddings.h5 keeps what was put in, refuses what is not its own, and finds neighbours by cosine."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch, NotFound, OutputExists
from prodrec.core.data.titles.embeddings import WordVectors, load, neighbours, save

WORDS = ("bag", "rucksack", "红色", "pot", "never-seen")
VECTORS = np.array([[1, 0], [3, 0.5], [0, 2], [-1, 0.1], [1, 0]], dtype=np.float32)
MADE = WordVectors(WORDS, VECTORS, np.array([1, 1, 1, 1, 0], bool), "d" * 32, "skip-gram", {"window": 10})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(tmp_path / "embeddings.h5", MADE)
    return tmp_path / "embeddings.h5"


def test_saved_and_loaded_again(path: Path) -> None:
    again = load(path, dataset_fingerprint="d" * 32)
    assert again.words == WORDS
    assert np.array_equal(again.vectors_VE, VECTORS)
    assert again.known_V.tolist() == MADE.known_V.tolist()
    assert (again.method, again.settings, again.dimension, len(again)) == ("skip-gram", {"window": 10}, 2, 5)
    assert again.fingerprint == MADE.fingerprint


def test_the_header_stands_in_the_root_attributes(path: Path) -> None:
    with h5py.File(path) as file:
        assert file.attrs["prodrec"] == "embeddings"
        assert file.attrs["fingerprint"] == MADE.fingerprint
        assert "gensim" in file.attrs["made_by"]


def test_fingerprint_follows_the_content() -> None:
    other = WordVectors(WORDS, VECTORS * 2, MADE.known_V, "d" * 32, "skip-gram")
    assert other.fingerprint != MADE.fingerprint


def test_embeddings_of_another_dataset_are_refused(path: Path) -> None:
    with pytest.raises(Mismatch, match="another dataset"):
        load(path, dataset_fingerprint="e" * 32)


def test_the_place_is_not_taken_twice(path: Path) -> None:
    with pytest.raises(OutputExists, match="--force"):
        save(path, MADE)
    save(path, MADE, force=True)


def test_what_is_no_embeddings_file_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="pretrain-embeddings"):
        load(tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("words")
    with pytest.raises(BadArtefact, match="truncated or no embeddings file"):
        load(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["prodrec"] = "scores"
    with pytest.raises(BadArtefact, match="is a prodrec scores"):
        load(tmp_path / "other.h5")
    content = path.read_bytes()
    for share in (0.3, 0.6, 0.9):
        (tmp_path / "cut.h5").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(BadArtefact, match=r"cut\.h5 is truncated"):
            load(tmp_path / "cut.h5")
    with h5py.File(path, "a") as file:
        del file["vectors"]
    with pytest.raises(BadArtefact, match="vectors"):
        load(path)


def test_neighbours_are_known_words_by_cosine() -> None:
    found = neighbours(MADE, "bag")
    assert [word for word, _ in found] == ["rucksack", "红色", "pot"]
    assert found[0][1] == pytest.approx(3 / np.hypot(3, 0.5))
    assert found[2][1] == pytest.approx(-1 / np.hypot(1, 0.1))
    assert neighbours(MADE, "ＢＡＧ", 1) == found[:1]


def test_a_word_without_a_vector_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadOption, match=r"'rucksak' \(did you mean rucksack\?\)"):
        neighbours(MADE, "rucksak")
    with pytest.raises(BadOption, match="no vector for the word 'never-seen'"):
        neighbours(MADE, "never-seen")
