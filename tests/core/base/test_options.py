"""Options defined by dataclasses: conversion, ranges, and the signature that shows them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.core.base.options import check_ranges, option, options_of, read_options, with_options


@dataclass(frozen=True)
class Sizes:
    fixed: int = 0
    side: int = option(10, "Side in pixels.", group="Photos", minimum=2, maximum=20)
    share: float | None = option(None, "A share.", minimum=0)

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Names:
    split: str | None = option(None, "The split.", name="split_column", metavar="COLUMN")
    levels: tuple[str, ...] = option((), "The levels.")


def test_options_are_defined_by_fields() -> None:
    options = options_of(Sizes, Names)
    assert list(options) == ["side", "share", "split_column", "levels"]
    column = options["split_column"]
    assert (column.owner, column.field, column.flag, column.metavar) == (Names, "split", "--split-column", "COLUMN")
    assert (options["side"].default, options["side"].group, options["side"].hint) == (10, "Photos", int)


def test_values_are_converted_to_the_type_of_the_field() -> None:
    values = read_options((Sizes, Names), {"side": "12", "split_column": "fold", "levels": "a, b"}, source="x.toml")
    assert values == {Sizes: {"side": 12}, Names: {"split": "fold", "levels": ("a", "b")}}
    assert read_options((Names,), {"levels": ["a", "b"]}, source="call")[Names]["levels"] == ("a", "b")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sides": 3}, "x.toml: unknown option 'sides' (did you mean side?)"),
        ({"side": "wide"}, "x.toml: side=wide is not usable"),
        ({"split": "fold"}, "unknown option 'split'"),
    ],
)
def test_unknown_options_and_wrong_types_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption) as error:
        read_options((Sizes, Names), values, source="x.toml")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"side": 1}, "--side 1 is too small; expected at least 2."),
        ({"side": 21}, "--side 21 is too large; expected at most 20."),
        ({"share": -0.5}, "--share -0.5 is too small; expected at least 0."),
    ],
)
def test_ranges(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption) as error:
        Sizes(**values)
    assert str(error.value) == message
    assert Sizes(side=2) == Sizes(side=2, share=None)


def test_a_signature_shows_the_options() -> None:
    @with_options(Sizes, Names)
    def work(path: str, *, force: bool = False, **options: Any) -> dict[str, Any]:
        """Work.

        Args:
            path: a path.
        **options: the options below.
        """
        return options

    assert list(inspect.signature(work).parameters) == ["path", "force", "side", "share", "split_column", "levels"]
    assert "        side: Side in pixels." in (work.__doc__ or "") and "**options" not in (work.__doc__ or "")
    assert work("here", side=3) == {"side": 3}
