"""The types of the root attributes of scores.h5."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from annotated_types import Ge, MinLen
from typing_extensions import TypedDict


class ScoresFile(TypedDict):
    """`Origin`, and what `schema` describes beside it."""

    fingerprint: str
    rows: Annotated[int, Ge(0)]
    levels: Annotated[list[str], MinLen(1)]
    attributes: list[str]
    splits: list[str]
    run: str
    family: str
    made_from: dict[str, str]
    seed: int | None
    recipe: dict[str, Any]
    with_titles: bool | int
    operating_point: NotRequired[str]
    views: NotRequired[str]
    tree_weight: NotRequired[float | int]
