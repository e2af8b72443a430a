"""`prodrec index search`: the products of an index that words describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    from prodrec.index.products import Match


@dataclass(frozen=True)
class WordSearch:
    """The products that words describe, best first."""

    words: str
    products: Sequence[Match]

    def __str__(self) -> str:
        from prodrec.core.base.taxonomy import PATH_SEPARATOR

        lines = []
        for match in self.products:
            path = f" ({PATH_SEPARATOR.join(match.product.path)})" if match.product.path else ""
            lines.append(f"{match.score:6.2f} {match.product.sku} {match.product.title}{path}")
        return "\n".join(lines) or f"no product of the index has a word of {self.words!r}"

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec index search --json` prints them."""
        return {"words": self.words, "products": [match.as_json() for match in self.products]}


def search_index(index: str | Path, words: str, *, top: int = 10) -> WordSearch:
    """Return the products of an index whose title, tags and categories are described best by words.

    A product needs one of the words, and is better the more of them it has and the rarer these are (BM25).

    Args:
        index: directory of an index.
        words: words in any form, as customers type them.
        top: number of products.

    Raises:
        NotFound: if the index does not exist.
        BadArtefact: if it is damaged.
        BadOption: if `top` is below 1, there is no word, or a library that splits the titles of the index is missing.
    """
    from prodrec.index.product_index import ProductIndex
    from prodrec.index.words import split_words

    if top < 1:
        raise BadOption(f"top={top} must be at least 1.")
    opened = ProductIndex.open(Path(index))
    if not split_words([words], opened.header.tokenizer):
        raise BadOption(f"{words!r} has no word; give words of titles, tags or categories.")
    return WordSearch(words, opened.with_words(words, top))
