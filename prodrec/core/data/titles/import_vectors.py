"""Import word vectors for the vocabulary of a dataset from a file.

Shapes: V words of the vocabulary (row i is word id i + 1), E numbers in a vector.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prodrec.core.base import console
from prodrec.core.base.errors import Mismatch
from prodrec.core.data.titles.embeddings import WordVectors, random_vectors
from prodrec.core.data.titles.tokenizer import normalise_text
from prodrec.core.data.titles.vector_files import open_vectors
from prodrec.core.data.titles.vocabulary import Vocabulary


def import_word_vectors(
    path: Path, vocabulary: Vocabulary, *, dataset_fingerprint: str = "", dimension: int | None = None, seed: int = 1
) -> WordVectors:
    """Read vectors for the words of `vocabulary` from word2vec text or binary, GloVe, fastText .vec or .bin, or .gz.

    The vector of a word is the first of these that exists:

    1. the vector of the same word in the file
    2. the vector of a word in the file that equals it after normalisation (full-width forms, lower case)
    3. the vector of its n-grams, from a fastText .bin
    4. a small random vector

    Raise NotFound; BadArtefact if the file is damaged or of another kind; Mismatch if the file has another dimension
    than `dimension` or none of the words.
    """
    path = Path(path)
    ids = vocabulary.ids
    size = path.stat().st_size if path.is_file() else None
    with console.progress(f"reading {path.name}", total=size, unit="bytes") as advance:
        file = open_vectors(path, advance=advance)
        if dimension not in (None, file.dimension):
            raise Mismatch(f"{path} has {file.dimension} numbers for a word and --dimension asks for {dimension}.")
        vectors_VE = random_vectors(len(vocabulary), file.dimension, seed)
        is_exact_V, known_V = np.zeros(len(vocabulary), bool), np.zeros(len(vocabulary), bool)
        for word, vector_E in file.read(lambda word: word in ids or normalise_text(word) in ids):
            exact = word in ids
            row = ids[word if exact else normalise_text(word)] - 1
            if is_exact_V[row] or (known_V[row] and not exact):
                continue  # the first of several equal spellings counts: files list frequent words first
            vectors_VE[row], known_V[row], is_exact_V[row] = vector_E, True, exact
        words_in_file = int(known_V.sum())
        for row in np.flatnonzero(~known_V).tolist():
            from_ngrams_E = file.from_ngrams(vocabulary.words[row])
            if from_ngrams_E is not None:
                vectors_VE[row], known_V[row] = from_ngrams_E, True
    if not known_V.any():
        examples = ", ".join(vocabulary.words[:3])
        raise Mismatch(f"{path} has none of the {len(vocabulary):,} words of the titles, such as {examples}.")
    settings = {
        "file": path.name,
        "dimension": file.dimension,
        "seed": seed,
        "exact": int(is_exact_V.sum()),
        "other_spelling": words_in_file - int(is_exact_V.sum()),
        "from_parts": int(known_V.sum()) - words_in_file,
    }
    return WordVectors(vocabulary.words, vectors_VE, known_V, dataset_fingerprint, f"imported {file.format}", settings)
