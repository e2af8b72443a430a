"""`encode_titles` splits, counts and encodes titles; the result depends on neither chunks nor processes."""

from __future__ import annotations

import importlib.util
from collections import Counter

import numpy as np
import pytest

from prodrec.core.data.titles.encode import encode_titles
from prodrec.core.data.titles.tokenizer import choose_tokenizer

INSTALLED = [name for name in ("jieba", "rjieba") if importlib.util.find_spec(name)]
TITLES = ["红色 shoes 红色", None, "shoes shoes bag", "", "新款 bag, shoes", "once"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", INSTALLED)
def test_titles_are_split_counted_and_encoded(workers: int, name: str) -> None:
    tokenizer = choose_tokenizer(name)
    options = {"drop_frequent": 0.2, "drop_rare": 0.2, "by": "words"}
    tokens, vocabulary, report = encode_titles(TITLES, tokenizer, workers=workers, **options)  # type: ignore[arg-type]
    words = [tokenizer(title or "") for title in TITLES]
    counts = Counter(word for title in words for word in title)
    assert vocabulary.words == ("bag", "红色", "once")
    assert vocabulary.counts.tolist() == [counts[word] for word in vocabulary.words] == [2, 2, 1]
    assert (report.words_before, report.occurrences_before) == (len(counts), counts.total())
    assert (report.frequent_examples, report.rare_examples) == (("shoes",), ("新款",))
    assert [row.tolist() for row in tokens] == [vocabulary.encode(row).tolist() for row in words]
    assert [row.tolist() for row in tokens] == [[2, 2], [], [1], [], [1], [3]]


def test_result_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = choose_tokenizer()
    titles = [f"word{i % 7} word{i % 11} 新款" for i in range(100)]
    whole = encode_titles(titles, tokenizer)
    advances: list[int] = []
    monkeypatch.setattr("prodrec.core.data.titles.encode._CHUNK_TITLES", 9)
    chunked = encode_titles(iter(titles), tokenizer, advance=advances.append)
    assert chunked[1].words == whole[1].words
    assert chunked[2] == whole[2]
    assert np.array_equal(chunked[0].values, whole[0].values)
    assert sum(advances) == 100
    assert len(advances) == 12


def test_titles_without_words_give_an_empty_vocabulary() -> None:
    tokens, vocabulary, report = encode_titles([None, "", "!"], choose_tokenizer())
    assert len(tokens) == 3
    assert tokens.lengths.tolist() == [0, 0, 0]
    assert len(vocabulary) == 0
    assert report.words_before == 0
    assert report.frequent_share == 0.0
