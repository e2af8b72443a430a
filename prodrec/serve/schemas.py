"""The answers of the service, for the OpenAPI document. The keys of a photo are those of `prodrec predict --json`."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict


class Problem(TypedDict):
    """Why a request was refused, in one sentence."""

    error: str


class ClassProbability(TypedDict):
    """A class of a level."""

    path: list[str]
    confidence: float


class StateProbability(TypedDict):
    """A state of an attribute."""

    state: str
    confidence: float


class AnswerPath(TypedDict):
    """The class of the deepest level that is sure enough; empty if no level is."""

    levels: list[str]
    path: list[str]
    confidences: list[float]


class NeighbourPhoto(TypedDict):
    """A training photo that voted."""

    id: str
    path: list[str]
    cosine: float
    share: float


class ProductValues(TypedDict):
    """A product of the index, with the number of its photos."""

    sku: str
    title: str
    path: list[str]
    tags: list[str]
    photos: int


class HitValues(TypedDict):
    """A product that was found: the similarity of its nearest photo, and the number of this photo.

    is_predicted: whether the path is what the run predicted when the product was indexed
    share:        share of the vote
    """

    sku: str
    title: str
    path: list[str]
    tags: list[str]
    photo: int
    cosine: float
    is_predicted: NotRequired[bool]
    share: NotRequired[float]


class MatchValues(TypedDict):
    """A product that words describe, the number of the photo to show, and how well it is described (BM25)."""

    sku: str
    title: str
    path: list[str]
    tags: list[str]
    photo: int
    score: float


class SaliencyGrid(TypedDict):
    """Where the network looks: weights of a grid over the part of the photo that it sees.

    seen: left, top, right and bottom of this part, as shares of the photo's width and height
    box:  the smallest part of the photo that contains all cells of at least half of the largest weight
    """

    method: str
    seen: list[float]
    box: list[float]
    weights: list[list[float]]


class PhotoResult(TypedDict):
    """The result of a photo, or of the pooled photos of a product."""

    levels: dict[str, list[ClassProbability]]
    attributes: dict[str, list[StateProbability]]
    answer: NotRequired[AnswerPath]
    photos_pooled: NotRequired[int]
    neighbours: NotRequired[list[NeighbourPhoto]]
    products: NotRequired[list[HitValues]]
    saliency: NotRequired[SaliencyGrid]


class RunValues(TypedDict):
    """The run that recognises."""

    name: str
    fingerprint: str


class IndexValues(TypedDict):
    """The index that was searched."""

    version: int


class Timing(TypedDict):
    """Milliseconds of a request: decoding its photos; waiting and network; all since it began."""

    decode_ms: float
    network_ms: float
    total_ms: float


class Envelope(TypedDict):
    """What every answer about photos has."""

    run: RunValues
    index: IndexValues | None
    timing: Timing


class Recognition(Envelope):
    """The results in the order of the photos."""

    results: list[PhotoResult]


class SearchResult(Envelope):
    """The nearest products of every photo, or a list with those that words describe best."""

    results: list[list[HitValues] | list[MatchValues]]


class SimilarProducts(TypedDict):
    """The products most similar to a product."""

    products: list[HitValues]
    index: IndexValues


class ClassPaths(TypedDict):
    """Paths of classes."""

    paths: list[list[str]]


class Correction(TypedDict):
    """A correction that was kept, by the id of its row."""

    id: str


class State(TypedDict):
    """Whether the service works, and with what."""

    status: str
    run: RunValues
    index: IndexValues | None
    corrections: bool
