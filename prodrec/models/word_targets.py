"""Chooses the words of the titles that a network learns to predict from the photo.

This module does not import torch. Shapes: V words of the vocabulary, W words to predict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.core.data.titles.word_counts import words_per_title

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.models.network_config import NetworkConfig


@dataclass(frozen=True, eq=False)
class WordTargets:
    """The words to predict.

    target_of_word: int64 [V + 1], the index of each word among those to predict, or -1; row 0 is the padding
    weights_W:      float32, weight of each word among those of its title
    """

    target_of_word: NDArray[np.int64]
    weights_W: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.weights_W)


def choose_word_targets(config: NetworkConfig, dataset: Dataset) -> WordTargets:
    """Return the words to predict, from the training titles.

    A word counts once for each title that contains it. Raise BadOption if fewer than two words remain.
    """
    titles_V = dataset.train_titles_with_word
    fewest = config.word_target_rows or min(10, max(2, len(dataset.rows("train")) // 1000))
    candidate_V = titles_V >= fewest
    if config.word_targets == "beyond-class":
        candidate_V[_words_of_class_names(dataset)] = False
    candidate_V[0] = False
    words = np.flatnonzero(candidate_V)
    words = np.sort(words[np.argsort(-titles_V[words], kind="stable")][: config.word_target_count])
    if len(words) < 2:
        raise BadOption(
            f"heads=words: {len(words)} of the {len(dataset.vocabulary):,} words of the training titles can be "
            f"predicted (word_target_rows={fewest}, word_targets={config.word_targets}); prepare the dataset with "
            "titles, lower word_target_rows, or omit words."
        )
    target_of_word = np.full(len(titles_V), -1, np.int64)
    target_of_word[words] = np.arange(len(words))
    weights_W = np.ones(len(words), np.float32)
    if config.word_target_weights == "idf":
        weights_W = np.log(len(dataset.rows("train")) / titles_V[words]).clip(min=1e-3).astype(np.float32)
    return WordTargets(target_of_word, weights_W)


def count_targets(targets: WordTargets, dataset: Dataset, rows_R: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of words to predict in the title of every row, int64 [R]; a word counts once."""
    return words_per_title(dataset.tokens, rows_R, targets.target_of_word >= 0)


def _words_of_class_names(dataset: Dataset) -> NDArray[np.int64]:
    """Return the ids of the words in the names of the classes of all levels."""
    vocabulary = dataset.vocabulary
    ids = {int(word) for names in dataset.taxonomy.names for name in names for word in vocabulary.encode_text(name)}
    return np.array(sorted(ids), np.int64)
