"""Compares runs from their score files: figures of groups of classes with intervals, gains against the first run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption, Mismatch, NotFound
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.scores.reader import Scores, open_scores
from prodrec.eval.report.attributes import attribute_notes, attribute_rows, attributes_of
from prodrec.eval.report.cells import Cell, Interval, Row, Table
from prodrec.eval.report.columns import Column, columns_of, pairs_of
from prodrec.eval.report.counting import TOP, count
from prodrec.eval.report.groups import Thresholds, groups
from prodrec.eval.report.leaves import LeafRows, leaf_notes
from prodrec.eval.report.notes import absence_notes, level_notes, row_notes
from prodrec.eval.report.structure import NOTES, hierarchy_rows

USUAL_TOPS = (1, 3, 5)
MOST_LEAVES = 10_000
"""In JSON and Markdown; more stand in CSV, which is written line by line."""


@dataclass(frozen=True)
class Report:
    """What `prodrec report` shows and writes.

    columns: runs or groups of repeats, the first being what the others are compared with; leaves: the rows of single
    leaves, none unless asked for; runs: the files; notes: what a reader must know. table makes further rows from the
    same counts; train_images: of every leaf.
    """

    split: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    leaves: LeafRows
    runs: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    table: Table
    taxonomy: Taxonomy
    train_images: NDArray[np.int64]

    def all_rows(self, most: int) -> Iterator[Row]:
        """The rows, then those of at most `most` single leaves: the ones with most test images, in their own order."""
        yield from self.rows
        yield from self.leaves.rows_of(sorted(self.leaves.most(most)))

    def as_json(self) -> dict[str, Any]:
        """In a row's unit, percent or edges, gains in points of it; null where there is nothing to tell."""
        return {
            "split": self.split,
            "unit": "percent",
            "confidence": 0.95,
            "columns": [{"name": c.name, "runs": [self.runs[i] for i in c.files]} for c in self.columns],
            "rows": [
                {
                    "section": row.section,
                    "group": row.group,
                    "level": row.level,
                    "metric": row.metric,
                    "top": row.top,
                    "classes_in_all": row.classes_in_all,
                    "unit": row.unit,
                    "better": "lower" if row.lower_is_better else "higher",
                    "cells": {c.name: cell_json(cell, row) for c, cell in zip(self.columns, row.cells, strict=True)},
                }
                for row in self.all_rows(MOST_LEAVES)
            ],
            "leaves_left_out": self.leaves.left_out(MOST_LEAVES),
            "notes": list(self.notes),
        }


def cell_json(cell: Cell | None, row: Row) -> dict[str, Any] | None:
    """One figure in the unit of its row, flat but for its gain."""
    if cell is None:
        return None
    gain = cell.gain
    return {
        **_scaled(row.scale, cell.value, cell.interval, cell.spread),
        "classes": cell.classes,
        "images": cell.images,
        "gain": gain and {**_scaled(row.scale, gain.value, gain.interval, gain.spread), "paired": gain.paired},
    }


def _scaled(scale: float, value: float, interval: Interval, spread: float | None) -> dict[str, float | None]:
    low, high = interval
    found = {"value": value, "low": low, "high": high, "spread": spread}
    return {name: None if number is None else round(scale * number, 4) for name, number in found.items()}


def report(
    paths: Sequence[Path],
    *,
    split: str = "test",
    tops: Sequence[int] | None = None,
    by_head_tail: bool = False,
    thresholds: Thresholds | None = None,
    by_root: bool = False,
    by_level: bool = False,
    by_leaf: bool = False,
    by_attribute: bool = False,
    hierarchy: bool = False,
    mean: bool = False,
) -> Report:
    """Judge the score files `paths` on `split`, side by side, in one pass over their rows.

    tops: the k of the top-k accuracies; by default 1, 3 and 5 as far as there are classes. mean: repeats of one recipe
    with other seeds become one column, mean ± sample standard deviation. by_attribute, hierarchy: see attributes.py and
    structure.py. Where a run did not score the leaves, the levels (or attributes) that it scored are shown unasked.
    Raises NotFound, BadArtefact, Mismatch for files of other classes, BadOption.
    """
    assert paths, "at least one score file"
    with ExitStack() as stack:
        files: list[Scores] = []
        for path in paths:
            files.append(stack.enter_context(open_scores(path)))
            _share_classes(files[-1], files[0])
        for file in files:
            if not file.count(split):
                raise BadOption(f"{file.path} has no row of split {split}; report another split, or score again.")
        taxonomy, train_images, leaf = files[0].taxonomy, files[0].train_images, files[0].levels[-1]
        by_level = by_level or any(leaf not in file.scored_levels for file in files)
        by_attribute = by_attribute or any(not file.scored_levels for file in files)
        attributes = attributes_of(files) if by_attribute else []
        if hierarchy and taxonomy.depth == 1:
            raise BadOption(f"--hierarchy: the classes have one level ({leaf}) and so no hierarchy; leave it out.")
        found = groups(
            taxonomy,
            train_images,
            thresholds=thresholds or Thresholds(),
            by_head_tail=by_head_tail,
            by_root=by_root,
            by_level=by_level,
        )
        leaf_tops, notes = _tops(files, tops)
        # k = number of classes is always right; at the upper levels, which have few, such rows are left out
        asked = {g.level: [k for k in leaf_tops if g.level == leaf or k < taxonomy.count(g.level)] for g in found}
        columns = columns_of(files, mean=mean)
        pairs = [pair for column in columns[1:] for pair in pairs_of(files, columns[0], column)]
        questions = [(level, k) for level, tops_here in asked.items() for k in tops_here]
        if by_attribute and (leaf, TOP) not in questions:
            questions.append((leaf, TOP))
        names = [attribute.name for attribute in attributes]
        counted = count(files, split, questions, attributes=names, hierarchy=hierarchy, pairs=pairs)
        notes += absence_notes(files) + row_notes(files, columns, counted, pairs, split)
        notes += level_notes(files) if by_level else []
        table = Table(files, columns, counted)
        leaves = LeafRows(table, taxonomy, tuple(leaf_tops) if by_leaf else ())
        notes += leaf_notes(leaves, split) if by_leaf else []
        notes += [*attribute_notes(files, names), *(NOTES if hierarchy else ())]
        rows = [row for group in found for row in table.rows(group, asked[group.level])]
        rows += hierarchy_rows(table, taxonomy) if hierarchy else []
        rows += attribute_rows(table, attributes, found[0]) if by_attribute else []
        runs = [_run_json(file, int(t.images.sum())) for file, t in zip(files, counted.tallies, strict=True)]
        return Report(
            split, tuple(columns), tuple(rows), leaves, tuple(runs), tuple(notes), table, taxonomy, train_images
        )


def find_scores(directory: Path) -> list[Path]:
    """All score files of `directory`: those with leaves first, of these family visual, then by name. Raises NotFound.

    The first is what the others are compared with, so it must have what they have.
    """
    paths = sorted(Path(directory).glob("*.h5"))
    if not paths:
        raise NotFound(f"{directory} holds no scores (.h5); make some with `prodrec score`, or name the files.")
    order = {}
    for path in paths:
        with open_scores(path) as scores:
            no_leaves = scores.levels[-1] not in scores.scored_levels
            order[path] = (no_leaves, scores.origin.family != "visual", path.name)
    return sorted(paths, key=order.__getitem__)


def _share_classes(file: Scores, first: Scores) -> None:
    """Raise Mismatch unless both have the same classes; then they hold them in memory once."""
    difference = file.taxonomy.difference(first.taxonomy)
    if difference:
        raise Mismatch(
            f"{file.path} has other classes than {first.path}: {difference}; report them one by one, or score all "
            "runs on one dataset."
        )
    file.taxonomy = first.taxonomy


def _tops(files: Sequence[Scores], tops: Sequence[int] | None) -> tuple[list[int], list[str]]:
    """The k to report, and notes on those that were left out. Raises BadOption for one that cannot be told."""
    leaves = len(files[0].taxonomy.leaves)
    kept, limit = min(((_kept(file) or leaves, file) for file in files), key=lambda pair: pair[0])
    if tops is None:
        usual = [k for k in USUAL_TOPS if k == 1 or k <= min(kept, leaves - 1)]
        left_out = ", ".join(str(k) for k in USUAL_TOPS if k not in usual)
        why = f"{limit.path} keeps the {kept} best" if kept < leaves else f"there are {leaves} classes"
        return usual, [f"top-{left_out} left out: {why}."] if left_out else []
    for k in tops:
        if not 1 <= k <= leaves:
            raise BadOption(f"--top {k}: expected numbers from 1 to the number of classes, {leaves}.")
        if k > kept:
            raise BadOption(f"--top {k}: {limit.path} keeps the {kept} best scores only; score again with --top-k {k}.")
    return sorted(set(tops)), []


def _kept(file: Scores) -> int | None:
    """How many of the best scores are in the file; None where all are."""
    complete = not file.scored_levels or file.top_k == file.taxonomy.count(file.scored_levels[-1])
    return None if complete else file.top_k


def _run_json(file: Scores, rows: int) -> dict[str, Any]:
    origin = asdict(file.origin)
    del origin["recipe"]
    return {
        "file": str(file.path),
        "fingerprint": file.fingerprint,
        **origin,
        "rows": rows,
        "top_k": file.top_k,
        "scored_levels": list(file.scored_levels),
        "scored_attributes": list(file.scored_attributes),
    }
