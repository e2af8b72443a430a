"""The tags of a product: the states of its attributes, and the words of its title that say most.

A run with titles weighs their words (A §3.2). Without one, the words that the fewest titles contain say most: their
weight is the inverse document frequency, which TF-IDF uses too (Spärck Jones 1972), by the counts of the vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from prodrec.core.data.titles.vocabulary import Vocabulary

SURE = 0.9
"""Probability from which a predicted state of an attribute is a tag."""
WORDS = 3
"""Words of the title that are tags."""


def idf_weights(words: Sequence[str], vocabulary: Vocabulary) -> list[float | None]:
    """Return the weight of every word by how rare it is; None for a word that the vocabulary does not contain."""
    total = max(1, int(vocabulary.counts.sum()))
    ids = [vocabulary.id_of(word) for word in words]
    return [math.log(total / max(1, int(vocabulary.counts[i - 1]))) if i else None for i in ids]


def choose_tags(
    attributes: Mapping[str, str],
    predicted: Mapping[str, tuple[str, float]],
    words: Sequence[str],
    weights: Sequence[float | None],
) -> tuple[str, ...]:
    """Return the tags of a product, each once.

    attributes: states that the table gives, by attribute
    predicted:  states that the run predicts, and their probabilities; a sure one is a tag if the table gives none
    words:      of the title, with their weights; None for words without a weight, which are no tags
    """
    sure = {name: state for name, (state, p) in predicted.items() if p >= SURE}
    states = list({**sure, **attributes}.values())
    by_word: dict[str, float] = {}
    for word, weight in zip(words, weights, strict=True):
        if weight is not None:
            by_word[word] = max(weight, by_word.get(word, weight))
    taken = {state.casefold() for state in states}
    best = sorted(by_word, key=lambda word: -by_word[word])
    chosen = [word for word in best if word.casefold() not in taken][:WORDS]
    return tuple(dict.fromkeys([*states, *chosen]))
