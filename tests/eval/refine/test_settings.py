"""Settings refuse what they cannot mean."""

from __future__ import annotations

from typing import Any

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.eval.refine.settings import Settings


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"strength": -1.0}, "--lambda -1: expected auto or a number that is not negative"),
        ({"strength": float("nan")}, "--lambda nan"),
        ({"strength": float("inf")}, "--lambda inf"),
        ({"k": 0}, "--k 0: expected at least 1"),
        ({"k": "many"}, "--k many"),
        ({"normaliser": "levle"}, "did you mean level"),
        ({"penalty": "none"}, "expected identity or weights"),
        ({"candidates": 0}, "--candidates 0"),
        ({"folds": 1}, "--folds 1: expected at least 2"),
        ({"iterations": 0}, "--iterations 0"),
    ],
)
def test_what_cannot_be_meant(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(BadOption, match=told):
        Settings(**wrong)


def test_k_in_words_and_numbers() -> None:
    assert [Settings(k=k).most_related for k in ("usual", "all", 1, 7)] == [3, None, 1, 7]
    assert Settings().as_json()["lambda"] == "auto" and Settings(strength=2.0, k="all").as_json()["k"] == "all"
