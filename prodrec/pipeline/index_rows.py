"""Make the rows of an index from products: the network sees every photo once.

Shapes: R photos, D numbers of a feature.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base.workers import choose_processes, map_in_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prodrec.index.photos import Content, GivenProduct, SeenProduct
    from prodrec.index.table import PhotoRows
    from prodrec.inference.recognise import Recogniser
    from prodrec.inference.results import Recognised

PHOTOS_AT_ONCE = 64
MIN_PHOTOS_FOR_WORKERS = 1_000
"""Up to this many photos, one process reads them sooner than worker processes start."""


def see_all(
    products: Iterable[GivenProduct],
    recogniser: Recogniser,
    *,
    known: Mapping[str, Content],
    photos: int,
    workers: int | None,
) -> Iterator[list[SeenProduct]]:
    """Read the photos of products, about PHOTOS_AT_ONCE at a time, in worker processes where there are many.

    known:  what the index has, by id
    photos: number of all photos
    """
    from prodrec.index.photos import see_products

    see = functools.partial(see_products, stored_side=recogniser.run.stored_side, photos=recogniser.photos)
    workers = choose_processes(workers, many=photos >= MIN_PHOTOS_FOR_WORKERS)
    yield from map_in_order(see, _jobs(products, known), workers=workers)


def _jobs(
    products: Iterable[GivenProduct], known: Mapping[str, Content]
) -> Iterator[list[tuple[GivenProduct, Content | None]]]:
    job: list[tuple[GivenProduct, Content | None]] = []
    photos = 0
    for product in products:
        job.append((product, known.get(product.sku)))
        photos += len(product.photos)
        if photos >= PHOTOS_AT_ONCE:
            yield job
            job, photos = [], 0
    if job:
        yield job


def photo_rows(
    seen: Sequence[SeenProduct],
    recogniser: Recogniser,
    to_vectors: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> PhotoRows | None:
    """Return the rows of the products that have photos and are not unchanged, or None if there are none.

    to_vectors: makes the vectors of the index of features of the run
    """
    from prodrec.index.table import PhotoRows
    from prodrec.index.words import product_words

    products = [product for product in seen if product.photos]
    if not products:
        return None
    views = [[photo.view_CHW] for product in products for photo in product.photos]
    uses_titles = recogniser.run.recipe["network"].get("titles") is not None
    titles = [product.given.title or None for product in products for _ in product.photos] if uses_titles else None
    recognised = recogniser.recognise_views(views, recogniser.thresholds(), titles=titles)
    features = [one.vector_D for one in recognised]
    assert all(feature_D is not None for feature_D in features)
    vector_Rd = to_vectors(np.stack(features)).astype(np.float16)  # type: ignore[arg-type]  # none is None
    columns: dict[str, list[object]] = {name: [] for name in ("sku", "photo", "thumbnail", "title", "tags", "path")}
    columns |= {name: [] for name in ("predicted", "photos", "photo_hash", "text_hash", "words")}
    start, vocabulary = 0, recogniser.run.vocabulary
    tokenizer = vocabulary.tokenizer, vocabulary.tokenizer_version
    for product in products:
        best = recognised[start]
        start += len(product.photos)
        given, predicted_path = product.given, () if best.answer is None else best.answer.path
        tags, path = _tags(given, best, recogniser), given.path or predicted_path
        words = product_words(given.title, tags, path, tokenizer)
        for number, photo in enumerate(product.photos):
            row = {"sku": given.sku, "photo": number, "thumbnail": photo.thumbnail, "title": given.title, "tags": tags}
            row |= {"path": path, "predicted": not given.path, "photos": len(product.photos)}
            row |= {"photo_hash": photo.photo_hash, "text_hash": given.text_hash}
            row["words"] = "" if number else words
            for name, value in row.items():
                columns[name].append(value)
    return PhotoRows(vector_Rd=vector_Rd, **columns)  # type: ignore[arg-type]  # lists of the types of the columns


def _tags(given: GivenProduct, best: Recognised, recogniser: Recogniser) -> tuple[str, ...]:
    """Return the tags of a product from what is given, and from what the run recognises in its first photo."""
    from prodrec.index.tags import choose_tags, idf_weights
    from prodrec.inference.title_inputs import split_title

    vocabulary = recogniser.run.vocabulary
    if best.words is not None:
        words, weights = [word.word for word in best.words], [word.weight for word in best.words]
    else:
        words = split_title(given.title, vocabulary) if given.title and len(vocabulary) else []
        weights = idf_weights(words, vocabulary)
    predicted = {name: (states[0].name, states[0].confidence) for name, states in best.attributes.items() if states}
    return choose_tags(dict(given.attributes), predicted, words, weights)


def joined(parts: Sequence[PhotoRows]) -> PhotoRows | None:
    """Return the rows of several parts together, or None if there are none."""
    from dataclasses import fields

    from prodrec.index.table import PhotoRows

    if not parts:
        return None
    lists = {
        field.name: [value for part in parts for value in getattr(part, field.name)] for field in fields(PhotoRows)
    }
    lists["vector_Rd"] = np.concatenate([part.vector_Rd for part in parts])  # type: ignore[assignment]
    return PhotoRows(**lists)  # type: ignore[arg-type]  # lists of the types of the columns
