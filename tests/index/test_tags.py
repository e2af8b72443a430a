"""Tags: given states before predicted ones, only sure ones, and the words that say most."""

from __future__ import annotations

import math

import numpy as np
import pytest

from prodrec.core.data.titles.vocabulary import Vocabulary
from prodrec.index.tags import SURE, choose_tags, idf_weights


def test_given_states_win_and_only_sure_states_are_predicted() -> None:
    predicted = {"colour": ("Blue", 0.99), "gender": ("Men", SURE), "season": ("Summer", SURE - 0.01)}
    assert choose_tags({"colour": "Red"}, predicted, [], []) == ("Red", "Men")
    assert choose_tags({}, predicted, [], []) == ("Blue", "Men")


def test_words_with_the_largest_weights() -> None:
    words = ["nike", "red", "men", "air", "Nike", "max", "unknown"]
    weights = [3.0, 9.0, 0.5, 2.0, 1.0, 2.5, None]
    assert choose_tags({"colour": "Red"}, {}, words, weights) == ("Red", "nike", "max", "air")
    assert choose_tags({}, {}, ["a", "a"], [1.0, 2.0]) == ("a",)


def test_rare_words_weigh_most() -> None:
    vocabulary = Vocabulary(("shoe", "nike", "pegasus"), np.array([80, 15, 5]), "jieba", "0")
    weights = idf_weights(["shoe", "pegasus", "none"], vocabulary)
    assert weights[:2] == pytest.approx([math.log(100 / 80), math.log(100 / 5)]) and weights[2] is None
