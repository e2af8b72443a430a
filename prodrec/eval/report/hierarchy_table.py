"""The hierarchy section of a report: correct paths, conflicts between levels, and the distance of mistakes.

A tree has L levels. P_i and T_i are the predicted and the true leaf of image i with their ancestors, L classes each.
The common parent of all roots is not one of these classes, as in Kiritchenko et al.

full path right         share of images that are correct at every level (S §3.1).
leaf outside root       share of images whose predicted leaf is not under their predicted root. Further rows compare
                        all neighbouring levels. Lower is better; n/a unless the run scored both levels.
distance                number of edges from the true leaf up to its lowest common ancestor with the predicted leaf:
                        0 if correct, L if even the roots differ. Mean over all images, and over the mistakes. Lower
                        is better.
hierarchical F          2 hP hR / (hP + hR), hP = Σ_i |P_i ∩ T_i| / Σ_i |P_i|, hR = Σ_i |P_i ∩ T_i| / Σ_i |T_i|
                        (Kiritchenko, Matwin, Nock, Famili 2006). Every leaf has L - 1 ancestors here, therefore
                        hP = hR = hF = 1 - mean distance / L.

All are means over the images with a leaf, so mistakes on large leaves have more weight. `intervals.mean_and_interval`
gives their intervals, `intervals.paired_mean_gain_variance` the variance of the gains between runs on the same images.

Shapes: V values of a tree measure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.report.class_counts import SplitCounts
from prodrec.eval.report.intervals import mean_and_interval, paired_mean_gain_variance
from prodrec.eval.report.row_builder import Estimate, RowBuilder
from prodrec.eval.report.table import Row
from prodrec.eval.report.tree_measures import DISTANCE, FULL_PATH, compared_levels, conflict_name

SECTION = "hierarchy"


class TreeMean:
    """The mean of values_V over images, where V counts the values of a tree measure.

    leaves:        number of leaves of the tree.
    mistakes_only: whether the mean is over the images where the measure is not 0.
    """

    def __init__(
        self,
        counts: SplitCounts,
        measure: str,
        values_V: NDArray[np.float64],
        *,
        leaves: int,
        mistakes_only: bool = False,
    ) -> None:
        self.leaves = leaves
        self.counts = counts
        self.measure = measure
        self.values_V = values_V
        self.included_V = np.arange(len(values_V)) >= int(mistakes_only)

    @cached_property
    def classes(self) -> list[int]:
        """Number of leaves with test images, by file."""
        return [int(np.count_nonzero(counts.images_C[: self.leaves])) for counts in self.counts.all_rows.files]

    @cached_property
    def independent_shares(self) -> list[float]:
        """The share of the images with a leaf that counts as independent, by file; see product_squares.py."""
        shares = []
        for counts in self.counts.all_rows.files:
            images_C = counts.images_C[: self.leaves]
            squares_C = images_C if counts.squares_C is None else counts.squares_C[: self.leaves]
            shares.append(float(images_C.sum() / max(1, squares_C.sum())))
        return shares

    def estimate(self, file: int) -> Estimate | None:
        histogram_V = self.counts.tree_histograms[file].get(self.measure)
        if histogram_V is None or not histogram_V[self.included_V].any():
            return None
        images_V = histogram_V[self.included_V]
        share = self.independent_shares[file]
        value, interval = mean_and_interval(images_V * share, self.values_V[self.included_V])
        return Estimate(value, interval, self.classes[file], int(images_V.sum()))

    def paired_gain_error(self, first: Sequence[int], second: Sequence[int]) -> float | None:
        """The gain is Σ_f a_f M_f over the means M_f of all files, with Σ_f a_f = 0, so that its variance is

        - Σ_{f < g} a_f a_g Var(M_g - M_f)
        """
        weights = {**{i: -1 / len(first) for i in first}, **{j: 1 / len(second) for j in second}}
        variance = 0.0
        for f, g in combinations(weights, 2):
            images_VV = self.counts.tree_pairs.get((f, g), {}).get(self.measure)
            if images_VV is None:
                return None
            independent_VV = images_VV * self.independent_shares[f]
            own = paired_mean_gain_variance(independent_VV, self.values_V, self.included_V)
            variance -= weights[f] * weights[g] * own
        return math.sqrt(max(0.0, variance))  # the half images that each term has may make the sum negative


def hierarchy_rows(builder: RowBuilder, taxonomy: Taxonomy) -> list[Row]:
    """Return the rows of the section. Distances are stored as fractions of L; their scale L gives edges."""
    counts, leaf, levels, depth = builder.counts, taxonomy.leaf_level, taxonomy.levels, taxonomy.depth
    leaves = len(taxonomy.leaves)
    images_C = counts.all_rows.files[0].images_C[:leaves]
    tested = (int(np.count_nonzero(images_C)), int(images_C.sum()))
    template = Row(SECTION, "", leaf, "", 1, leaves, tested=tested)

    def mean(measure: str, values_V: NDArray[np.float64], *, mistakes_only: bool = False) -> TreeMean:
        return TreeMean(counts, measure, values_V, leaves=leaves, mistakes_only=mistakes_only)

    binary_V, distance_V = np.arange(2.0), np.arange(depth + 1) / depth
    rows = [builder.fill(replace(template, group=FULL_PATH, metric="ACC"), mean(FULL_PATH, binary_V))]
    for lower, upper in compared_levels(levels):
        measure = conflict_name(lower, upper)
        row = replace(template, group=measure, level=lower, metric="share", lower_is_better=True)
        rows.append(builder.fill(row, mean(measure, binary_V)))
    in_edges = replace(template, metric="edges", unit="edges", scale=float(depth), lower_is_better=True)
    for name, mistakes_only in (("distance", False), ("distance of mistakes", True)):
        row = replace(in_edges, group=name)
        rows.append(builder.fill(row, mean(DISTANCE, distance_V, mistakes_only=mistakes_only)))
    row = replace(template, group="hierarchical F", metric="hF")
    return [*rows, builder.fill(row, mean(DISTANCE, 1 - distance_V))]


def distance_histogram(counts: SplitCounts, files: Sequence[int]) -> NDArray[np.int64] | None:
    """Return the images of `files` by distance, int64 [L + 1]; None if a file lacks scores of the leaves."""
    histograms = [histogram for i in files if (histogram := counts.tree_histograms[i].get(DISTANCE)) is not None]
    return np.sum(histograms, axis=0, dtype=np.int64) if len(histograms) == len(files) else None
