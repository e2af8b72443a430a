"""The settings of the page: those that differ from the defaults or between runs, and no others."""

from __future__ import annotations

from prodrec.eval.page.facts import settings_content
from prodrec.eval.page.inputs import RunFacts

DEFAULTS = {"lr": 0.1, "epochs": 9, "heads": ["leaf"]}


def test_only_settings_that_differ_are_listed() -> None:
    runs = [RunFacts({**DEFAULTS, "lr": 0.2}, DEFAULTS), RunFacts({**DEFAULTS, "lr": 0.2, "epochs": 5.0}, DEFAULTS)]
    content = settings_content(["a", "b"], runs)
    assert [(row["name"], row["between"]) for row in content["rows"]] == [("lr", False), ("epochs", True)]
    assert content["rows"][0]["cells"] == [{"value": "0.2", "default": "0.1"}] * 2
    assert [cell["default"] for cell in content["rows"][1]["cells"]] == [None, "9"]
    assert content["same"] == 1 and not content["unknown"]


def test_a_family_without_known_defaults() -> None:
    content = settings_content(["a", "b"], [RunFacts(DEFAULTS), RunFacts({"lr": 0.3})])
    assert [row["name"] for row in content["rows"]] == ["lr", "epochs", "heads"] and content["unknown"]
    assert content["rows"][1]["cells"][1] == {"value": "n/a", "default": None}
