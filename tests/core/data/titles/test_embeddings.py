"""embeddings.h5 round-trips, damaged and foreign files raise, and the nearest words are found by cosine."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch, NotFound, OutputExists
from prodrec.core.data.titles.embeddings import WordVectors, load_word_vectors, nearest_words, save_word_vectors

WORDS = ("bag", "rucksack", "红色", "pot", "never-seen")
VECTORS = np.array([[1, 0], [3, 0.5], [0, 2], [-1, 0.1], [1, 0]], dtype=np.float32)
WORD_VECTORS = WordVectors(WORDS, VECTORS, np.array([1, 1, 1, 1, 0], bool), "d" * 32, "skip-gram", {"window": 10})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_word_vectors(tmp_path / "embeddings.h5", WORD_VECTORS)
    return tmp_path / "embeddings.h5"


def test_saved_vectors_load_unchanged(path: Path) -> None:
    loaded = load_word_vectors(path, dataset_fingerprint="d" * 32)
    assert loaded.words == WORDS
    assert np.array_equal(loaded.vectors_VE, VECTORS)
    assert loaded.known_V.tolist() == WORD_VECTORS.known_V.tolist()
    assert (loaded.method, loaded.settings, loaded.dimension, len(loaded)) == ("skip-gram", {"window": 10}, 2, 5)
    assert loaded.fingerprint == WORD_VECTORS.fingerprint


def test_it_prints_as_one_line() -> None:
    assert repr(WORD_VECTORS) == "WordVectors(5 words x 2, skip-gram, 4 known)"


def test_root_attributes_contain_the_header(path: Path) -> None:
    with h5py.File(path) as file:
        assert file.attrs["prodrec"] == "embeddings"
        assert file.attrs["fingerprint"] == WORD_VECTORS.fingerprint
        assert "gensim" in file.attrs["made_by"]


def test_fingerprint_depends_on_the_vectors() -> None:
    other = WordVectors(WORDS, VECTORS * 2, WORD_VECTORS.known_V, "d" * 32, "skip-gram")
    assert other.fingerprint != WORD_VECTORS.fingerprint


def test_embeddings_of_another_dataset_raise(path: Path) -> None:
    with pytest.raises(Mismatch, match="another dataset"):
        load_word_vectors(path, dataset_fingerprint="e" * 32)


def test_existing_file_is_replaced_only_with_force(path: Path) -> None:
    with pytest.raises(OutputExists, match="--force"):
        save_word_vectors(path, WORD_VECTORS)
    save_word_vectors(path, WORD_VECTORS, force=True)


def test_foreign_and_damaged_files_raise(path: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="pretrain-embeddings"):
        load_word_vectors(tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("words")
    with pytest.raises(BadArtefact, match="is truncated or damaged"):
        load_word_vectors(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["prodrec"] = "scores"
    with pytest.raises(BadArtefact, match="is a prodrec scores"):
        load_word_vectors(tmp_path / "other.h5")
    content = path.read_bytes()
    for share in (0.3, 0.6, 0.9):
        (tmp_path / "cut.h5").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(BadArtefact, match=r"cut\.h5 is truncated"):
            load_word_vectors(tmp_path / "cut.h5")
    with h5py.File(path, "a") as file:
        made_from, file.attrs["made_from"] = file.attrs["made_from"], "-1"
    with pytest.raises(BadArtefact, match=r"made_from is -1, .* make it again with `prodrec pretrain-embeddings`"):
        load_word_vectors(path)
    with h5py.File(path, "a") as file:
        file.attrs["made_from"] = made_from
        del file["vectors"]
    with pytest.raises(BadArtefact, match="vectors"):
        load_word_vectors(path)


def test_nearest_words_are_known_words_by_cosine() -> None:
    nearest = nearest_words(WORD_VECTORS, "bag")
    assert [word for word, _ in nearest] == ["rucksack", "红色", "pot"]
    assert nearest[0][1] == pytest.approx(3 / np.hypot(3, 0.5))
    assert nearest[2][1] == pytest.approx(-1 / np.hypot(1, 0.1))
    assert nearest_words(WORD_VECTORS, "ＢＡＧ", 1) == nearest[:1]


def test_word_without_a_vector_raises_with_the_most_similar_word() -> None:
    with pytest.raises(BadOption, match=r"'rucksak' \(did you mean rucksack\?\)"):
        nearest_words(WORD_VECTORS, "rucksak")
    with pytest.raises(BadOption, match="no vector for the word 'never-seen'"):
        nearest_words(WORD_VECTORS, "never-seen")
