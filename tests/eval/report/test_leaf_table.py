"""Rows of single leaves, computed in arrays, equal those of groups of one leaf."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.scores.reader import open_scores
from prodrec.eval.report.count_scores import count_scores
from prodrec.eval.report.leaf_groups import LeafGroup
from prodrec.eval.report.leaf_table import LeafRows
from prodrec.eval.report.row_builder import RowBuilder
from prodrec.eval.report.run_groups import group_runs
from prodrec.eval.report.strata import ACC
from prodrec.eval.report.table import Row

TOPS = (1, 3)


def rows_of(paths: Sequence[Path], *, mean: bool = False) -> tuple[LeafRows, list[Row]]:
    """Return the rows computed in arrays, and those of groups of one leaf."""
    files = [open_scores(path) for path in paths]
    run_groups = group_runs(files, mean=mean)
    pairs = [(run_groups[0].files, group.files) for group in run_groups[1:]]
    counts = count_scores(files, "test", [("leaf", top) for top in TOPS], pairs=pairs)
    builder = RowBuilder(files, run_groups, counts)
    rows = LeafRows(builder, files[0].taxonomy, TOPS)
    names = files[0].taxonomy.leaves
    groups = [LeafGroup("by leaf", names[leaf], "leaf", 1, np.array([leaf]), (ACC,)) for leaf in rows.leaves]
    return rows, [row for group in groups for row in builder.accuracy_rows(group, TOPS)]


def same(a: Any, b: Any) -> bool:
    """Return whether two cells are equal but for rounding."""
    numbers = [
        None
        if cell is None
        else (cell.value, *cell.interval, cell.spread, cell.classes, cell.images)
        + ((cell.gain.value, *cell.gain.interval, cell.gain.spread, cell.gain.paired) if cell.gain else ())
        for cell in (a, b)
    ]
    if None in numbers:
        return numbers[0] == numbers[1]
    return len(numbers[0]) == len(numbers[1]) and all(
        x == y or (x is not None and x == pytest.approx(y, abs=1e-12)) for x, y in zip(*numbers, strict=True)
    )


@pytest.mark.parametrize("case", ["one", "paired", "unpaired", "not scored", "seeds", "seeds that differ"])
def test_rows_equal_those_of_groups_of_one_leaf(draw_scores: Any, case: str) -> None:
    def draw(name: str, **options: Any) -> Path:
        path: Path = draw_scores(name, leaves=40, rows=300, **options).path
        return path

    seeds = (3, 4) if case == "seeds that differ" else (1, 2)
    runs = {
        "one": lambda: [draw("a")],
        "paired": lambda: [draw("a"), draw("b", seed=1, right=3.0)],
        "unpaired": lambda: [draw("a"), draw("b", seed=1, labels_seed=7, first_row=1)],
        "not scored": lambda: [draw("a", scored=("root",)), draw("b"), draw("c")],
    }
    repeats = [("a", 1), ("a", 2), ("b", seeds[0]), ("b", seeds[1])]
    paths = (
        [
            draw(f"{name}-{seed}", seed=10 * at + seed, family=name, run_seed=seed)
            for at, (name, seed) in enumerate(repeats)
        ]
        if case.startswith("seeds")
        else runs[case]()
    )
    rows, expected = rows_of(paths, mean=case.startswith("seeds"))
    assert len(rows) == len(expected) > 40
    for row, other in zip(rows, expected, strict=True):
        labels = [(r.section, r.group, r.level, r.metric, r.top, r.total_classes, r.tested) for r in (row, other)]
        assert labels[0] == labels[1]
        assert all(same(a, b) for a, b in zip(row.cells, other.cells, strict=True)), (row, other)
    assert rows[-1] == list(rows)[-1] and rows[3].group == rows[2].group


def test_the_leaves_with_most_images_come_first(draw_scores: Any) -> None:
    drawn = draw_scores(leaves=40, rows=300)
    rows, _ = rows_of([drawn.path])
    images = np.bincount(drawn.labels[drawn.split == 1, 1], minlength=40)
    order = sorted(np.flatnonzero(images), key=lambda leaf: (-images[leaf], leaf))
    assert [int(rows.leaves[index]) for index in rows.largest(5)] == order[:5]
    assert [row.top for row in rows.rows_at(rows.largest(2))] == [1, 3, 1, 3]
    assert rows.omitted(5) == len(order) - 5 and rows.omitted(1000) == 0
