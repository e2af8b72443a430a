"""The types of calibration.json."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, MinLen
from typing_extensions import TypedDict


class LevelPhotosFile(TypedDict):
    confidence: list[float]
    correct: list[bool]


class CalibrationFile(TypedDict):
    """`Calibration`."""

    temperature: Annotated[float, Gt(0)]
    levels: Annotated[list[str], MinLen(1)]
    ece_before: float
    ece_after: float
    voters: str
    photos: dict[str, LevelPhotosFile]


class CalibrationsFile(TypedDict):
    made_from: dict[str, str]
    points: dict[str, CalibrationFile]
