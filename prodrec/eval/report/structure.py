"""What a report says of the hierarchy: are predictions right and consistent at all levels, how far off are mistakes.

L levels; P_i and T_i are the predicted and the true leaf of image i with all their ancestors, so L classes each (the
whole catalogue, which is above every class, is left out as Kiritchenko et al. do).

full path right         share of images that are right at every level at once (S §3.1).
leaf outside root       share of images whose best leaf is not under their best root, and so for all neighbouring
                        levels; less is better. n/a unless the run scored both levels (see hierarchy.py).
distance                edges from the true leaf up to its lowest common ancestor with the predicted leaf: 0 for right,
                        L where even the roots differ; mean over all images, and over the mistakes. Less is better.
hierarchical F          2 hP hR / (hP + hR), hP = Σ_i |P_i ∩ T_i| / Σ_i |P_i|, hR = Σ_i |P_i ∩ T_i| / Σ_i |T_i|
                        (Kiritchenko, Matwin, Nock, Famili 2006). Every leaf has L - 1 ancestors here, so that
                        hP = hR = hF = 1 - mean distance / L.

All are over images: mistakes of large leaves count more. Intervals are those of means over the images
(intervals.of_mean), gains of runs on the same photos those of paired differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.report.cells import Estimate, Interval, Row, Table
from prodrec.eval.report.counting import Counted
from prodrec.eval.report.hierarchy import DISTANCE, FULL_PATH, conflict, conflicts
from prodrec.eval.report.intervals import of_mean, of_paired_mean_gain

SECTION = "hierarchy"
NOTES = (
    "distance: edges from the true leaf up to its lowest common ancestor with the predicted one; less is better.",
    "outside: the best class of one level is not under that of the other; less is better; n/a unless both were scored.",
)


class Mean:
    """The mean of values_V over the images with a fact; with `mistakes`, over those where it is not 0."""

    def __init__(self, counted: Counted, fact: str, values_V: NDArray[np.float64], *, mistakes: bool = False) -> None:
        self.counted = counted
        self.fact = fact
        self.values_V = values_V
        self.counts_V = np.arange(len(values_V)) >= int(mistakes)

    @cached_property
    def classes(self) -> list[int]:
        """Leaves with test images, by file."""
        return [int(np.count_nonzero(tally.images)) for tally in self.counted.tallies]

    def of(self, file: int) -> Estimate | None:
        histogram_V = self.counted.facts[file].get(self.fact)
        if histogram_V is None or not histogram_V[self.counts_V].any():
            return None
        value, interval = of_mean(histogram_V[self.counts_V], self.values_V[self.counts_V])
        return Estimate(value, interval, self.classes[file], int(histogram_V[self.counts_V].sum()))

    def paired_gain(self, first: int, second: int) -> Interval | None:
        joint_VV = self.counted.joint.get((first, second), {}).get(self.fact)
        return None if joint_VV is None else of_paired_mean_gain(joint_VV, self.values_V, self.counts_V)


def hierarchy_rows(table: Table, taxonomy: Taxonomy) -> list[Row]:
    """The rows of the section; what stands in edges is a fraction of L, times L."""
    counted, leaf, levels, depth = table.counted, taxonomy.leaf_level, taxonomy.levels, taxonomy.depth
    leaves = len(taxonomy.leaves)
    images_C = counted.tallies[0].images
    start = Row(SECTION, "", leaf, "", 1, leaves, judged=(int(np.count_nonzero(images_C)), int(images_C.sum())))
    of_0_1, of_edges = np.arange(2.0), np.arange(depth + 1) / depth
    rows = [table.row(replace(start, group=FULL_PATH, metric="ACC"), Mean(counted, FULL_PATH, of_0_1))]
    for lower, upper in conflicts(levels):
        fact = conflict(lower, upper)
        about = replace(start, group=fact, level=lower, metric="share", lower_is_better=True)
        rows.append(table.row(about, Mean(counted, fact, of_0_1)))
    in_edges = replace(start, metric="edges", unit="edges", scale=float(depth), lower_is_better=True)
    for name, mistakes in (("distance", False), ("distance of mistakes", True)):
        about = replace(in_edges, group=name)
        rows.append(table.row(about, Mean(counted, DISTANCE, of_edges, mistakes=mistakes)))
    about = replace(start, group="hierarchical F", metric="hF")
    return [*rows, table.row(about, Mean(counted, DISTANCE, 1 - of_edges))]


def histograms(counted: Counted, files: Sequence[int]) -> NDArray[np.int64] | None:
    """Images by distance, added up over files; None where one did not score the leaves."""
    found = [histogram for i in files if (histogram := counted.facts[i].get(DISTANCE)) is not None]
    return np.sum(found, axis=0, dtype=np.int64) if len(found) == len(files) else None
