"""`prodrec pretrain-embeddings`: train or import word vectors for the vocabulary of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import outputs
from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.data.titles.embeddings import WordVectors
    from prodrec.core.data.titles.word2vec import Method

TRAINING_ONLY = ("method", "window", "epochs", "negative", "subsample", "workers", "deterministic")
"""Options of training, which have no effect when vectors are imported."""


def pretrain_embeddings(
    dataset: str | Path | Dataset = "dataset",
    *,
    out: str | Path | None = None,
    source: str | Path | None = None,
    method: Method | None = None,
    dimension: int | None = None,
    window: int | None = None,
    epochs: int | None = None,
    negative: int | None = None,
    subsample: float | None = None,
    seed: int | None = None,
    workers: int | None = None,
    deterministic: bool = False,
    force: bool = False,
) -> WordVectors:
    """Train word vectors on the titles of the training split, or import them from a file, and save them.

    Args:
        dataset: a dataset, or its directory.
        out: file to write; by default `embeddings.h5` in the dataset's directory, where training looks for it.
        source: file to import vectors from: word2vec, GloVe or fastText, also gzipped.
        method: skip-gram or cbow; None is skip-gram.
        dimension: dimension of a vector; None is 128, or the dimension of `source`.
        window: words of context on each side; None is 10.
        epochs: passes over all titles; None chooses 5 to 200 by their number.
        negative: noise words for each real one; None is 5.
        subsample: words above this share of the text are subsampled; None is 0.001.
        seed: seed of the vectors; None is 1.
        workers: threads; None is one per core.
        deterministic: train in one thread, which gives the same vectors every time, bit for bit.
        force: replace an existing file.

    Raises:
        OutputExists: if `out` exists and `force` is not set.
        BadTable: if the training titles contain no words.
        BadOption: for options that have no effect or are out of range.
        NotFound, BadArtefact, Mismatch: if `source` does not exist, cannot be read or has none of the words.
    """
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.data.titles.embeddings import EMBEDDINGS_FILE, save_word_vectors
    from prodrec.core.data.titles.import_vectors import import_word_vectors
    from prodrec.core.data.titles.vocabulary import require_vocabulary
    from prodrec.core.data.titles.word2vec import train_word_vectors

    options: dict[str, Any] = {
        "method": method,
        "dimension": dimension,
        "window": window,
        "epochs": epochs,
        "negative": negative,
        "subsample": subsample,
        "seed": seed,
        "workers": workers,
        "deterministic": deterministic or None,
    }
    options = {name: value for name, value in options.items() if value is not None}
    ignored = [f"--{name}" for name in TRAINING_ONLY if name in options]
    if source is not None and ignored:
        raise BadOption(
            f"--from imports vectors, so {', '.join(ignored)} would do nothing; omit it, or train without --from."
        )
    if isinstance(dataset, str | Path):
        dataset = open_dataset(Path(dataset))
    out = dataset.path / EMBEDDINGS_FILE if out is None else Path(out)
    outputs.refuse_if_taken(out, kind="embeddings", force=force)
    if source is None:
        word_vectors = train_word_vectors(dataset, **options)
    else:
        vocabulary = require_vocabulary(dataset)
        word_vectors = import_word_vectors(Path(source), vocabulary, dataset_fingerprint=dataset.fingerprint, **options)
    save_word_vectors(out, word_vectors, force=force)
    return word_vectors
