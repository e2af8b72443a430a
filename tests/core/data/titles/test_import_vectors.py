"""`import_word_vectors` finds the words of a vocabulary in a file, in their own or another spelling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.errors import Mismatch
from prodrec.core.data.titles.import_vectors import import_word_vectors
from prodrec.core.data.titles.vocabulary import Vocabulary

SHOES = ("sneaker", "lace", "sole", "running", "heel", "运动")
POTS = ("kettle", "steel", "lid", "boil", "handle", "厨房")
VOCABULARY = Vocabulary((*SHOES, *POTS, "secret"), np.ones(13, np.int64), "jieba", "0.42.1")


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


def test_exact_spelling_comes_before_other_spellings(tmp_path: Path) -> None:
    vectors = import_word_vectors(write_text(tmp_path / "v.vec", ROWS), VOCABULARY)
    row = {word: vectors.vectors_VE[i].tolist() for i, word in enumerate(vectors.words)}
    assert row["sneaker"] == [3.0, 4.0]
    assert row["kettle"] == [7.0, 8.0]
    assert row["厨房"] == [0.5, 0.25]
    assert [word for word, known in zip(vectors.words, vectors.known_V, strict=True) if known] == [
        word for word in VOCABULARY.words if word in ("sneaker", "kettle", "厨房")
    ]
    assert 0 < np.abs(row["lace"]).max() <= 0.25
    assert (vectors.settings["exact"], vectors.settings["other_spelling"], vectors.settings["from_parts"]) == (2, 1, 0)
    assert vectors.method == "imported text"


def test_another_dimension_or_language_raises(tmp_path: Path) -> None:
    path = write_text(tmp_path / "v.vec", ROWS)
    with pytest.raises(Mismatch, match="2 numbers for a word and --dimension asks for 3"):
        import_word_vectors(path, VOCABULARY, dimension=3)
    with pytest.raises(Mismatch, match="none of the 13 words"):
        import_word_vectors(write_text(tmp_path / "w.vec", {"unrelated": [1.0]}), VOCABULARY)
