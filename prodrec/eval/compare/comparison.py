"""The comparison of columns of score files: accuracies of groups of leaves, and a test for every pair of columns.

`eval/report/seed_intervals.py` has the equations and their sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base import console
from prodrec.core.scores.reader import Scores
from prodrec.eval.compare.corrections import holm, mcnemar
from prodrec.eval.compare.count_columns import count_columns
from prodrec.eval.compare.differing_settings import differing_settings
from prodrec.eval.report.class_counts import Criterion, SplitCounts
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.leaf_groups import LeafGroup, Thresholds, leaf_groups
from prodrec.eval.report.report_notes import product_notes, seed_notes
from prodrec.eval.report.row_builder import Accuracy
from prodrec.eval.report.run_groups import RunGroup, paired_files, same_networks
from prodrec.eval.report.seed_intervals import GainTest, gain_test
from prodrec.eval.report.strata import ACC, Strata, leaf_strata

if TYPE_CHECKING:
    from prodrec.eval.compare.contents import TextTable

COMPARED_SECTIONS = ("overall", "head and tail")
"""Sections of a report whose groups are compared."""


@dataclass(frozen=True)
class Measure:
    """One accuracy of all columns.

    group, metric: as in a report, such as "tail (< 100)" and "MACC"
    classes:       number of classes with images, of `total_classes`
    values:        for every column, the accuracies of its runs
    """

    group: str
    metric: str
    classes: int
    total_classes: int
    images: int
    values: tuple[tuple[float, ...], ...]

    @property
    def name(self) -> str:
        """Such as `MACC of all leaves` or `ACC of tail (< 100)`."""
        return f"{self.metric} of {'all leaves' if self.group == 'all' else self.group}"

    def mean(self, column: int) -> float:
        """Return the mean accuracy of a column."""
        return mean(self.values[column])

    def spread(self, column: int) -> float | None:
        """Return the sample standard deviation over the runs of a column; None for a single run."""
        return stdev(self.values[column]) if len(self.values[column]) > 1 else None


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two runs.

    seed:          their seed; None if they have none, or other ones
    better, worse: images that only the second run, and only the first run, predicts correctly
    p:             p value of the exact test, two-sided
    """

    seed: int | None
    better: int
    worse: int
    p: float


@dataclass(frozen=True)
class Difference:
    """The test of one measure of two columns.

    first, second: the columns; a positive gain is that of the second
    corrected_p:   p value after the correction for all pairs of this measure
    mcnemar:       McNemar's test of each pair of runs; empty but for ACC, and if products have several photos
    """

    measure: Measure
    first: int
    second: int
    test: GainTest
    corrected_p: float
    mcnemar: tuple[McNemar, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Columns of score files, compared. `print(comparison)` shows the accuracies and a verdict for every pair.

    run_groups:  the columns
    runs:        the score files, as plain values
    differences: for every measure, one for every pair
    settings:    by setting, its value in every column, if they differ
    tables:      the results in the shape of tables of the papers, if requested
    """

    split: str
    top: int
    units: str
    run_groups: tuple[RunGroup, ...]
    runs: tuple[dict[str, Any], ...]
    measures: tuple[Measure, ...]
    differences: tuple[Difference, ...]
    settings: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]
    tables: tuple[TextTable, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [group.name for group in self.run_groups]

    @property
    def pairs(self) -> int:
        """Number of pairs of columns, for which the p values of a measure are corrected."""
        return len({(difference.first, difference.second) for difference in self.differences})

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON, accuracies and gains in percent and points."""
        from prodrec.eval.compare.render_json import comparison_json

        return comparison_json(self)

    def __str__(self) -> str:
        from prodrec.eval.compare.render_terminal import render_text

        return render_text(self, width=console.width())

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.names)} on the {self.split} split>"


def compare_columns(
    files: Sequence[Scores],
    run_groups: Sequence[RunGroup],
    *,
    split: str,
    top: int = 1,
    thresholds: Thresholds | None = None,
    baseline: int | None = None,
    pool_photos: bool = False,
) -> Comparison:
    """Compare the columns `run_groups` of `files`. Raise the errors of `count_columns`.

    thresholds: the numbers of training images that divide the leaves into head and tail
    baseline:   a column with which the others are compared; None compares every pair
    """
    taxonomy = files[0].taxonomy
    ancestors_EL = EndClasses(taxonomy).ancestors_EL
    groups = leaf_groups(
        taxonomy, files[0].train_images, thresholds=thresholds or Thresholds(), by_head_tail=True, by_root=False
    )
    pairs = [
        (a, b) if baseline in (None, a) else (b, a)
        for a, b in combinations(range(len(run_groups)), 2)
        if baseline is None or baseline in (a, b)
    ]
    counts = count_columns(files, run_groups, pairs, split, top=top, pool_photos=pool_photos)
    criterion = (taxonomy.leaf_level, top)
    measures, differences = [], []
    for group in (group for group in groups if group.section in COMPARED_SECTIONS):
        for metric in group.metrics:
            strata = leaf_strata(group, metric, counts.all_rows.files[0], ancestors_EL)
            if strata is None:
                continue
            accuracy = Accuracy(counts.all_rows, criterion, [strata] * len(files))
            measure = _measure(group, strata, accuracy, metric, run_groups)
            measures.append(measure)
            tests = [_test(files, run_groups, accuracy, measure, a, b) for a, b in pairs]
            corrected = holm([test.p for test in tests])
            exact = metric == ACC and not _has_products(counts, pool_photos=pool_photos)
            for (a, b), test, p in zip(pairs, tests, corrected, strict=True):
                file_pairs = paired_files(files, run_groups[a], run_groups[b]) if exact else []
                exact_tests = tuple(_mcnemar(files, counts, criterion, strata, i, j) for i, j in file_pairs)
                differences.append(Difference(measure, a, b, test, p, exact_tests))
    return Comparison(
        split=split,
        top=top,
        units="products" if pool_photos else "images",
        run_groups=tuple(run_groups),
        runs=tuple(_run_json(file) for file in files),
        measures=tuple(measures),
        differences=tuple(differences),
        settings=differing_settings(files, run_groups),
        notes=tuple(_notes(files, run_groups, counts, split, len(pairs), pool_photos=pool_photos)),
    )


def _measure(
    group: LeafGroup, strata: Strata, accuracy: Accuracy, metric: str, run_groups: Sequence[RunGroup]
) -> Measure:
    values = []
    for column in run_groups:
        estimates = [accuracy.estimate(i) for i in column.files]
        values.append(tuple(estimate.value for estimate in estimates if estimate is not None))
    return Measure(group.name, metric, strata.classes, len(group.members), strata.images, tuple(values))


def _test(
    files: Sequence[Scores], run_groups: Sequence[RunGroup], accuracy: Accuracy, measure: Measure, a: int, b: int
) -> GainTest:
    image_error = accuracy.paired_gain_error(run_groups[a].files, run_groups[b].files)
    assert image_error is not None, "count_columns requires the same rows in all files"
    return gain_test(
        measure.values[a],
        measure.values[b],
        image_error=image_error,
        same_networks=same_networks(files, run_groups[a], run_groups[b]),
    )


def _mcnemar(
    files: Sequence[Scores], counts: SplitCounts, criterion: Criterion, strata: Strata, i: int, j: int
) -> McNemar:
    """Return McNemar's test of two runs over the images of `strata`."""
    pair = counts.all_rows.pairs[(i,), (j,)]
    better, worse = (int(part[criterion][strata.members].sum()) for part in (pair.better, pair.worse))
    seed = files[i].origin.seed if files[i].origin.seed == files[j].origin.seed else None
    return McNemar(seed, better, worse, mcnemar(better, worse))


def _has_products(counts: SplitCounts, *, pool_photos: bool) -> bool:
    """Return whether several images show one product."""
    return counts.products[0].has_several and not pool_photos


def _run_json(file: Scores) -> dict[str, Any]:
    origin = file.origin
    return {
        "file": str(file.path),
        "fingerprint": file.fingerprint,
        "run": origin.run,
        "family": origin.family,
        "seed": origin.seed,
        "scoring": origin.variant,
    }


def _notes(
    files: Sequence[Scores],
    run_groups: Sequence[RunGroup],
    counts: SplitCounts,
    split: str,
    pairs: int,
    *,
    pool_photos: bool,
) -> list[str]:
    notes = seed_notes(run_groups)
    if pairs > 1:
        notes.append(f"p values are corrected for {pairs} pairs (Holm), each measure by itself.")
    notes += product_notes(files, counts, split, pool_photos=pool_photos)
    if _has_products(counts, pool_photos=pool_photos):
        notes.append("McNemar's test is omitted: it would count the photos of a product as independent.")
    if any(not np.array_equal(file.train_images, files[0].train_images) for file in files):
        notes.append(f"Some runs were trained on other images; head and tail follow those of {files[0].path}.")
    return notes
