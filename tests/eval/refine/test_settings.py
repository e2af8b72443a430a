"""Settings: values out of range, and K in words and numbers."""

from __future__ import annotations

from typing import Any

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.eval.refine.settings import MCRSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lambda_": -1.0}, "--lambda -1: expected auto or a number that is not negative"),
        ({"lambda_": float("nan")}, "--lambda nan"),
        ({"lambda_": float("inf")}, "--lambda inf"),
        ({"k": 0}, "--k 0: expected at least 1"),
        ({"k": "many"}, "--k many"),
        ({"normaliser": "levle"}, "did you mean level"),
        ({"penalty": "none"}, "expected identity or weights"),
        ({"candidates": 0}, "--candidates 0"),
        ({"folds": 1}, "--folds 1 is too small; expected at least 2"),
        ({"iterations": 0}, "--iterations 0"),
    ],
)
def test_values_out_of_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        MCRSettings(**values)


def test_k_in_words_and_numbers() -> None:
    assert [MCRSettings(k=k).effective_k for k in (None, "all", 1, 7)] == [3, None, 1, 7]
    assert MCRSettings().as_json()["lambda"] == "auto"
    assert MCRSettings(lambda_=2.0, k="all").as_json()["k"] == "all"
