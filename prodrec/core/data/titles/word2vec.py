"""Train word vectors on the titles of a dataset with gensim's word2vec.

The word vectors are the starting values of the semantic stream of SICoT (paper A §3.3: "the word embeddings are
required initialized from a pretrained model like Word2vec"; A §4.3 trained them on titles of the same market). Only
the titles of the training split are read.

Shapes: N products, V words of the vocabulary (row i is word id i + 1), E numbers in a vector.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.device import available_cores
from prodrec.core.base.errors import BadOption, BadTable, did_you_mean
from prodrec.core.base.ragged import Ragged
from prodrec.core.data.titles.embeddings import WordVectors, random_vectors
from prodrec.core.data.titles.vocabulary import require_vocabulary

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

Method = Literal["skip-gram", "cbow"]
METHODS: tuple[str, ...] = get_args(Method)

DEFAULT_DIMENSION = 128

_CHUNK_TITLES = 4_096
"""Titles that are decoded to words at a time."""
_WORDS_TO_READ = 5_000_000
"""Words that all epochs together read by default. After ten epochs on a small catalogue, vectors are still alike."""
_EPOCH_RANGE = (5, 200)
"""Smallest and largest default number of epochs."""
_MAX_JOB_WORDS = 10_000
"""gensim's own limit; it silently skips words of larger jobs."""


def train_word_vectors(
    dataset: Dataset,
    *,
    dimension: int = DEFAULT_DIMENSION,
    method: Method = "skip-gram",
    window: int = 10,
    epochs: int | None = None,
    negative: int = 5,
    subsample: float = 1e-3,
    seed: int = 1,
    workers: int | None = None,
    deterministic: bool = False,
) -> WordVectors:
    """Train word2vec on the titles of the training split.

    window:        context words on each side. Ten cover most titles, in which word order matters little (A §3.2).
    epochs:        passes over all titles; by default as many as it takes to read five million words, within 5 to 200
    negative:      noise words for each real one
    subsample:     words that make up a larger share of the text are read less often; 0 reads all
    workers:       threads; by default one for each core
    deterministic: use one thread. The same dataset and seed then give the same bits in every process.

    Raise BadTable if the dataset has no words, BadOption if a setting is out of range.
    """
    for name, value in (("dimension", dimension), ("window", window), ("epochs", epochs), ("negative", negative)):
        if value is not None and value < 1:
            raise BadOption(f"{name}={value} must be at least 1.")
    if method not in METHODS:
        raise BadOption(f"method {method!r} is not known{did_you_mean(method, METHODS)}; skip-gram or cbow.")
    if deterministic and workers not in (None, 1):
        raise BadOption(f"workers={workers} contradicts deterministic, which needs one.")
    vocabulary = require_vocabulary(dataset)
    rows = dataset.rows("train")
    is_train_N = np.zeros(len(dataset.tokens), bool)
    is_train_N[rows] = True
    counts_V = dataset.tokens.value_counts(is_train_N, size=len(vocabulary) + 1)[1:]
    total_words = int(counts_V.sum())
    if not total_words:
        raise BadTable(f"{dataset.path} has no words in the titles of its training split; word vectors need some.")
    if epochs is None:
        epochs = int(np.clip(round(_WORDS_TO_READ / total_words), *_EPOCH_RANGE))
    workers = 1 if deterministic else workers or available_cores()
    # gensim's default of 10,000 words in a job would leave workers idle in small catalogues.
    job_words = int(np.clip(total_words // (20 * workers), 100, _MAX_JOB_WORDS))

    from gensim.models import Word2Vec

    logging.getLogger("gensim").setLevel(logging.ERROR)
    model = Word2Vec(
        vector_size=dimension,
        sg=int(method == "skip-gram"),
        window=window,
        epochs=epochs,
        negative=negative,
        sample=subsample,
        min_count=1,
        seed=seed,
        workers=workers,
        batch_words=job_words,
    )
    known_V = counts_V > 0
    words = list(vocabulary.words)
    known_counts = {word: count for word, count in zip(words, counts_V.tolist(), strict=True) if count}
    model.build_vocab_from_freq(known_counts, corpus_count=len(rows))
    with console.progress(f"word vectors ({method})", total=epochs * total_words, unit="words") as advance:
        sentences = _Sentences(dataset.tokens, rows, words, epochs, advance)
        model.train(sentences, total_examples=len(rows), total_words=total_words, epochs=epochs)
    vectors_VE = random_vectors(len(vocabulary), dimension, seed)
    vectors_VE[known_V] = model.wv[list(known_counts)]
    settings = {
        "dimension": dimension,
        "window": window,
        "epochs": epochs,
        "negative": negative,
        "subsample": subsample,
        "seed": seed,
        "workers": workers,
    }
    return WordVectors(vocabulary.words, vectors_VE, known_V, dataset.fingerprint, method, settings)


class _Sentences:
    """The titles of `rows` as lists of words. gensim iterates once for each epoch; `advance` reports the progress."""

    def __init__(
        self, tokens: Ragged, rows: NDArray[np.int64], words: Sequence[str], epochs: int, advance: Callable[..., None]
    ) -> None:
        self._tokens, self._rows, self._words, self._epochs, self._advance = tokens, rows, words, epochs, advance
        self._epoch = 0

    def __iter__(self) -> Iterator[list[str]]:
        self._epoch += 1
        for start in range(0, len(self._rows), _CHUNK_TITLES):
            titles = self._tokens.take(self._rows[start : start + _CHUNK_TITLES])
            words = [self._words[i - 1] for i in titles.values.tolist()]
            for begin, end in itertools.pairwise(titles.offsets.tolist()):
                yield words[begin:end]
            self._advance(len(words), note=f"epoch {self._epoch}/{self._epochs}")
