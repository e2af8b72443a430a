"""`pretrain_embeddings` writes its file, and an error leaves an existing file unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact, NotFound, OutputExists
from prodrec.core.base.ragged import Ragged
from prodrec.core.data.titles.embeddings import load_word_vectors
from prodrec.core.data.titles.encode import encode_titles
from prodrec.core.data.titles.tokenizer import choose_tokenizer
from prodrec.core.data.titles.vocabulary import Vocabulary
from prodrec.pipeline.pretrain_embeddings import pretrain_embeddings


@dataclass
class Titles:
    """The part of a dataset that word vectors need."""

    path: Path
    tokens: Ragged
    vocabulary: Vocabulary
    train: NDArray[np.int64]
    fingerprint: str = "f" * 32

    def rows(self, split: str) -> NDArray[np.int64]:
        assert split == "train"
        return self.train


@pytest.fixture
def titles(tmp_path: Path) -> Any:
    text = ["sneaker lace sole", "kettle steel lid"] * 50
    tokens, vocabulary, _ = encode_titles(text, choose_tokenizer(), drop_frequent=0, drop_rare=0)
    return Titles(tmp_path / "dataset", tokens, vocabulary, np.arange(len(text)))


def test_the_whole_step_writes_and_does_not_overwrite(titles: Any, tmp_path: Path) -> None:
    out = tmp_path / "e.h5"
    word_vectors = pretrain_embeddings(titles, out=out, dimension=8, epochs=1)
    assert load_word_vectors(out, dataset_fingerprint=titles.fingerprint).fingerprint == word_vectors.fingerprint
    with pytest.raises(OutputExists, match="--force"):
        pretrain_embeddings(titles, out=out, epochs=1)
    source = tmp_path / "v.vec"
    source.write_text("2 2\nunrelated 9.0 9.0\nsneaker 3.0 4.0\n", "utf-8")
    pretrain_embeddings(titles, out=out, source=source, force=True)
    assert load_word_vectors(out, dataset_fingerprint=titles.fingerprint).method == "imported text"
    with pytest.raises(NotFound, match="absent"):
        pretrain_embeddings(titles, out=out, source=tmp_path / "absent.vec", force=True)
    with pytest.raises(BadArtefact, match="contains no word vectors"):
        pretrain_embeddings(titles, out=out, source=Path(__file__), force=True)
    assert load_word_vectors(out).method == "imported text"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.h5", "v.vec"]
