"""The type of an operating point in the JSON files of runs and of indices."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Lt
from typing_extensions import TypedDict


class PointFile(TypedDict):
    """`OperatingPoint`; a weight of the vote near 1 lets it decide alone."""

    __pydantic_config__ = {"extra": "forbid"}  # type: ignore[misc]  # noqa: RUF012 - every key is an argument

    name: str
    tau: float | None
    beta: Annotated[float, Ge(0), Lt(1)]
    neighbours: Annotated[int, Gt(0)]
    temperature: Annotated[float, Gt(0)]
    rho: float
    voters: str
