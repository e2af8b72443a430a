"""Training and importing word vectors, on titles of two kinds of products whose words never meet."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption, BadTable, Mismatch
from prodrec.core.base.ragged import Ragged
from prodrec.core.data.titles import word_vectors
from prodrec.core.data.titles.vocabulary import Vocabulary
from prodrec.core.data.titles.words import choose_tokenizer, encode_titles


@dataclass
class Titles:
    """What word vectors read of a dataset."""

    path: Path
    tokens: Ragged
    vocabulary: Vocabulary
    train: NDArray[np.int64]
    fingerprint: str = "f" * 32

    def rows(self, split: str) -> NDArray[np.int64]:
        assert split == "train", "word vectors may read the training split only"
        return self.train


SHOES = ["sneaker", "lace", "sole", "running", "heel", "运动"]
POTS = ["kettle", "steel", "lid", "boil", "handle", "厨房"]


def two_worlds(path: Path, titles: int = 400) -> Titles:
    """Even rows speak of shoes, odd ones of pots; the last row, a test row, alone has the word `secret`."""
    generator = np.random.default_rng(0)
    text = [" ".join(generator.permutation(POTS if i % 2 else SHOES)[:4]) for i in range(titles)] + ["secret sneaker"]
    tokens, vocabulary, _ = encode_titles(text, choose_tokenizer(), drop_frequent=0, drop_rare=0)
    return Titles(path, tokens, vocabulary, np.arange(titles))


@pytest.fixture(scope="module")
def titles(tmp_path_factory: pytest.TempPathFactory) -> Titles:
    return two_worlds(tmp_path_factory.mktemp("dataset"))


def train(titles: Any, **options: Any) -> word_vectors.WordVectors:
    settings = {"dimension": 16, "epochs": 20, "subsample": 0.0, "workers": 1} | options
    return word_vectors.train_word_vectors(titles, **settings)


def mean_cosine(made: word_vectors.WordVectors, words: list[str], others: list[str]) -> float:
    near = {(word, other): cosine for word in words for other, cosine in word_vectors.neighbours(made, word, 99)}
    return float(np.mean([near[word, other] for word in words for other in others if word != other]))


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_words_of_one_world_are_nearer_than_those_of_two(titles: Titles, method: str) -> None:
    made = train(titles, method=method, epochs=80)
    across = mean_cosine(made, SHOES, POTS)
    assert mean_cosine(made, SHOES, SHOES) > across + 0.15
    assert mean_cosine(made, POTS, POTS) > across + 0.15


def test_words_of_one_world_are_neighbours(titles: Titles) -> None:
    made = train(titles, epochs=80)
    assert made.words == titles.vocabulary.words
    assert made.vectors_VE.shape == (len(titles.vocabulary), 16)
    assert made.vectors_VE.dtype == np.float32
    near = [word for word, _ in word_vectors.neighbours(made, "Sneaker", 5)]
    assert sorted(near) == sorted(SHOES[1:])


def test_a_word_of_the_test_split_alone_is_not_known(titles: Titles) -> None:
    made = train(titles, epochs=1)
    secret = titles.vocabulary.id_of("secret") - 1
    assert not made.known_V[secret]
    assert made.known_V.sum() == len(made) - 1
    assert 0 < np.abs(made.vectors_VE[secret]).max() <= 0.5 / 16


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_word_vectors import train, two_worlds
print(train(two_worlds(Path(".")), deterministic=True, workers=None, method={method!r}).fingerprint)
"""


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_deterministic_is_bit_equal_in_every_process(method: str) -> None:
    def fingerprint(hash_seed: str) -> str:
        script = SCRIPT.format(here=str(Path(__file__).parent), method=method)
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    first = fingerprint("1")
    assert len(first) == 32
    assert first == fingerprint("2")


def test_another_seed_gives_other_vectors(titles: Titles) -> None:
    assert train(titles, epochs=1, seed=1).fingerprint != train(titles, epochs=1, seed=2).fingerprint


def test_two_workers_read_every_word(titles: Titles, capfd: pytest.CaptureFixture[str]) -> None:
    made = train(titles, workers=2, epochs=80)
    assert {word for word, _ in word_vectors.neighbours(made, "kettle", 5)} == set(POTS[1:])
    assert "WARNING" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimension": 0}, "dimension=0"),
        ({"epochs": 0}, "epochs=0"),
        ({"method": "skipgram"}, "did you mean skip-gram"),
        ({"deterministic": True, "workers": 2}, "workers=2 contradicts"),
    ],
)
def test_settings_that_cannot_be_are_refused(titles: Titles, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        train(titles, **options)


def test_titles_without_words_are_refused(titles: Titles, tmp_path: Path) -> None:
    nobody = Vocabulary((), np.empty(0, np.int64), "jieba", "1")
    with pytest.raises(BadTable, match="--title COLUMN"):
        train(Titles(tmp_path, Ragged.from_lengths(None, np.zeros(2, np.int64)), nobody, np.arange(2)))
    with pytest.raises(BadTable, match="no words in the titles of its training split"):
        train(Titles(tmp_path, titles.tokens, titles.vocabulary, np.empty(0, np.int64)))


def write_text(path: Path, rows: dict[str, list[float]]) -> Path:
    lines = [f"{len(rows)} {len(next(iter(rows.values())))}"]
    lines += [f"{word} {' '.join(map(str, vector))}" for word, vector in rows.items()]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


ROWS = {
    "unrelated": [9.0, 9.0],
    "SNEAKER": [1.0, 2.0],
    "sneaker": [3.0, 4.0],
    "Sneaker": [5.0, 6.0],
    "Ｋｅｔｔｌｅ": [7.0, 8.0],
    "厨房": [0.5, 0.25],
}


def test_import_prefers_the_word_itself_and_then_its_other_spellings(titles: Titles, tmp_path: Path) -> None:
    made = word_vectors.import_word_vectors(write_text(tmp_path / "v.vec", ROWS), titles.vocabulary)
    row = {word: made.vectors_VE[i].tolist() for i, word in enumerate(made.words)}
    assert row["sneaker"] == [3.0, 4.0]
    assert row["kettle"] == [7.0, 8.0]
    assert row["厨房"] == [0.5, 0.25]
    assert [word for word, known in zip(made.words, made.known_V, strict=True) if known] == [
        word for word in titles.vocabulary.words if word in ("sneaker", "kettle", "厨房")
    ]
    assert 0 < np.abs(row["lace"]).max() <= 0.25
    assert (made.settings["exact"], made.settings["other_spelling"], made.settings["from_parts"]) == (2, 1, 0)
    assert made.method == "imported text"


def test_import_of_another_dimension_or_language_is_refused(titles: Titles, tmp_path: Path) -> None:
    path = write_text(tmp_path / "v.vec", ROWS)
    with pytest.raises(Mismatch, match="2 numbers for a word and --dimension asks for 3"):
        word_vectors.import_word_vectors(path, titles.vocabulary, dimension=3)
    with pytest.raises(Mismatch, match="none of the 13 words"):
        word_vectors.import_word_vectors(write_text(tmp_path / "w.vec", {"unrelated": [1.0]}), titles.vocabulary)
