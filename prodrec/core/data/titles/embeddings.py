"""embeddings.h5: a vector for every word of a dataset's vocabulary, and the nearest words of a word.

The root attributes contain the artefact header, `method`, `settings` and `dimension`. The datasets are `words` and
`words_offsets` (UTF-8 bytes in vocabulary order, and the start of each word; see Texts), `vectors` float32 [V, E] and
`known` bool [V].

Shapes: V words of the vocabulary (row i is word id i + 1), E numbers in a vector, K known words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from prodrec.core.base import artefact, hdf5, outputs
from prodrec.core.base.errors import BadOption, Mismatch, NotFound, did_you_mean
from prodrec.core.base.texts import Texts
from prodrec.core.data.titles.tokenizer import normalise_text

EMBEDDINGS_FILE = "embeddings.h5"


class EmbeddingsFile(TypedDict):
    """The root attributes of the file."""

    made_from: dict[str, str]
    method: str
    settings: dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class WordVectors:
    """Word vectors in vocabulary order.

    words:      V words; any sequence of strings is converted to Texts
    vectors_VE: float32; row i belongs to word id i + 1
    known_V:    bool; whether the word was trained or imported. The other vectors are small random numbers.
    method:     skip-gram, cbow, or the format of the imported file
    settings:   settings of training or import, as plain values
    """

    words: Texts
    vectors_VE: NDArray[np.float32]
    known_V: NDArray[np.bool_]
    dataset_fingerprint: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", Texts.from_strings(self.words))
        if not len(self.words) == len(self.vectors_VE) == len(self.known_V):
            raise ValueError("words and vectors have different numbers")

    def __len__(self) -> int:
        return len(self.words)

    def __repr__(self) -> str:
        known = int(self.known_V.sum())
        return f"WordVectors({len(self):,} words x {self.dimension}, {self.method}, {known:,} known)"

    @property
    def dimension(self) -> int:
        return int(self.vectors_VE.shape[1])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the words and their vectors."""
        parts = artefact.Fingerprint().add("words", self.words).add("vectors", self.vectors_VE)
        return parts.add("known", self.known_V).hexdigest()


def random_vectors(words: int, dimension: int, seed: int) -> NDArray[np.float32]:
    """Return vectors for words that were neither trained nor imported: uniform in ±0.5/E, as word2vec initialises."""
    generator = np.random.default_rng(seed)
    return ((generator.random((words, dimension), dtype=np.float32) - 0.5) / dimension).astype(np.float32)


def save_word_vectors(path: Path, word_vectors: WordVectors, *, force: bool = False) -> None:
    """Write `path` atomically. Raise OutputExists if it exists and `force` is not set."""
    import gensim
    import h5py

    header = artefact.make_header(
        "embeddings",
        fingerprint=word_vectors.fingerprint,
        made_from={"dataset": word_vectors.dataset_fingerprint},
        gensim=gensim.__version__,
    )
    with outputs.new_file(path, kind="embeddings", force=force) as partial, h5py.File(partial, "w") as file:
        hdf5.write_attributes(
            file,
            {
                **header,
                "method": word_vectors.method,
                "settings": dict(word_vectors.settings),
                "dimension": word_vectors.dimension,
            },
        )
        word_vectors.words.write_hdf5(file, "words")
        file.create_dataset("vectors", data=word_vectors.vectors_VE)
        file.create_dataset("known", data=word_vectors.known_V)


def load_word_vectors(path: Path, *, dataset_fingerprint: str | None = None) -> WordVectors:
    """Read a file that `save_word_vectors` wrote.

    Raise NotFound; BadArtefact if the file is damaged or of another kind; Mismatch if it was made from a dataset with
    another fingerprint than `dataset_fingerprint`.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(f"{path} does not exist; `prodrec pretrain-embeddings` makes it.")
    with hdf5.open_hdf5(path, remedy="make it again with `prodrec pretrain-embeddings`") as file:
        attributes = hdf5.read_attributes(
            file, kind="embeddings", path=path, json_names=("made_from", "settings"), schema=EmbeddingsFile
        )
        word_vectors = WordVectors(
            words=Texts.read_hdf5(file, "words"),
            vectors_VE=file["vectors"][:],
            known_V=file["known"][:].astype(bool),
            dataset_fingerprint=attributes["made_from"]["dataset"],
            method=attributes["method"],
            settings=attributes["settings"],
        )
    if dataset_fingerprint is not None and word_vectors.dataset_fingerprint != dataset_fingerprint:
        raise Mismatch(
            f"{path} was made from another dataset (fingerprint {word_vectors.dataset_fingerprint[:8]}, this one is "
            f"{dataset_fingerprint[:8]}); run `prodrec pretrain-embeddings` on this dataset."
        )
    return word_vectors


def nearest_words(word_vectors: WordVectors, word: str, k: int = 10) -> list[tuple[str, float]]:
    """Return the k known words whose vectors have the largest cosine with that of `word`, with the cosines.

    Raise BadOption with the most similar known word if `word` has no vector.
    """
    known = np.flatnonzero(word_vectors.known_V)
    words = word_vectors.words.take(known)
    query = word if word in words else normalise_text(word)
    if query not in words:
        raise BadOption(f"no vector for the word {word!r}{did_you_mean(query, words)}.")
    vectors_KE = word_vectors.vectors_VE[known]
    unit_KE = vectors_KE / np.maximum(np.linalg.norm(vectors_KE, axis=1, keepdims=True), 1e-12)
    own = words.index(query)
    cosine_K = unit_KE @ unit_KE[own]
    cosine_K[own] = -np.inf
    order = np.argsort(-cosine_K, kind="stable")[: min(k, len(words) - 1)]
    return [(words[i], float(cosine_K[i])) for i in order.tolist()]
