"""The types of operating_points.json."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from annotated_types import Ge, Gt, Lt
from typing_extensions import TypedDict


class PointFile(TypedDict):
    """`OperatingPoint`."""

    __pydantic_config__ = {"extra": "forbid"}  # type: ignore[misc]  # noqa: RUF012 - every key is an argument

    name: str
    tau: float | None
    beta: Annotated[float, Ge(0), Lt(1)]
    neighbours: Annotated[int, Gt(0)]
    temperature: Annotated[float, Gt(0)]
    rho: float
    voters: str


class VotingFile(TypedDict, total=False):
    natural: PointFile
    balanced: PointFile


class NotVotingFile(TypedDict):
    natural: PointFile
    balanced: PointFile


class PointsFile(TypedDict):
    with_neighbours: VotingFile
    without_neighbours: NotVotingFile
    validation: list[dict[str, Any]]
    validation_photos: Annotated[int, Ge(0)]


class OperatingPointsFile(PointsFile):
    """`OperatingPoints`."""

    made_from: dict[str, str]
    titled: NotRequired[PointsFile]
