"""The types of operating_points.json."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from annotated_types import Ge
from typing_extensions import TypedDict

from prodrec.core.scores.point_file import PointFile


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
