"""Exceptions have exit codes; messages suggest the most similar name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection

import pytest

from prodrec.core.base import errors
from prodrec.core.base.errors import Interrupted, ProdrecError, UserError, did_you_mean
from prodrec.core.base.texts import Texts

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ProdrecError)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_an_exit_code_and_a_docstring(kind: type[ProdrecError]) -> None:
    expected = 2 if issubclass(kind, UserError) else 130 if issubclass(kind, Interrupted) else 1
    assert kind("message").exit_code == expected
    assert kind.__doc__ and str(kind("message")) == "message"


def test_what_the_user_can_correct_is_a_user_error() -> None:
    users = {kind.__name__ for kind in ALL if issubclass(kind, UserError)} - {"UserError"}
    data_errors = {"BadTable", "BadFeatures", "BadPhoto", "BadArtefact"}
    assert users == {"NotFound", "OutputExists", "RunLocked", "BadOption", "Mismatch", *data_errors}


@pytest.mark.parametrize(
    ("word", "names", "similar"),
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
def test_the_most_similar_name(word: str, names: list[str], similar: str | None) -> None:
    assert did_you_mean(word, names) == (f" (did you mean {similar}?)" if similar else "")


@pytest.mark.parametrize("kind", [tuple, Texts.from_strings])
def test_no_name_is_suggested_from_too_many(kind: Callable[[list[str]], Collection[str]]) -> None:
    names = ["batch_size", *map(str, range(errors.MAX_NAMES - 1))]
    assert did_you_mean("bachsize", kind(names)) == " (did you mean batch_size?)"
    assert did_you_mean("bachsize", kind([*names, "one more"])) == ""


def test_the_most_similar_of_texts() -> None:
    names = Texts.from_strings(["", "a", "ab", "Bach_size", "batch", "x" * 40 + "batch_size", "颜色", "尺码"])
    assert did_you_mean("bachsize", names) == " (did you mean Bach_size?)"
    assert did_you_mean("颜色类", names) == " (did you mean 颜色?)"
    assert did_you_mean("x", Texts.from_strings(())) == ""
    assert did_you_mean("BAGS", Texts.from_strings(["dress", "bag", "bags"])) == " (did you mean bags?)"
