"""embeddings.h5: a vector for every word of a dataset's vocabulary, and the words near to a word.

The artefact header stands in the root attributes, with `method`, `settings` and `dimension`; the datasets are `words`
and `words_offsets` (UTF-8 bytes in vocabulary order, and where each word begins; see Texts), `vectors` float32 [V, E]
and `known` bool [V].

Shapes: V words of the vocabulary (row i is word id i + 1), E numbers in a vector.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import artefact
from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch, NotFound, nearest
from prodrec.core.base.texts import Texts
from prodrec.core.data.titles.words import normalise

FILE_NAME = "embeddings.h5"


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Vectors in vocabulary order.

    vectors_VE: float32; row i belongs to word id i + 1
    known_V:    bool; whether the word had a vector. The others hold small random numbers.
    method:     skip-gram, cbow, or the kind of file that was imported; settings: how, as plain values
    """

    words: Texts
    vectors_VE: NDArray[np.float32]
    known_V: NDArray[np.bool_]
    dataset_fingerprint: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", Texts.of(self.words))
        assert len(self.words) == len(self.vectors_VE) == len(self.known_V)

    def __len__(self) -> int:
        return len(self.words)

    @property
    def dimension(self) -> int:
        return int(self.vectors_VE.shape[1])

    @property
    def fingerprint(self) -> str:
        """Of the words and their vectors."""
        parts = artefact.Fingerprint().add("words", self.words).add("vectors", self.vectors_VE)
        return parts.add("known", self.known_V).hexdigest()


def save(path: Path, word_vectors: WordVectors, *, force: bool = False) -> None:
    """Write embeddings.h5 beside `path`, then rename. Raises OutputExists where it is taken and `force` is not set."""
    import gensim
    import h5py

    head = artefact.header(
        "embeddings",
        fingerprint=word_vectors.fingerprint,
        made_from={"dataset": word_vectors.dataset_fingerprint},
        gensim=gensim.__version__,
    )
    with artefact.new_file(path, kind="embeddings", force=force) as beside, h5py.File(beside, "w") as file:
        for key, value in head.items():
            file.attrs[key] = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
        file.attrs["method"] = word_vectors.method
        file.attrs["settings"] = json.dumps(dict(word_vectors.settings), ensure_ascii=False)
        file.attrs["dimension"] = word_vectors.dimension
        word_vectors.words.write_hdf5(file, "words")
        file.create_dataset("vectors", data=word_vectors.vectors_VE)
        file.create_dataset("known", data=word_vectors.known_V)


def load(path: Path, *, dataset_fingerprint: str | None = None) -> WordVectors:
    """Read what `save` wrote.

    Raises NotFound, BadArtefact for another or a damaged file, Mismatch where `dataset_fingerprint` is given and it was
    made from another dataset.
    """
    import h5py

    path = Path(path)
    if not path.exists():
        raise NotFound(f"{path} does not exist; `prodrec pretrain-embeddings` makes it.")
    try:
        with h5py.File(path, "r") as file:
            attributes = dict(file.attrs)
            artefact.check_header(attributes, kind="embeddings", path=path)
            found = WordVectors(
                words=Texts.read_hdf5(file, "words"),
                vectors_VE=file["vectors"][:],
                known_V=file["known"][:].astype(bool),
                dataset_fingerprint=json.loads(attributes["made_from"])["dataset"],
                method=attributes["method"],
                settings=json.loads(attributes["settings"]),
            )
    except (OSError, KeyError, ValueError, TypeError, AssertionError) as error:
        raise BadArtefact(f"{path} is truncated or no embeddings file ({error}); make it again.") from error
    if dataset_fingerprint is not None and found.dataset_fingerprint != dataset_fingerprint:
        raise Mismatch(
            f"{path} was made from another dataset (fingerprint {found.dataset_fingerprint[:8]}, this one is "
            f"{dataset_fingerprint[:8]}); run `prodrec pretrain-embeddings` on this dataset."
        )
    return found


def neighbours(word_vectors: WordVectors, word: str, k: int = 10) -> list[tuple[str, float]]:
    """The k known words whose vectors have the largest cosine with that of `word`, with the cosine.

    Raises BadOption, naming the nearest known word, where `word` has no vector.
    """
    known = np.flatnonzero(word_vectors.known_V)
    names = word_vectors.words.take(known)
    wanted = word if word in names else normalise(word)
    if wanted not in names:
        raise BadOption(f"no vector for the word {word!r}{nearest(wanted, names.like(wanted))}.")
    vectors = word_vectors.vectors_VE[known]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    own = names.index(wanted)
    cosine = unit @ unit[own]
    cosine[own] = -np.inf
    order = np.argsort(-cosine, kind="stable")[: min(k, len(names) - 1)]
    return [(names[i], float(cosine[i])) for i in order.tolist()]
