from __future__ import annotations

from typing import Any

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 8}, "--size 8"),
        ({"split": "7:2"}, "--split 7:2"),
        ({"near_duplicates": "maybe"}, "--near-duplicates maybe"),
        ({"only_with_attributes": True}, "needs --attributes"),
        ({"min_attribute_images": 5}, "needs --attributes"),
        ({"balanced_test": 0}, "--balanced-test 0"),
        ({"balanced_test": 3, "columns": ColumnNames(split="fold")}, "one of them"),
        ({"drop_frequent": 0.6, "drop_rare": 0.6}, "leaves none"),
        ({"trim_by": "letters"}, "letters"),
        ({"seed": -1}, "--seed -1"),
    ],
)
def test_invalid_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadOption, match=words):
        PrepareOptions(**options)


@pytest.mark.parametrize(
    ("inputs", "options", "words"),
    [
        ("features", {"size": 64}, "--size is about photos and does nothing with --features"),
        ("features", {"in_place": True}, "--in-place"),
        ("features", {"near_duplicates": "4"}, "--near-duplicates"),
        ("nothing", {"drop_conflicts": True}, "--drop-conflicts is about photos and does nothing with --no-images"),
        ("nothing", {"pixel_limit": 10}, "--pixel-limit"),
    ],
)
def test_options_without_effect_are_refused(inputs: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadOption, match=words):
        PrepareOptions(inputs=inputs, **options)
