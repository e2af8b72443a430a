"""word2vec is trained on titles of shoes and pots, which have no word in common."""

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

from prodrec.core.base.errors import BadOption, BadTable
from prodrec.core.base.ragged import Ragged
from prodrec.core.data.titles.embeddings import WordVectors, nearest_words
from prodrec.core.data.titles.encode import encode_titles
from prodrec.core.data.titles.tokenizer import choose_tokenizer
from prodrec.core.data.titles.vocabulary import Vocabulary
from prodrec.core.data.titles.word2vec import train_word_vectors


@dataclass
class Titles:
    """The part of a dataset that training reads."""

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


def shoes_and_pots(path: Path, titles: int = 400) -> Titles:
    """Even rows describe shoes, odd rows pots. Only the last row, of the test split, contains the word `secret`."""
    generator = np.random.default_rng(0)
    text = [" ".join(generator.permutation(POTS if i % 2 else SHOES)[:4]) for i in range(titles)] + ["secret sneaker"]
    tokens, vocabulary, _ = encode_titles(text, choose_tokenizer(), drop_frequent=0, drop_rare=0)
    return Titles(path, tokens, vocabulary, np.arange(titles))


@pytest.fixture(scope="module")
def titles(tmp_path_factory: pytest.TempPathFactory) -> Titles:
    return shoes_and_pots(tmp_path_factory.mktemp("dataset"))


def train(titles: Any, **options: Any) -> WordVectors:
    settings = {"dimension": 16, "epochs": 20, "subsample": 0.0, "workers": 1} | options
    return train_word_vectors(titles, **settings)


def mean_cosine(vectors: WordVectors, words: list[str], others: list[str]) -> float:
    cosines = {(word, other): cosine for word in words for other, cosine in nearest_words(vectors, word, 99)}
    return float(np.mean([cosines[word, other] for word in words for other in others if word != other]))


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_words_of_one_topic_are_more_similar_than_words_of_two(titles: Titles, method: str) -> None:
    vectors = train(titles, method=method, epochs=80)
    between = mean_cosine(vectors, SHOES, POTS)
    assert mean_cosine(vectors, SHOES, SHOES) > between + 0.15
    assert mean_cosine(vectors, POTS, POTS) > between + 0.15


def test_words_of_one_topic_are_nearest(titles: Titles) -> None:
    vectors = train(titles, epochs=80)
    assert vectors.words == titles.vocabulary.words
    assert vectors.vectors_VE.shape == (len(titles.vocabulary), 16)
    assert vectors.vectors_VE.dtype == np.float32
    nearest = [word for word, _ in nearest_words(vectors, "Sneaker", 5)]
    assert sorted(nearest) == sorted(SHOES[1:])


def test_word_of_the_test_split_only_is_unknown(titles: Titles) -> None:
    vectors = train(titles, epochs=1)
    secret = titles.vocabulary.id_of("secret") - 1
    assert not vectors.known_V[secret]
    assert vectors.known_V.sum() == len(vectors) - 1
    assert 0 < np.abs(vectors.vectors_VE[secret]).max() <= 0.5 / 16


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_word2vec import train, shoes_and_pots
print(train(shoes_and_pots(Path(".")), deterministic=True, workers=None, method={method!r}).fingerprint)
"""


@pytest.mark.parametrize("method", ["skip-gram", "cbow"])
def test_deterministic_gives_the_same_bits_in_every_process(method: str) -> None:
    def fingerprint(hash_seed: str) -> str:
        script = SCRIPT.format(here=str(Path(__file__).parent), method=method)
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        result = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        return result.stdout.strip()

    first = fingerprint("1")
    assert len(first) == 32
    assert first == fingerprint("2")


def test_seeds_give_different_vectors(titles: Titles) -> None:
    assert train(titles, epochs=1, seed=1).fingerprint != train(titles, epochs=1, seed=2).fingerprint


def test_two_workers_read_every_word(titles: Titles, capfd: pytest.CaptureFixture[str]) -> None:
    vectors = train(titles, workers=2, epochs=80)
    assert {word for word, _ in nearest_words(vectors, "kettle", 5)} == set(POTS[1:])
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
def test_settings_out_of_range_raise(titles: Titles, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        train(titles, **options)


def test_titles_without_words_raise(titles: Titles, tmp_path: Path) -> None:
    empty = Vocabulary((), np.empty(0, np.int64), "jieba", "1")
    with pytest.raises(BadTable, match="--title COLUMN"):
        train(Titles(tmp_path, Ragged.from_lengths(None, np.zeros(2, np.int64)), empty, np.arange(2)))
    with pytest.raises(BadTable, match="no words in the titles of its training split"):
        train(Titles(tmp_path, titles.tokens, titles.vocabulary, np.empty(0, np.int64)))
