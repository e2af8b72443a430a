"""The types of dataset.json, as far as a dataset cannot be used without them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt, MinLen
from typing_extensions import TypedDict

Count = Annotated[int, Ge(0)]
Positive = Annotated[int, Gt(0)]


class LevelFile(TypedDict):
    name: str
    classes: Count


class TaxonomyFile(TypedDict):
    levels: Annotated[list[LevelFile], MinLen(1)]


class AttributeFile(TypedDict):
    name: str
    states: list[str]


class CatalogueFile(TypedDict):
    """catalogue.json of a run: the classes and attributes of the dataset that it was trained on."""

    taxonomy: TaxonomyFile
    attributes: list[AttributeFile]


class PhotosFile(TypedDict):
    size: Positive | None  # None for photos in place
    in_place: bool


class FeaturesFile(TypedDict):
    width: Positive


class VocabularyFile(TypedDict):
    words: Count
    tokenizer: str
    version: str


class ClassTableFile(TypedDict):
    table: str
    titles: Count
    descriptions: Count


class RowsFile(TypedDict):
    kept: Positive


class CountsFile(TypedDict):
    rows: RowsFile


class DatasetFile(CatalogueFile):
    fingerprint: str
    inputs: Literal["photos", "features", "nothing"]
    photos: NotRequired[PhotosFile]
    features: NotRequired[FeaturesFile]
    class_table: NotRequired[ClassTableFile]
    vocabulary: VocabularyFile
    counts: CountsFile
    options: dict[str, Any]
