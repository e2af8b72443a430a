"""Files of word vectors from gensim and other tools are read; damaged ones raise."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from gensim.models import FastText, KeyedVectors
from gensim.models.fasttext import save_facebook_model

from prodrec.core.base.errors import BadArtefact, NotFound
from prodrec.core.data.titles.vector_files import open_vectors

WORDS = ["red", "红色", "at&t", "rare word", "blue"]
VECTORS = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)


def read(path: Path, words: set[str] | None = None) -> dict[str, np.ndarray]:
    file = open_vectors(path)
    return dict(file.read(lambda word: words is None or word in words))


@pytest.fixture
def keyed() -> KeyedVectors:
    keyed = KeyedVectors(7)
    keyed.add_vectors(WORDS, VECTORS)
    return keyed


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("binary", [False, True])
def test_files_of_gensim_are_read(keyed: KeyedVectors, tmp_path: Path, binary: bool, zipped: bool) -> None:
    path = tmp_path / "vectors"
    words = [word for word in WORDS if " " not in word]  # a phrase in a text file is ambiguous
    keyed.save_word2vec_format(str(path), binary=binary)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    file = open_vectors(path)
    assert (file.format, file.dimension) == ("binary" if binary else "text", 7)
    if binary:
        keyed = KeyedVectors(7)
        keyed.add_vectors(words, VECTORS[:4])
        keyed.save_word2vec_format(str(path), binary=True)
    vectors = read(path, set(words))
    for word in words:
        np.testing.assert_allclose(vectors[word], keyed[word], rtol=1e-6)
    assert set(vectors) == set(words)


def test_glove_text_without_header_and_with_tabs(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text("the 0.5 1 -2\nred\t1e-3\t2\t3\n", "utf-8")
    vectors = read(tmp_path / "glove.txt")
    assert vectors["the"].tolist() == [0.5, 1.0, -2.0]
    assert vectors["red"].tolist() == [np.float32(1e-3), 2.0, 3.0]


def test_binary_file_larger_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed = KeyedVectors(7)
    many = np.random.default_rng(1).normal(size=(999, 7)).astype(np.float32)
    keyed.add_vectors([f"word-{i}" for i in range(999)], many)
    keyed.save_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    monkeypatch.setattr("prodrec.core.data.titles.vector_files._BLOCK_BYTES", 100)
    advances: list[int] = []
    file = open_vectors(tmp_path / "v.bin", advance=advances.append)
    assert file.format == "binary"
    vectors = dict(file.read(lambda word: word.endswith("7")))
    assert np.array_equal(vectors["word-997"], many[997])
    assert len(vectors) == 100
    assert sum(advances) == (tmp_path / "v.bin").stat().st_size


@pytest.fixture(scope="module")
def fasttext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sentences = [["sneaker", "running", "lace"], ["kettle", "steel"]] * 20
    model = FastText(sentences, vector_size=6, min_count=1, bucket=50, epochs=1, workers=1)
    path = tmp_path_factory.mktemp("fasttext") / "model.bin"
    save_facebook_model(model, str(path))
    return path


def test_fasttext_derives_unknown_words_from_ngrams(fasttext: Path) -> None:
    file = open_vectors(fasttext)
    assert (file.format, file.dimension) == ("fasttext", 6)
    assert {word for word, _ in file.read(lambda word: "e" in word)} == {"sneaker", "lace", "kettle", "steel"}
    vector = file.from_ngrams("sneakers")
    assert vector is not None
    assert vector.shape == (6,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "contains no word vectors"),
        (b"just some prose without numbers\n", "contains no word vectors: it begins with b'just some prose"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "contains no word vectors"),
        (b"2 3\nred 1 2 3\nblue 1 2\n", "line 3: found 2 numbers after 'blue', expected 3"),
        (b"2 3\nred 1 2 3\nblue 1 2 nan\n", "line 3: the vector contains numbers that are not finite"),
        (b"3 3\nred 1 2 3\nblue 1 2 3\n", "truncated: its first line promises 3 words, it has 2"),
        (b"2 3\nred one two three\nblue 1 2 3\n", "line 2: expected a word and 3 numbers"),
        (b"2 2\nred " + struct.pack("<2f", 1, 2) + b"\nblue " + struct.pack("<f", 1), "word 2 is missing"),
        (b"1 2\nred " + struct.pack("<2f", 1, np.inf), "word 1 \\('red'\\): the vector contains numbers"),
        (struct.pack("<2i", 793712314, 12) + b"\0" * 20, "begins like a fastText model but cannot be read"),
        (gzip.compress(b"2 3\nred 1 2 3\nblue 1 2 3\n" * 99)[:-20], "damaged|cannot be read"),
    ],
)
def test_damaged_files_raise_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "vectors").write_bytes(content)
    with pytest.raises(BadArtefact, match=message):
        read(tmp_path / "vectors")


def test_truncated_last_line_raises_even_if_its_word_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "v.vec").write_text("2 3\nred 1 2 3\nblue 1 2")
    with pytest.raises(BadArtefact, match="truncated: line 3"):
        read(tmp_path / "v.vec", {"red"})


def test_truncated_fasttext_model_raises(fasttext: Path, tmp_path: Path) -> None:
    content = fasttext.read_bytes()
    for share in (0.1, 0.4):  # the rest is the output matrix, which is not read
        (tmp_path / "cut.bin").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(BadArtefact, match=r"cut\.bin"):
            open_vectors(tmp_path / "cut.bin")


def test_a_fasttext_model_that_ends_in_its_words_is_refused_at_once(fasttext: Path, tmp_path: Path) -> None:
    """gensim would read on for ever."""
    content = fasttext.read_bytes()
    first_word = struct.calcsize("<2i12id3i2q")
    for length in (4, 40, first_word, first_word + 1, first_word + 12):
        (tmp_path / "cut.bin").write_bytes(content[:length])
        with pytest.raises(
            BadArtefact, match=r"cut\.bin begins like a fastText model .*\(it ends in (its header|word 1 of)"
        ):
            open_vectors(tmp_path / "cut.bin")


def test_lines_and_vectors_without_end_are_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "v.gz", "wb") as stream:
        stream.write(b"red 1 2\nblue ")
        for _ in range(8):
            stream.write(b"0" * (1 << 20))
    with pytest.raises(BadArtefact, match=r"v\.gz, line 2: it is longer than 4,194,304 bytes"):
        read(tmp_path / "v.gz", {"red"})
    (tmp_path / "v.bin").write_bytes(b"2 999999999999\nred " + b"\xff" * 100)
    with pytest.raises(BadArtefact, match=r"v\.bin contains no word vectors"):
        read(tmp_path / "v.bin", {"red"})


def test_missing_file_and_directory_raise(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="absent"):
        open_vectors(tmp_path / "absent")
    with pytest.raises(BadArtefact, match="is a directory"):
        open_vectors(tmp_path)
