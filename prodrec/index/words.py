"""The words by which products are found: of title, tags and categories, split as the titles of the run were."""

from __future__ import annotations

from collections.abc import Iterable

from prodrec.core.data.tables.markup import clean_title
from prodrec.core.data.titles.tokenizer import recorded_tokenizer


def split_words(texts: Iterable[str], tokenizer: tuple[str, str]) -> list[str]:
    """Return the words of texts, in lower case, without HTML.

    tokenizer: name and version, as a run records them

    Raise BadOption if a library of the tokenizer is not installed.
    """
    split = recorded_tokenizer(*tokenizer)
    return [word for text in texts for word in split(clean_title(text))]


def product_words(title: str, tags: Iterable[str], path: Iterable[str], tokenizer: tuple[str, str]) -> str:
    """Return the words of a product, separated by spaces: those of its title, and others of its tags and categories."""
    words = split_words([title], tokenizer)
    more = dict.fromkeys(split_words([*tags, *path], tokenizer))
    return " ".join([*words, *(word for word in more if word not in words)])
