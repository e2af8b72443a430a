"""The titles that users pass with photos, their words and the weights of these.

Shapes: T words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.core.data.tables.markup import clean_title
from prodrec.core.data.titles.tokenizer import recorded_tokenizer
from prodrec.core.data.titles.vocabulary import Vocabulary
from prodrec.inference.results import Word


def titles_of_photos(titles: str | Sequence[str] | None, photos: int, *, pool: bool) -> list[str | None]:
    """Return the title of each of so many photos, None for those without.

    pool: the photos show one product, which has one title

    Raise BadOption for a wrong number of titles.
    """
    if titles is None:
        return [None] * photos
    texts = [titles] if isinstance(titles, str) else list(titles)
    if pool:
        if len(texts) != 1:
            raise BadOption(f"{len(texts):,} titles for the photos of one product; give one title with pool=True.")
        return list(texts * photos)
    if len(texts) != photos:
        raise BadOption(f"{len(texts):,} titles for {photos:,} photos; give one title for each photo.")
    return list(texts)


def split_title(title: str, vocabulary: Vocabulary) -> list[str]:
    """Return the words of `title`, without HTML, as `prodrec prepare` split those of the training data."""
    return recorded_tokenizer(vocabulary.tokenizer, vocabulary.tokenizer_version)(clean_title(title))


def weigh_words(words: Sequence[str], weights_T: NDArray[np.float32], vocabulary: Vocabulary) -> list[Word]:
    """Return every word with its weight. `weights_T` has no weights of words outside the vocabulary."""
    weights = iter(weights_T.tolist())
    is_known = [vocabulary.id_of(word) > 0 for word in words]
    return [Word(word, next(weights) if known else None) for word, known in zip(words, is_known, strict=True)]
