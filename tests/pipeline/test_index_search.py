"""Products of an index by words: those of titles, tags and categories, as their run splits them."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodrec.core.base.errors import BadOption, NotFound
from prodrec.core.data.dataset import open_dataset
from prodrec.index.product_index import ProductIndex
from prodrec.pipeline.index_search import search_index


def test_products_have_one_of_the_words_and_the_first_ones_have_all(indexed: Path) -> None:
    index = ProductIndex.open(indexed / "index")
    vocabulary = open_dataset(indexed / "dataset").vocabulary
    assert index.header.tokenizer == (vocabulary.tokenizer, vocabulary.tokenizer_version)
    frame = index.frame("title", "tags", "path")
    rows = list(frame.iter_rows())
    first, *_, last = (word for word in rows[7][0].lower().split() if word.isalpha())
    has = [
        {word for text in (title, *tags, *path) for word in text.lower().split()} >= {first, last}
        for title, tags, path in rows
    ]
    found = search_index(indexed / "index", f"{first.upper()}, {last}!", top=sum(has))
    for match in found.products:
        texts = (match.product.title, *match.product.tags, *match.product.path)
        assert {first, last} <= {word for text in texts for word in text.lower().split()}, match
    scores = [match.score for match in found.products]
    assert scores == sorted(scores, reverse=True) and len(scores) == sum(has) > 0
    assert found.as_json()["products"][0]["sku"] == found.products[0].product.sku
    assert str(found).splitlines()[0].split()[1] == found.products[0].product.sku


def test_no_product_and_mistakes(indexed: Path) -> None:
    assert "no product of the index has a word of 'zzz'" in str(search_index(indexed / "index", "zzz"))
    for words, top, message in (("…", 1, "'…' has no word"), ("red", 0, "top=0 must be at least 1")):
        with pytest.raises(BadOption, match=message):
            search_index(indexed / "index", words, top=top)
    with pytest.raises(NotFound, match="none does not exist"):
        search_index("none", "red")
