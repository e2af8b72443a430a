"""The types of index.json, as far as an index cannot be used without them."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Gt, Le
from typing_extensions import TypedDict

from prodrec.core.scores.point_file import PointFile


class RunFile(TypedDict):
    name: str
    path: str


class TokenizerFile(TypedDict):
    name: str
    version: str


class SearchFile(TypedDict):
    wanted: str
    probes: Annotated[int, Ge(0)]
    recall: Annotated[float, Ge(0), Le(1)]
    queries: Annotated[int, Ge(0)]


class ValidationFile(TypedDict):
    by: str
    name: str
    top1: float
    macc: float


class IndexFile(TypedDict):
    """`IndexHeader`."""

    fingerprint: str
    made_from: dict[str, str]
    build: str
    run: RunFile
    level: str
    width: Annotated[int, Gt(0)]
    splits: list[str]
    options: dict[str, Any]
    tokenizer: TokenizerFile
    points: dict[str, dict[str, PointFile]]
    calibration: dict[str, dict[str, Any]]
    validation: list[ValidationFile]
    validation_photos: Annotated[int, Ge(0)]
    search: SearchFile
