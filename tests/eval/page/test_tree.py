"""The tree of the page: leaves have the cells of `--by-leaf`, upper nodes those of counts over the leaves below."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.page import tree
from prodrec.eval.page.thumbnails import Thumbnails
from prodrec.eval.page.tree import TreeRows, tree_json
from prodrec.eval.report.evaluate import evaluate_scores


@pytest.mark.parametrize("products", [None, [i // 3 for i in range(300)]])
def test_leaves_and_roots_equal_the_rows_of_the_report(draw_scores: Any, products: list[int] | None) -> None:
    paths = [draw_scores(f"run-{i}", seed=i, rows=300, early=0.1, products=products).path for i in range(2)]
    report = evaluate_scores(paths, by_leaf=True, by_root=True)
    rows = TreeRows(report, 1)
    by_leaf = {row.group: row for row in report.leaf_rows if row.top == 1}
    for leaf, name in enumerate(report.taxonomy.leaves):
        row = rows.leaf(leaf)
        assert (row.cells if row else None) == (by_leaf[name].cells if name in by_leaf else None)
    by_root = {row.group: row for row in report.rows if (row.section, row.metric, row.top) == ("by root", "ACC", 1)}
    for root, name in enumerate(report.taxonomy.names[0]):
        if root not in rows.rows:
            assert by_root[name].cells == (None, None)
            continue
        for cell, expected in zip(rows.rows[root].cells, by_root[name].cells, strict=True):
            assert cell is not None and expected is not None
            assert cell.value == pytest.approx(expected.value) and cell.images == expected.images
            assert cell.interval == pytest.approx(expected.interval)
            assert (cell.gain is None) == (expected.gain is None)
            if cell.gain and expected.gain:
                assert cell.gain.interval == pytest.approx(expected.gain.interval) and cell.gain.paired


def test_json_has_parents_before_children_and_only_the_largest_leaves(
    draw_scores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "MOST_LEAVES", 5)
    report = evaluate_scores([draw_scores(rows=300).path])
    rows = TreeRows(report, 1)
    values = tree_json(report, rows, None, Thumbnails(None))
    leaves = [i for i, level in enumerate(values["level"]) if level == 1]
    assert len(leaves) == 5 and values["omitted"] == 15 - len(values["name"])
    images = sorted(report.builder.counts.all_rows.files[0].images_C[:12].tolist(), reverse=True)
    assert sorted((values["images"][i] for i in leaves), reverse=True) == images[:5]
    assert all(parent < node for node, parent in enumerate(values["parent"]))
    for i in leaves:
        leaf = list(report.taxonomy.leaves).index(values["name"][i])
        assert values["name"][values["parent"][i]] == report.taxonomy.path(leaf)[0]
        assert values["train"][i] == report.train_images_C[leaf]
        (cell,) = values["cells"][i]
        assert cell[0] == round(1000 * rows.leaf(leaf).cells[0].value)  # type: ignore[union-attr]


def test_a_root_shows_the_photo_of_its_largest_leaf(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores(rows=300).path])
    rows, seen = TreeRows(report, 1), []

    class Recorded(Thumbnails):
        def uri(self, row: int, side: int) -> str | None:
            seen.append(row)
            return f"photo {row}" if row % 2 == 0 else None

    images_C = report.builder.counts.all_rows.files[0].images_C[:12]
    example_C = np.where(images_C > 0, np.arange(12) * 2, -1)
    values = tree_json(report, rows, example_C, Recorded(None))
    root = int(values["level"].index(0))
    below = np.flatnonzero(report.taxonomy.ancestors()[:, 0] == 0)
    assert values["photo"][root] == f"photo {2 * below[images_C[below].argmax()]}"
    assert len(seen) == len(values["name"]) - int((images_C == 0).sum())
