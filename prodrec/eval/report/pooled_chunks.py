"""Pooling of photos: the rows of a scores file that show one product become one row with the mean of their scores.

The rows of a product may be anywhere in the file. Products are processed in bands, in order of their first rows. A band
has as many products as MAX_BAND_BYTES allows, and only the chunks of the file with rows of these products are read.

A score of a top-k file that is not stored counts as the smallest stored score of its row and level. The pooled row has
the K largest means. A class that is not among them has at most the smallest of these means, as in the file itself.

The labels of a product are those of most of its photos, of equally many those that come first. So are its states of an
attribute, among the photos labelled with the attribute.

Shapes: R rows of a chunk; P products of a band; E entries of top-k lists; L levels; A attributes; C classes of a level;
K largest scores; m states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.reader import MAX_CHUNK_ROWS, Scores
from prodrec.eval.report.class_counts import ProductCounts
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.product_labels import most_frequent, product_states
from prodrec.eval.report.product_rows import find_product_rows

MAX_BAND_BYTES = 64 * 2**20
"""Bytes of the sums of scores, and of the entries of top-k lists, that are in memory at a time."""

ENTRY_BYTES = 96
"""Bytes of an entry of a top-k list: product, class, score, and the copies that sorting makes."""

MAX_CHUNK_BYTES = 16 * 2**20
"""Bytes of the scores of a chunk that is yielded."""


def pooled_chunks(
    scores: Scores,
    split: str,
    *,
    counts: ProductCounts,
    rows: int | None = None,
    levels: tuple[str, ...],
    attributes: bool = False,
    attribute_scores: bool = False,
) -> Iterator[ScoreChunk]:
    """Yield the products of a split in chunks, as rows with the number and the id of the first photo.

    counts: is updated while chunks are yielded

    The other arguments are those of `Scores.chunks`, whose errors are raised.
    """
    columns: dict[str, Any] = {"levels": levels, "attributes": attributes, "attribute_scores": attribute_scores}
    products = find_product_rows(scores, split)
    counts.products, counts.photos = len(products.first_P), len(products.product_N)
    if not products.has_several:
        yield from scores.chunks(split, rows=rows, **columns)
        return
    bytes_P = _bytes_by_product(scores, products.photos_P, levels, with_attributes=attribute_scores)
    most_products = rows or counts.products
    for start, stop in products.bands(bytes_P, most_bytes=MAX_BAND_BYTES, most_products=most_products):
        selected, product_n = products.rows_of(start, stop)
        band, done = _Band(scores, products.first_P[start:stop], products.photos_P[start:stop]), 0
        for chunk in scores.chunks(split, rows=rows, selected=selected, **columns):
            band.add(chunk, product_n[done : done + len(chunk)])
            done += len(chunk)
        pooled, mixed = band.pooled()
        counts.mixed += mixed
        yield from _slices(pooled)


def _bytes_by_product(
    scores: Scores, photos_P: NDArray[np.int64], levels: tuple[str, ...], *, with_attributes: bool
) -> NDArray[np.int64]:
    """Return the bytes of every product in a band."""
    per_product = sum(4 * len(attribute.states) for attribute in scores.attributes if with_attributes)
    id_bytes = next(scores.chunks(rows=1, levels=())).ids_R.dtype.itemsize
    per_photo = 8 * (len(scores.levels) + len(scores.attributes)) + id_bytes + 64
    for count in map(scores.taxonomy.count, levels):
        if scores.top_k is None:
            per_product += 4 * count
        else:
            per_photo += ENTRY_BYTES * min(scores.top_k, count)
    return per_product + per_photo * photos_P


def _slices(chunk: ScoreChunk) -> Iterator[ScoreChunk]:
    """Yield the rows of `chunk` in chunks of at most MAX_CHUNK_ROWS rows and MAX_CHUNK_BYTES."""
    row_bytes = sum(values[:1].nbytes for values in chunk.scores.values())
    step = max(1, min(MAX_CHUNK_ROWS, MAX_CHUNK_BYTES // max(1, row_bytes)))

    def select(value: Any, part: slice) -> Any:
        if isinstance(value, dict):
            return {name: array[part] for name, array in value.items()}
        return None if value is None else value[part]

    for start in range(0, len(chunk), step):
        part = slice(start, start + step)
        yield ScoreChunk(**{f.name: select(getattr(chunk, f.name), part) for f in fields(chunk)})


Sums = dict[str, NDArray[np.float32]]
"""Sums of scores over the photos of every product, by level or attribute, [P, C] or [P, m]."""


@dataclass
class _Band:
    """Rows of P products, and sums of their scores.

    first_P:  first row of every product
    photos_P: number of photos of every product
    sums:     by level, of a file with all scores
    states:   by attribute
    entries:  by level of a top-k file, for each chunk: product, class, and score above the smallest of its list, [E]
    lowest:   by level of a top-k file, the sums of the smallest scores of the lists, float64 [P]
    rows:     for each chunk: the product of every row, and the chunk without its scores
    """

    scores: Scores
    first_P: NDArray[np.int64]
    photos_P: NDArray[np.int64]
    sums: Sums = field(default_factory=dict)
    states: Sums = field(default_factory=dict)
    entries: dict[str, list[tuple[NDArray[Any], ...]]] = field(default_factory=dict)
    lowest: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    rows: list[tuple[NDArray[np.int64], ScoreChunk]] = field(default_factory=list)

    def add(self, chunk: ScoreChunk, product_R: NDArray[np.int64]) -> None:
        """Add rows of the products `product_R`."""
        for level, values in chunk.scores.items():
            if chunk.classes is None:
                self._add_sums(self.sums, level, product_R, values)
                continue
            low_R = values.min(axis=1).astype(np.float64)
            np.add.at(self.lowest.setdefault(level, np.zeros(len(self.first_P))), product_R, low_R)
            product_E = np.repeat(product_R, values.shape[1])
            entries = product_E, chunk.classes[level].ravel(), (values - low_R[:, None]).ravel()
            self.entries.setdefault(level, []).append(entries)
        for name, values in chunk.attribute_scores.items():
            self._add_sums(self.states, name, product_R, values)
        self.rows.append((product_R, replace(chunk, scores={}, classes=None, attribute_scores={})))

    def _add_sums(self, sums: Sums, name: str, product_R: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        if name not in sums:
            sums[name] = np.zeros((len(self.first_P), values.shape[1]), dtype=np.float32)
        order_R = np.argsort(product_R, kind="stable")
        products, starts = np.unique(product_R[order_R], return_index=True)
        sums[name][products] += np.add.reduceat(values[order_R], starts, axis=0)

    def pooled(self) -> tuple[ScoreChunk, int]:
        """Return the products as a chunk, and the number of products whose photos have different labels.

        The sums become means; the band cannot be used afterwards.
        """
        chunks = [chunk for _, chunk in self.rows]
        product_R = np.concatenate([products for products, _ in self.rows])
        labels_RL = np.concatenate([chunk.labels_RL for chunk in chunks])
        end_R = EndClasses(self.scores.taxonomy).of_rows(labels_RL).astype(np.int64)
        chosen_P, distinct_P = most_frequent(product_R, end_R)
        first_P = np.unique(product_R, return_index=True)[1]  # the rows are in file order
        codes = [chunk.attributes_RA for chunk in chunks if chunk.attributes_RA is not None]
        for sums_PC in (*self.sums.values(), *self.states.values()):
            sums_PC /= self.photos_P[:, None].astype(np.float32)  # in place: they are the largest arrays
        scores, classes = self.sums, {}
        for level in self.entries:
            scores[level], classes[level] = self._top_k_means(level)
        pooled = ScoreChunk(
            rows_R=self.first_P,
            ids_R=np.concatenate([chunk.ids_R for chunk in chunks])[first_P],
            split_R=np.concatenate([chunk.split_R for chunk in chunks])[first_P],
            product_R=self.first_P,
            group_R=np.concatenate([chunk.group_R for chunk in chunks])[first_P],
            labels_RL=labels_RL[chosen_P],
            scores=scores,
            classes=None if self.scores.top_k is None else classes,
            attributes_RA=product_states(product_R, np.concatenate(codes), len(self.first_P)) if codes else None,
            attribute_scores=self.states,
        )
        return pooled, int((distinct_P > 1).sum())

    def _top_k_means(self, level: str) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Return the K largest means of every product, in descending order, and their classes, [P, K] each."""
        product_E, class_E, above_E = (np.concatenate(parts) for parts in zip(*self.entries[level], strict=True))
        width = len(product_E) // int(self.photos_P.sum())
        keys_E, index_E = np.unique(product_E * self.scores.taxonomy.count(level) + class_E, return_inverse=True)
        product_E, class_E = np.divmod(keys_E, self.scores.taxonomy.count(level))
        sums_E = self.lowest[level][product_E] + np.bincount(index_E, weights=above_E)
        means_E = sums_E / self.photos_P[product_E]
        order_E = np.lexsort((class_E, -means_E, product_E))
        starts_P = np.searchsorted(product_E, np.arange(len(self.first_P)))  # the keys, and so the products, ascend
        best_PK = order_E[starts_P[:, None] + np.arange(width)]
        return means_E[best_PK].astype(np.float32), class_E[best_PK].astype(np.int32)
