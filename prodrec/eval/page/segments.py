"""The weak segments of the page: images of one leaf with one state of an attribute, recognised worse than all images.

Segments are ranked by the images that are surely lost there, n · (accuracy of all images - upper end of the interval),
and listed if this is at least one image. Neither a few unlucky images nor a large segment of nearly average accuracy
come first. Segments of a state over all leaves are listed too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.page.details import Details
from prodrec.eval.report.intervals import accuracy_intervals, unpaired_gain_interval, wilson_interval

MOST_SEGMENTS = 50
FEWEST_LOST = 1.0
"""Images that a listed segment surely loses."""


@dataclass(frozen=True)
class Segment:
    """A weak segment.

    leaf:      None for all leaves.
    rest:      accuracy of the other images of the leaf, or of all images; None if there are none.
    lost:      images that are surely lost.
    different: whether the interval of the difference from the rest excludes 0.
    """

    leaf: int | None
    attribute: str
    state: str
    images: int
    accuracy: float
    interval: tuple[float, float]
    rest: float | None
    lost: float
    different: bool


def weak_segments(
    details: Details,
    images_C: NDArray[np.int64],
    correct_C: NDArray[np.int64],
    independent_C: NDArray[np.float64],
    *,
    most: int = MOST_SEGMENTS,
) -> list[Segment]:
    """Return the weak segments, those with the most lost images first.

    images_C, correct_C: images and right images of every leaf.
    independent_C:       the share of the images that counts as independent; NaN without images.
    """
    keys, counts, _ = details.segments.result()
    names = [(attribute.name, state) for attribute in details.attributes for state in attribute.states]
    if not len(keys):
        return []
    leaf, state = np.divmod(keys, len(names))
    share_K, overall = independent_C[leaf], float(correct_C.sum() / images_C.sum())
    total_share = float(np.nansum(images_C * independent_C) / images_C.sum())
    parts = [_listed(leaf, state, counts, images_C[leaf], correct_C[leaf], share_K, overall)]
    all_counts = np.zeros((len(names), 2), dtype=np.int64)
    np.add.at(all_counts, state, counts)
    states = np.flatnonzero(all_counts[:, 0])
    whole = np.full(len(states), images_C.sum()), np.full(len(states), correct_C.sum())
    everywhere = np.full(len(states), -1)
    parts.append(_listed(everywhere, states, all_counts[states], *whole, np.full(len(states), total_share), overall))
    found = sorted((segment for part in parts for segment in part), key=lambda one: -one[0])[:most]
    return [_segment(lost, values, names) for lost, values in found]


def _listed(
    leaf_K: NDArray[np.int64],
    state_K: NDArray[np.int64],
    counts_K2: NDArray[np.int64],
    images_K: NDArray[np.int64],
    correct_K: NDArray[np.int64],
    share_K: NDArray[np.float64],
    overall: float,
) -> Iterator[tuple[float, tuple[Any, ...]]]:
    """Yield the lost images and the counts of the segments that lose at least FEWEST_LOST images.

    images_K, correct_K: those of the leaf of the segment, or of all leaves; share_K: the independent share.
    """
    n_K1, k_K1 = counts_K2[:, :1] * share_K[:, None], counts_K2[:, 1:] * share_K[:, None]
    _, high_K = accuracy_intervals(k_K1, n_K1, np.ones((1, 1)))
    lost_K = counts_K2[:, 0] * (overall - high_K)
    for i in np.flatnonzero(lost_K >= FEWEST_LOST):
        n, k = counts_K2[i].tolist()
        yield float(lost_K[i]), (int(leaf_K[i]), int(state_K[i]), n, k, int(images_K[i]), int(correct_K[i]), share_K[i])


def _segment(lost: float, values: tuple[Any, ...], names: list[tuple[str, str]]) -> Segment:
    leaf, state, n, k, images, correct, share = values
    accuracy, interval, others = k / n, wilson_interval(k / n, n * share), images - n
    rest = (correct - k) / others if others else None
    different = False
    if rest is not None:
        low, high = unpaired_gain_interval(rest, wilson_interval(rest, others * share), accuracy, interval)
        different = not low <= 0 <= high
    attribute, name = names[state]
    return Segment(None if leaf < 0 else leaf, attribute, name, n, accuracy, interval, rest, lost, different)


def segments_content(
    segments: list[Segment], taxonomy: Taxonomy, train_images_C: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Return the segments as plain values for the template."""
    return [
        {
            "leaf": None if one.leaf is None else taxonomy.leaves[one.leaf],
            "train": int(train_images_C.sum() if one.leaf is None else train_images_C[one.leaf]),
            "attribute": one.attribute,
            "state": one.state,
            "images": one.images,
            "accuracy": one.accuracy,
            "interval": one.interval,
            "rest": one.rest,
            "lost": one.lost,
            "verdict": _verdict(one),
        }
        for one in segments
    ]


def _verdict(segment: Segment) -> str:
    """Return how the segment compares with the rest of its leaf, or of all images."""
    if segment.rest is None:
        return "no others"
    if not segment.different:
        return "like the others"
    return "worse than the others" if segment.accuracy < segment.rest else "better than the others"
