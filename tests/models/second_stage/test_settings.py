"""Settings without effect, out of range or of no method are refused with one sentence."""

from __future__ import annotations

import re
from typing import Any

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.models.second_stage.settings import EFFECTIVE, METHODS, SecondStage

VALUES: dict[str, Any] = {"epochs": 2.0, "lr": 0.1, "seed": 0, "tau": 0.0, "shrinkage": 0.0, "mirror": True}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", VALUES)
def test_a_setting_has_an_effect_or_is_refused(method: str, name: str) -> None:
    if method in EFFECTIVE[name]:
        assert SecondStage(method, **{name: VALUES[name]}).effective()[name] == VALUES[name]
        return
    with pytest.raises(BadOption, match=f"^--{name} has no effect with --method {method}; omit it, or use --method"):
        SecondStage(method, **{name: VALUES[name]})


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("cr", {}, "--method cr: no such method (did you mean crt?); there are crt, lws, tau-norm, ncm, lda."),
        ("crt", {"epochs": 0.0}, "--epochs 0: expected a number above 0."),
        ("lws", {"lr": -1.0}, "--lr -1: expected a number above 0."),
        ("crt", {"seed": -1}, "--seed -1: expected at least 0."),
        ("tau-norm", {"tau": -0.1}, "--tau -0.1: expected a number from 0 to 2."),
        ("lda", {"shrinkage": 1.5}, "--shrinkage 1.5: expected a number from 0 to 1."),
    ],
)
def test_values_out_of_range(method: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=f"^{re.escape(message)}"):
        SecondStage(method, **settings)
