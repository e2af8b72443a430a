"""Titles of similar leaves share words; noise, colours and brands occur everywhere."""

from __future__ import annotations

import random

from prodrec.core.data.titles.tokenizer import choose_tokenizer
from prodrec.demo.titles import MATERIALS, TREE, write_title


def words_of(leaf: str, titles: int = 150) -> set[str]:
    rng, tokenizer = random.Random(leaf), choose_tokenizer()
    material = MATERIALS[TREE[leaf].root][0]
    return {word for _ in range(titles) for word in tokenizer(write_title(leaf, "red", "striped", material, rng))}


def test_similar_leaves_share_more_words_than_others() -> None:
    shirts, vests, pots = words_of("T-Shirts"), words_of("Vests"), words_of("Teapots")
    assert "top" in shirts & vests
    assert "top" not in pots
    assert len(shirts & vests) > len(shirts & pots)


def test_noise_and_colours_occur_everywhere() -> None:
    for leaf in ("T-Shirts", "Teapots"):
        assert {"包邮", "新款", "free", "shipping", "red", "红色", "条纹"} <= words_of(leaf)


def test_tokenizer_keeps_brands_whole() -> None:
    assert "nord-vik" in words_of("Sneakers")
    assert "k&p" in words_of("Mugs")
    assert "o'malley" in words_of("Skirts")
