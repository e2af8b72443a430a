"""Grouped bars: long panels are continued below, long names are slanted, and missing values read n/a."""

from __future__ import annotations

from typing import Any

import pytest

from prodrec.eval.plots.bars import MOST_BARS, Panel, draw_bars
from prodrec.eval.plots.style import drawing_style
from prodrec.eval.report.run_groups import RunGroup
from prodrec.eval.report.table import Cell, Row

CELL = Cell(0.8, (0.7, 0.9), 1, 10)


def draw(groups: int, runs: int, *, name: str = "shoes", missing: tuple[int, int] | None = None) -> Any:
    rows = [
        Row("", f"{name} {g}", "leaf", "MACC", 1, 1, tuple(None if (g, i) == missing else CELL for i in range(runs)))
        for g in range(groups)
    ]
    panel = Panel("title", [row.group for row in rows], rows, range(runs), "MACC, %")
    with drawing_style():
        return draw_bars([panel], [RunGroup(f"run {i}", (i,)) for i in range(runs)])


@pytest.mark.parametrize(("groups", "runs", "panels"), [(1, 1, 1), (11, 2, 1), (11, 8, 2), (30, 8, 5)])
def test_many_bars_are_continued_below(groups: int, runs: int, panels: int) -> None:
    figure = draw(groups, runs)
    assert len(figure.axes) == panels
    bars = [len(axes.patches) for axes in figure.axes]
    assert sum(bars) == groups * runs and max(bars) <= MOST_BARS
    labels = [text.get_text() for axes in figure.axes for text in axes.get_xticklabels()]
    assert len(labels) == groups
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"run {i}" for i in range(runs)]


def test_runs_beyond_the_colours_can_be_told_apart() -> None:
    (axes,) = draw(1, 10).axes
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in axes.patches}) == 10


def test_long_names_are_slanted() -> None:
    (short,), (long,) = draw(4, 1).axes, draw(4, 1, name="unbreakablylongnameofaroot").axes
    assert {label.get_rotation() for label in short.get_xticklabels()} == {0}
    assert {label.get_rotation() for label in long.get_xticklabels()} == {30}


def test_names_break_at_hyphens_and_slashes() -> None:
    (axes,) = draw(4, 1, name="women-resnet-50/tops").axes
    assert axes.get_xticklabels()[0].get_text().split("\n") == ["women-", "resnet-50/", "tops 0"]


def test_missing_values_read_na() -> None:
    (axes,) = draw(3, 2, missing=(1, 0)).axes
    assert [text.get_text() for text in axes.texts] == ["n/a"] and len(axes.patches) == 5
