"""The types of run.json, and of the header of a checkpoint."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from prodrec.core.data.dataset_file import Count, FeaturesFile, PhotosFile


class ArithmeticFile(TypedDict):
    dtype: Literal["float32", "bfloat16", "float16", "float64"]
    channels_last: bool


class WordVectorsFile(TypedDict):
    fingerprint: NotRequired[str]
    dimension: NotRequired[Count]


class InputsFile(TypedDict):
    photos: NotRequired[PhotosFile]
    features: NotRequired[FeaturesFile]


class TokenizerFile(TypedDict):
    name: str
    version: str


class ResultFile(TypedDict):
    epochs: NotRequired[list[dict[str, Any]]]
    kept_epoch: NotRequired[Count]


class MadeFromFile(TypedDict):
    dataset: str


class OriginFile(TypedDict):
    run: str
    fingerprint: str
    method: str


class RunFile(TypedDict):
    fingerprint: str
    made_from: MadeFromFile
    family: str
    status: Literal["training", "finished"]
    identity: str
    recipe: dict[str, Any]  # `Recipe.from_json` checks it
    arithmetic: ArithmeticFile
    word_vectors: WordVectorsFile
    inputs: InputsFile
    tokenizer: TokenizerFile
    result: ResultFile
    origin: NotRequired[OriginFile]
    backbone: NotRequired[dict[str, Any]]


class PositionFile(TypedDict):
    """`loop.Position`."""

    epoch: Count
    batch: Count
    step: Count
    sums: dict[str, float]
    count: Count


class CheckpointFile(TypedDict):
    fingerprint: str
    made_from: dict[str, str]
    made_by: dict[str, str]
    position: PositionFile
    extra: dict[str, Any]
    best: bool
