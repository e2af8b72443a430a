"""Searching by words: what the words of a product are, which products they find, and after an update."""

from __future__ import annotations

import math

from prodrec.index.product_index import ProductIndex
from prodrec.index.words import product_words, split_words
from prodrec.index.writer import open_to_write, replace_products

from .conftest import TOKENIZER, MakeIndex, draw_rows

TITLES = {
    "P1": "Red running shoes for men",
    "P2": "Blue running shoe",
    "P3": "红色运动鞋 女",
    "P4": "Café table",
    "P5": "L'Oréal <b>lipstick</b> 2.5 g",
}


def index_of_titles(make_index: MakeIndex) -> ProductIndex:
    index = make_index([(sku, 1) for sku in TITLES])
    with open_to_write(index.path) as opened:
        write_titles(opened, TITLES)
    return index.refreshed()


def write_titles(index: ProductIndex, titles: dict[str, str]) -> None:
    rows = draw_rows([(sku, 2) for sku in titles])
    rows.title[:] = [title for title in titles.values() for _ in range(2)]  # type: ignore[index]  # a list
    words = [product_words(title, (), (), TOKENIZER) for title in titles.values()]
    rows.words[:] = [text for one in words for text in (one, "")]  # type: ignore[index]
    replace_products(index, rows, list(titles))


def found(index: ProductIndex, text: str) -> list[str]:
    return [match.product.sku for match in index.with_words(text, 10)]


def test_the_words_of_a_product_are_those_of_its_title_and_others_of_tags_and_categories() -> None:
    words = product_words("Red Shoes, red!", ["red", "Canvas"], ["Footwear", "Running shoes"], TOKENIZER)
    assert words == "red shoes red canvas footwear running"
    assert split_words(["L'Oréal <b>lipstick</b> 2.5 g"], TOKENIZER) == ["l'oréal", "lipstick", "2.5", "g"]
    assert split_words(["红色运动鞋 女"], TOKENIZER) == ["红色", "运动鞋", "女"]


def test_words_find_products(make_index: MakeIndex) -> None:
    index = index_of_titles(make_index)
    assert found(index, "red SHOES") == ["P1", "P2"], "both have the second word, one has the first"
    assert found(index, "running shoe") == ["P2", "P1"], "of the same stem; the shorter title is described better"
    assert found(index, "红色的鞋 运动鞋") == ["P3"] and found(index, "女") == ["P3"]
    assert found(index, "cafe") == ["P4"] and found(index, "l'oreal") == ["P5"]
    assert found(index, "boots") == found(index, "") == found(index, '" OR *') == found(index, "b") == []
    (first, *_) = index.with_words("red shoes", 1)
    assert first.product.title == TITLES["P1"] and first.product.photos == 2 and first.as_json()["score"] == first.score


def test_scores_are_those_of_bm25(make_index: MakeIndex) -> None:
    """Robertson & Zaragoza 2009, with k1 = 1.2 and b = 0.75; further photos of a product are no documents."""
    index = index_of_titles(make_index)
    lengths = [len(split_words([title], TOKENIZER)) for title in TITLES.values()]
    (match,) = index.with_words("table", 5)
    idf = math.log(1 + (len(TITLES) - 1 + 0.5) / 1.5)
    expected = idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * lengths[3] / (sum(lengths) / len(TITLES))))
    assert math.isclose(match.score, expected, rel_tol=1e-4)


def test_an_update_changes_what_words_find(make_index: MakeIndex) -> None:
    reader = index_of_titles(make_index)
    with open_to_write(reader.path) as index:
        write_titles(index, {"P2": "Green boots", "P6": "Running shoes"})
    newest = reader.refreshed()
    assert found(newest, "running") == ["P6", "P1"] and found(newest, "boot") == ["P2"]
    assert found(reader, "running") == ["P2", "P1"] and found(reader, "boot") == []
    with open_to_write(reader.path) as index:
        replace_products(index, None, ["P1", "P6"])
    assert found(newest.refreshed(), "running") == []
