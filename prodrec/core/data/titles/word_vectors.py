"""Word vectors for a dataset: trained by gensim's word2vec on its titles, or imported from a file.

Only titles of the training split are read. Word vectors start the semantic stream of SICoT (paper A §3.3: "the word
embeddings are required initialized from a pretrained model like Word2vec"; A §4.3 took vectors trained on the titles of
the same market).

Shapes: V words of the vocabulary (row i is word id i + 1), E numbers in a vector.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.device import available_cores
from prodrec.core.base.errors import BadOption, BadTable, Mismatch, nearest
from prodrec.core.base.ragged import Ragged
from prodrec.core.data.titles.embeddings import FILE_NAME, WordVectors, load, neighbours, save
from prodrec.core.data.titles.vector_files import open_vectors
from prodrec.core.data.titles.vocabulary import Vocabulary
from prodrec.core.data.titles.words import normalise

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

__all__ = [
    "FILE_NAME",
    "WordVectors",
    "import_word_vectors",
    "load",
    "neighbours",
    "require_vocabulary",
    "save",
    "train_word_vectors",
]

Method = Literal["skip-gram", "cbow"]

DIMENSION = 128

_TITLES_AT_A_TIME = 4_096
_WORDS_TO_READ, _EPOCHS = 5_000_000, (5, 200)
_MOST_WORDS_IN_A_JOB = 10_000  # gensim's own limit; with a larger one it silently skips words


def train_word_vectors(
    dataset: Dataset,
    *,
    dimension: int = DIMENSION,
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

    epochs: times that all titles are read; by default as many as make five million words, 5 to 200, because the few
    words of a small catalogue leave all vectors alike after ten.
    window: words on each side that count as context; ten cover most titles, whose order matters little (A §3.2).
    subsample: words more frequent than this share of the text are read less often; 0 reads all.
    workers: threads, by default one a core. deterministic: one thread, so that the same dataset and seed give the same
    bits in every process. Raises BadTable for a dataset without words, BadOption for settings that cannot be.
    """
    for name, value in (("dimension", dimension), ("window", window), ("epochs", epochs), ("negative", negative)):
        if value is not None and value < 1:
            raise BadOption(f"{name}={value} must be at least 1.")
    if method not in ("skip-gram", "cbow"):
        raise BadOption(f"method {method!r} is not known{nearest(method, ('skip-gram', 'cbow'))}; skip-gram or cbow.")
    if deterministic and workers not in (None, 1):
        raise BadOption(f"workers={workers} contradicts deterministic, which needs one.")
    vocabulary = require_vocabulary(dataset)
    rows = dataset.rows("train")
    in_train_N = np.zeros(len(dataset.tokens), bool)
    in_train_N[rows] = True
    counts_V = dataset.tokens.counts(in_train_N, below=len(vocabulary) + 1)[1:]
    written = int(counts_V.sum())
    if not written:
        raise BadTable(f"{dataset.path} has no words in the titles of its training split; word vectors need some.")
    if epochs is None:
        epochs = int(np.clip(round(_WORDS_TO_READ / written), *_EPOCHS))
    workers = 1 if deterministic else workers or available_cores()
    # Keep every worker busy in small catalogues too; gensim's default job of 10,000 words would leave them idle.
    job = int(np.clip(written // (20 * workers), 100, _MOST_WORDS_IN_A_JOB))

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
        batch_words=job,
    )
    known_V = counts_V > 0
    words = list(vocabulary.words)
    occurring = {word: n for word, n in zip(words, counts_V.tolist(), strict=True) if n}
    model.build_vocab_from_freq(occurring, corpus_count=len(rows))
    with console.progress(f"word vectors ({method})", total=epochs * written, unit="words") as advance:
        sentences = _Sentences(dataset.tokens, rows, words, epochs, advance)
        model.train(sentences, total_examples=len(rows), total_words=written, epochs=epochs)
    vectors_VE = _small_random(len(vocabulary), dimension, seed)
    vectors_VE[known_V] = model.wv[list(occurring)]
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
    """The titles of `rows` as lists of words, again and again, some at a time, telling how far they were read."""

    def __init__(
        self, tokens: Ragged, rows: NDArray[np.int64], words: Sequence[str], epochs: int, advance: Callable[..., None]
    ) -> None:
        self._tokens, self._rows, self._words, self._epochs, self._advance = tokens, rows, words, epochs, advance
        self._epoch = 0

    def __iter__(self) -> Iterator[list[str]]:
        self._epoch += 1
        for start in range(0, len(self._rows), _TITLES_AT_A_TIME):
            titles = self._tokens.take(self._rows[start : start + _TITLES_AT_A_TIME])
            block = [self._words[i - 1] for i in titles.values.tolist()]
            for begin, end in itertools.pairwise(titles.offsets.tolist()):
                yield block[begin:end]
            self._advance(len(block), note=f"epoch {self._epoch}/{self._epochs}")


def import_word_vectors(
    path: Path, vocabulary: Vocabulary, *, dataset_fingerprint: str = "", dimension: int | None = None, seed: int = 1
) -> WordVectors:
    """Vectors for the words of `vocabulary` from a file: word2vec text or binary, GloVe, fastText .vec or .bin, or .gz.

    A word is looked up as it is, then among the file's words after the normalisation of titles (full-width forms, lower
    case), then, in fastText .bin, made from its n-grams. Words that are not found get small random vectors.
    Raises NotFound, BadArtefact for another or damaged file, Mismatch for another `dimension` or no word found.
    """
    path = Path(path)
    ids = vocabulary.ids
    size = path.stat().st_size if path.is_file() else None
    with console.progress(f"reading {path.name}", total=size, unit="bytes") as advance:
        file = open_vectors(path, advance=advance)
        if dimension not in (None, file.dimension):
            raise Mismatch(f"{path} has {file.dimension} numbers for a word and --dimension asks for {dimension}.")
        vectors_VE = _small_random(len(vocabulary), file.dimension, seed)
        exact_V, known_V = np.zeros(len(vocabulary), bool), np.zeros(len(vocabulary), bool)
        for name, vector_E in file.read(lambda word: word in ids or normalise(word) in ids):
            if name in ids:
                row, exact = ids[name] - 1, True
            else:
                row, exact = ids[normalise(name)] - 1, False
            if exact_V[row] or (known_V[row] and not exact):
                continue  # the first of a kind counts: files list frequent words first
            vectors_VE[row], known_V[row], exact_V[row] = vector_E, True, exact
        of_the_file = int(known_V.sum())
        for row in np.flatnonzero(~known_V).tolist():
            made = file.from_parts(vocabulary.words[row])
            if made is not None:
                vectors_VE[row], known_V[row] = made, True
    if not known_V.any():
        such = ", ".join(vocabulary.words[:3])
        raise Mismatch(f"{path} has none of the {len(vocabulary):,} words of the titles, such as {such}.")
    settings = {
        "file": path.name,
        "dimension": file.dimension,
        "seed": seed,
        "exact": int(exact_V.sum()),
        "other_spelling": of_the_file - int(exact_V.sum()),
        "from_parts": int(known_V.sum()) - of_the_file,
    }
    return WordVectors(vocabulary.words, vectors_VE, known_V, dataset_fingerprint, f"imported {file.format}", settings)


def require_vocabulary(dataset: Dataset) -> Vocabulary:
    """Return the vocabulary of `dataset`. Raise BadTable if it is empty."""
    if not len(dataset.vocabulary):
        raise BadTable(
            f"{dataset.path} has no words: its table had no titles, or trimming dropped all of them; "
            "prepare it again with --title COLUMN."
        )
    return dataset.vocabulary


def _small_random(words: int, dimension: int, seed: int) -> NDArray[np.float32]:
    """Uniform in ±0.5/E, as word2vec starts."""
    generator = np.random.default_rng(seed)
    return ((generator.random((words, dimension), dtype=np.float32) - 0.5) / dimension).astype(np.float32)
