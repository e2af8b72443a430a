"""The summary of the page: sentences for readers who do not know the metrics, each from numbers of the report.

Numbers of photos are rounded to "of 100 photos"; the ends of the interval follow in brackets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prodrec.core.base.wording import counted, listed
from prodrec.eval.page.confusions import Pair
from prodrec.eval.page.details import Details
from prodrec.eval.report.confidence import OperatingThreshold
from prodrec.eval.report.report import Report
from prodrec.eval.report.strata import ACC, MACC
from prodrec.eval.report.table import Cell, Row

TARGET_PRECISION = 0.95
"""The precision for which the summary states how many photos get an answer."""
CLEAR_GAP = 0.05
"""Differences of accuracies from which the summary calls one group worse than another."""
NOTABLE_SHARE = 0.02
"""Share of all mistakes from which a confused pair is worth a sentence."""
POOR_CALIBRATION = 0.05
"""Calibration error (ECE) from which the summary warns of the probabilities."""
MOST_COMPARED = 3
"""Other runs that the summary compares with the first; the tables have all."""


@dataclass(frozen=True)
class Findings:
    """What the summary reports on one run group.

    details, pairs, threshold: None or empty if the run has no scores of the leaves.
    """

    report: Report
    group: int
    details: Details | None = None
    pairs: Sequence[Pair] = ()
    threshold: OperatingThreshold | None = None


def summary_content(findings: Findings) -> dict[str, Any]:
    """Return the sentences of the summary, and those on what to do next."""
    sentences = [*_accuracy(findings), *_tail(findings), *_mistakes(findings), *_gains(findings)]
    return {"sentences": sentences, "certainty": _certainty(findings), "next": _next_steps(findings)}


def find_row(
    report: Report, section: str, metric: str, *, group: str | None = None, top: int | None = None
) -> Row | None:
    """Return the first row of a section with this metric; `group` is the beginning of its name."""
    rows = (row for row in report.rows if (row.section, row.metric) == (section, metric))
    return next((r for r in rows if r.group.startswith(group or "") and top in (None, r.top)), None)


def _cell(findings: Findings, *arguments: Any, **options: Any) -> tuple[Row, Cell] | None:
    row = find_row(findings.report, *arguments, **options)
    cell = None if row is None else row.cells[findings.group]
    return None if row is None or cell is None else (row, cell)


def _of_100(cell: Cell) -> str:
    """Return the value of 100 with its interval, in whole numbers unless both ends would then be equal."""
    low, high = (100 * end for end in cell.interval)
    digits = 0 if round(low) < round(high) else 1
    return f"{100 * cell.value:.{digits}f} [{low:.{digits}f}–{high:.{digits}f}]"


def _accuracy(findings: Findings) -> list[str]:
    report, unit = findings.report, "products" if findings.report.pool_photos else "photos"
    name, taxonomy = report.run_groups[findings.group].name, report.taxonomy
    leaves = counted(len(taxonomy.leaves), "class", "classes")
    above = f" in {len(taxonomy.names[0]):,} groups" if taxonomy.depth > 1 else ""
    sentences = [f"{name} recognises products in photos, among {leaves}{above}."]
    first = _cell(findings, "overall", ACC)
    if first is None:
        return [*sentences, "It does not score the deepest level of the tree; the tables have what it recognises."]
    row, cell = first
    guess = "its first guess" if row.top == 1 else f"one of its {row.top} best guesses"
    sentences.append(f"Of 100 {unit}, {guess} is right for {_of_100(cell)}.")
    tops = [(r.top, r.cells[findings.group]) for r in report.rows if (r.section, r.metric) == ("overall", ACC)]
    if len(tops) > 1 and tops[-1][1] is not None:
        sentences.append(f"The right class is among its {tops[-1][0]} best guesses for {_of_100(tops[-1][1])}.")
    return sentences


def _tail(findings: Findings) -> list[str]:
    head, tail = (_cell(findings, "head and tail", ACC, group=group) for group in ("head", "tail"))
    if head is None or tail is None:
        return []
    classes = f"{tail[0].total_classes:,} of {head[0].total_classes + tail[0].total_classes:,} classes"
    fewer = f"with fewer than {findings.report.thresholds.head_from:,} training photos"
    return [
        f"On the {classes} {fewer} it is right for {_of_100(tail[1])} of 100, on the others for {_of_100(head[1])}."
    ]


def _mistakes(findings: Findings) -> list[str]:
    report = findings.report
    right = _cell(findings, "by level", ACC, group=report.taxonomy.levels[0], top=1)
    first = _cell(findings, "overall", ACC, top=1)
    if right is None or first is None or first[1].value == 1 or report.taxonomy.depth == 1:
        return []
    return [f"The broad group ({report.taxonomy.levels[0]}) is right for {_of_100(right[1])} of 100."]


def _gains(findings: Findings) -> list[str]:
    """Return a sentence on how the run differs from the first one or, for the first run, on how the others do."""
    if findings.group:
        return _gain(findings.report, findings.group, "It")
    groups = findings.report.run_groups
    others = range(1, min(len(groups), 1 + MOST_COMPARED))
    return [sentence for group in others for sentence in _gain(findings.report, group, groups[group].name)]


def _gain(report: Report, group: int, subject: str) -> list[str]:
    """Return a sentence on the gains of a run group over the first one, over images and over classes."""
    name, parts = report.run_groups[0].name, []
    for metric, mean in ((ACC, "over all photos"), (MACC, "over all classes, each counted equally")):
        row = find_row(report, "overall", metric)
        cell = None if row is None else row.cells[group]
        if cell is None or cell.gain is None:
            return []
        low, high = (100 * end for end in cell.gain.interval)
        points = f"{100 * abs(cell.gain.value):.1f} points"
        verdict = "not surely different from" if low <= 0 <= high else "better than" if low > 0 else "worse than"
        by = "" if low <= 0 <= high else f" by {points}"
        parts.append(f"{verdict} {name}{by} {mean} [{low:+.1f}, {high:+.1f}]")
    return [f"{subject} is {parts[0]}, and {parts[1]}."]


def _certainty(findings: Findings) -> list[str]:
    """Return how far the numbers can be believed."""
    report = findings.report
    images = next((row.images for row in report.rows if row.section == "overall"), report.runs[0]["rows"])
    unit = "products" if report.pool_photos else "photos"
    source = {"train": "training", "validation": "validation", "test": "test"}[report.split]
    sentences = [f"All numbers come from {images:,} {source} {unit}."]
    if report.split == "train":
        sentences.append("The model was trained on them, so it will be right less often on new photos.")
    elif report.split == "validation":
        sentences.append("Choices were made on them, so it may be right slightly less often on new photos.")
    else:
        sentences.append("The model was not trained on them.")
    sentences.append("Brackets contain the range in which the true value lies in about 95 of 100 such measurements.")
    tree_images = report.builder.counts.all_rows.files[report.run_groups[findings.group].files[0]].images_C
    without = int((tree_images[: len(report.taxonomy.leaves)] == 0).sum())
    if without:
        sentences.append(f"Nothing is known of {counted(without, 'class', 'classes')} without {source} photos.")
    return sentences


def _next_steps(findings: Findings) -> list[str]:
    """Return what the numbers suggest to do, the most useful first."""
    report, details, steps = findings.report, findings.details, []
    head, tail = (_cell(findings, "head and tail", MACC, group=group) for group in ("head", "tail"))
    if head is not None and tail is not None and head[1].value - tail[1].value > CLEAR_GAP:
        names = _leaves_to_photograph(findings)
        steps.append(
            f"Collect more photos of the small classes, first of {listed(names, most=5)}, which have the most mistakes."
            if names
            else "Collect more photos of the small classes."
        )
    notable = [pair for pair in findings.pairs if pair.share >= NOTABLE_SHARE]
    if notable:
        one, leaves = notable[0], report.taxonomy.leaves
        first, second = (leaves[direction.true] for direction in one.directions)
        steps.append(
            f"Look at the confused pairs: {first} and {second} alone are {100 * one.share:.0f} % of all mistakes; "
            "check whether their labels are consistent, or whether they should be one class."
        )
    if findings.threshold is not None and details is not None and details.confidence.accuracy < TARGET_PRECISION:
        threshold = findings.threshold
        steps.append(
            f"Where mistakes are costly, answer only from {100 * threshold.threshold:.0f} % confidence: then "
            f"{100 * threshold.coverage:.0f} of 100 photos get an answer, and at least "
            f"{100 * TARGET_PRECISION:.0f} % of the answers are right."
        )
    if details is not None and details.confidence.calibration_error() > POOR_CALIBRATION:
        difference = details.confidence.mean_confidence - details.confidence.accuracy
        word = "too high" if difference > 0 else "too low"
        steps.append(
            f"Do not take its probabilities at face value: they are {word}, by {100 * abs(difference):.0f} points on "
            "average."
        )
    return steps


def _leaves_to_photograph(findings: Findings) -> list[str]:
    """Return tail leaves by wrong images, most first: those where further training photos would matter most."""
    report = findings.report
    counts = report.builder.counts.all_rows.files[report.run_groups[findings.group].files[0]]
    top = min((row.top for row in report.rows if row.section == "overall"), default=1)
    correct_E = counts.correct.get((report.taxonomy.leaf_level, top))
    if correct_E is None:
        return []
    leaves = len(report.taxonomy.leaves)
    wrong_C = (counts.images_C - correct_E)[:leaves]
    tail = np.flatnonzero((report.train_images_C < report.thresholds.head_from) & (wrong_C > 0))
    return [report.taxonomy.leaves[int(leaf)] for leaf in tail[np.argsort(-wrong_C[tail], kind="stable")][:5]]
