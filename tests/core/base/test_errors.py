"""The tree of errors and its exit codes; the nearest known name."""

from __future__ import annotations

import inspect

import pytest

from prodrec.core.base import errors
from prodrec.core.base.errors import Interrupted, ProdrecError, UserError, nearest

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ProdrecError)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_an_exit_code_and_says_when_it_is_raised(kind: type[ProdrecError]) -> None:
    expected = 2 if issubclass(kind, UserError) else 130 if issubclass(kind, Interrupted) else 1
    assert kind("what was found").exit_code == expected
    assert kind.__doc__ and str(kind("what was found")) == "what was found"


def test_what_the_user_can_mend_is_a_user_error() -> None:
    users = {kind.__name__ for kind in ALL if issubclass(kind, UserError)} - {"UserError"}
    of_data = {"BadTable", "BadFeatures", "BadPhoto", "BadArtefact"}
    assert users == {"NotFound", "OutputExists", "RunLocked", "BadOption", "Mismatch", *of_data}


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("bachsize", ["lr", "batch_size", "seed"], "batch_size"),
        ("LR", ["lr", "seed"], "lr"),
        ("articletype", ["articleType", "subCategory"], "articleType"),
        ("wieghts", ["width", "weights"], "weights"),
        ("xyzzy", ["lr", "batch_size"], None),
        ("lr", [], None),
        ("", ["lr"], None),
        ("颜色类", ["颜色", "尺码"], "颜色"),
    ],
)
def test_the_nearest_name(word: str, known: list[str], near: str | None) -> None:
    assert nearest(word, iter(known)) == (f" (did you mean {near}?)" if near else "")
