"""Rows of single leaves, worked out all at once, are those of a group of one leaf."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.scores.reader import open_scores
from prodrec.eval.report.cells import Row, Table
from prodrec.eval.report.columns import columns_of, pairs_of
from prodrec.eval.report.counting import count
from prodrec.eval.report.groups import ACC, Group
from prodrec.eval.report.leaves import LeafRows

TOPS = (1, 3)


def rows_of(paths: Sequence[Path], *, mean: bool = False) -> tuple[LeafRows, list[Row]]:
    """All at once, and one after the other by the table."""
    files = [open_scores(path) for path in paths]
    columns = columns_of(files, mean=mean)
    pairs = [pair for column in columns[1:] for pair in pairs_of(files, columns[0], column)]
    table = Table(files, columns, count(files, "test", [("leaf", top) for top in TOPS], pairs=pairs))
    rows = LeafRows(table, files[0].taxonomy, TOPS)
    names = files[0].taxonomy.leaves
    groups = [Group("by leaf", names[leaf], "leaf", 1, np.array([leaf]), (ACC,)) for leaf in rows.leaves]
    return rows, [row for group in groups for row in table.rows(group, TOPS)]


def same(a: Any, b: Any) -> bool:
    """Cells may differ by rounding."""
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
def test_all_at_once_as_one_by_one(draw_scores: Any, case: str) -> None:
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
    found, expected = rows_of(paths, mean=case.startswith("seeds"))
    assert len(found) == len(expected) > 40
    for own, row in zip(found, expected, strict=True):
        about = [(r.section, r.group, r.level, r.metric, r.top, r.classes_in_all, r.judged) for r in (own, row)]
        assert about[0] == about[1]
        assert all(same(a, b) for a, b in zip(own.cells, row.cells, strict=True)), (own, row)
    assert found[-1] == list(found)[-1] and found[3].group == found[2].group


def test_the_leaves_with_most_images_come_first(draw_scores: Any) -> None:
    drawn = draw_scores(leaves=40, rows=300)
    found, _ = rows_of([drawn.path])
    images = np.bincount(drawn.labels[drawn.split == 1, 1], minlength=40)
    order = sorted(np.flatnonzero(images), key=lambda leaf: (-images[leaf], leaf))
    assert [int(found.leaves[at]) for at in found.most(5)] == order[:5]
    assert [row.top for row in found.rows_of(found.most(2))] == [1, 3, 1, 3]
    assert found.left_out(5) == len(order) - 5 and found.left_out(1000) == 0
