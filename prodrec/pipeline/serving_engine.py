"""A run, perhaps with an index of products, as the service requires it: `serve/engine.py` has the protocol.

Shapes: H×W photo or view, h×w grid of a feature map.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.pipeline.load_index import index_of, refreshed, with_products
from prodrec.serve.engine import Answered, Box, Job, ProductIndex, Question, Values

if TYPE_CHECKING:
    from prodrec.inference.recognise import Recogniser
    from prodrec.inference.results import Recognised, Saliency

ENCODED_SIDE = 1024
"""Short side, in pixels, of a photo that is kept as a correction."""
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Prepared:
    """A photo as the network sees it.

    views: uint8 [3, H, W] each
    seen:  the part of the whole photo that the centre view shows
    """

    views: list[NDArray[np.uint8]]
    seen: Box


class RunEngine:
    """Answers requests with a recogniser of `load` or of `load_index`.

    pixel_limit: photos with more pixels are rejected before they are decoded
    """

    def __init__(self, recogniser: Recogniser, *, pixel_limit: int = 100_000_000) -> None:
        self.recogniser, self.pixel_limit = recogniser, pixel_limit

    @property
    def run(self) -> dict[str, str]:
        """Name and fingerprint of the run."""
        return {"name": self.recogniser.run.name, "fingerprint": self.recogniser.run.fingerprint}

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the levels, the shallowest first."""
        return self.recogniser.run.taxonomy.levels

    @property
    def index(self) -> ProductIndex | None:
        """The index at the version that is searched now."""
        return index_of(self.recogniser)

    def check(self, question: Question) -> None:
        """Raise BadOption if the run cannot answer the question."""
        self.recogniser.thresholds(question.min_confidence, question.precision)

    def prepare(self, data: bytes, box: Box | None) -> Prepared:
        """Decode a photo and make its views. Raise BadPhoto."""
        from prodrec.core.data.photos.views import centre_crop, read_photo, scoring_views

        recogniser = self.recogniser
        photo_CHW = read_photo(data, stored_side=recogniser.run.stored_side, box=box, pixel_limit=self.pixel_limit)
        height, width = photo_CHW.shape[1:]
        rows, columns = centre_crop((height, width), recogniser.photos)
        shares = (columns.start / width, rows.start / height, columns.stop / width, rows.stop / height)
        views = [view_CHW.numpy() for view_CHW in scoring_views(photo_CHW, recogniser.photos, recogniser.views)]
        return Prepared(views, part_of(box or WHOLE, shares))

    def answer(self, jobs: Sequence[Job]) -> list[Answered]:
        """Answer jobs together: those with the same question in one batch, pooled ones each by itself."""
        recogniser = self.recogniser  # a refresh may replace it meanwhile
        index = index_of(recogniser)
        version = None if index is None else index.version
        answered = {}
        for question, numbers in _groups(jobs):
            photos = [photo for number in numbers for photo in jobs[number].photos]
            results = iter(_recognise(recogniser, photos, question))
            for number in numbers:
                count = 1 if question.pool else len(jobs[number].photos)
                answered[number] = Answered(list(itertools.islice(results, count)), version)
        return [answered[number] for number in range(len(jobs))]

    def classes(self, words: str, top: int) -> list[tuple[str, ...]]:
        """Return the paths of the first classes of the deepest level whose names contain `words`."""
        folded = words.casefold().strip()
        names = enumerate(self.recogniser.taxonomy.leaves)
        matches = (number for number, name in names if folded in name.casefold())
        return [self.recogniser.taxonomy.path(number) for number in itertools.islice(matches, top)]

    def has_class(self, path: Sequence[str]) -> bool:
        """Return whether the tree has this path, from a root down to any level."""
        taxonomy = self.recogniser.taxonomy
        if not 0 < len(path) <= taxonomy.depth:
            return False
        number = int(taxonomy.names[len(path) - 1].find([path[-1]])[0])
        return number >= 0 and taxonomy.path(number, taxonomy.levels[len(path) - 1]) == tuple(path)

    def encode(self, data: bytes, box: Box | None) -> bytes:
        """Return the part of a photo that the box contains as a JPEG without metadata. Raise BadPhoto."""
        from prodrec.core.data.photos.views import encode_photo

        return encode_photo(data, short_side=ENCODED_SIDE, box=box, pixel_limit=self.pixel_limit)

    def refresh(self) -> bool:
        """Take up a newer version of the index; return whether there was one."""
        newest = refreshed(self.recogniser)
        is_newer, self.recogniser = newest is not self.recogniser, newest
        return is_newer


def _groups(jobs: Sequence[Job]) -> list[tuple[Question, list[int]]]:
    """Return the numbers of the jobs that can be recognised in one batch, by question."""
    together: dict[Question, list[int]] = {}
    alone: list[tuple[Question, list[int]]] = []
    for number, job in enumerate(jobs):
        if job.question.pool:
            alone.append((job.question, [number]))
        else:
            together.setdefault(job.question, []).append(number)
    return [*together.items(), *alone]


def _recognise(recogniser: Recogniser, photos: Sequence[Prepared], question: Question) -> list[Values]:
    searching, views = with_products(recogniser, question.top), [photo.views for photo in photos]
    thresholds = recogniser.thresholds(question.min_confidence, question.precision)
    if question.pool:
        pooled = searching.recognise_product([views], thresholds, top=question.top, saliency=question.explain)
        recognised = [] if pooled is None else [pooled]
    else:
        recognised = searching.recognise_views(views, thresholds, top=question.top, saliency=question.explain)
    return [_values(one, photo) for one, photo in zip(recognised, photos, strict=False)]


def _values(recognised: Recognised, photo: Prepared) -> Values:
    values = recognised.as_json()
    if recognised.saliency is not None:
        values["saliency"] = saliency_values(recognised.saliency, photo.seen)
    return values


def saliency_values(saliency: Saliency, seen: Box) -> Values:
    """Return the grid, and the smallest part of the photo with all cells of at least half of the largest weight."""
    weights_hw = saliency.weights_hw
    rows, columns = np.nonzero(weights_hw >= weights_hw.max() / 2)
    height, width = weights_hw.shape
    cells = (columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height)
    return {
        "method": saliency.method,
        "seen": list(seen),
        "box": list(part_of(seen, tuple(map(float, cells)))),
        "weights": [[round(weight, 5) for weight in row] for row in weights_hw.tolist()],
    }


def part_of(outer: Sequence[float], inner: Sequence[float]) -> Box:
    """Return, as shares of the whole, the part `inner` of the part `outer`."""
    left, top, right, bottom = outer
    width, height = right - left, bottom - top
    return (left + inner[0] * width, top + inner[1] * height, left + inner[2] * width, top + inner[3] * height)
