"""Set-up of plots: reproducible SVG files, and settings that end with their block."""

from __future__ import annotations

from pathlib import Path

from prodrec.core.base.plot_style import new_figure, plot_settings, style_axes


def test_the_same_plot_gives_the_same_svg(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        with plot_settings({"font.size": 10}):
            figure = new_figure((2, 1))
            axes = figure.add_subplot()
            axes.fill_between([0, 1], [1, 2], hatch="//")
            style_axes(axes, grid="y")
            figure.savefig(tmp_path / name, metadata={"Date": None})
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_settings_end_with_their_block() -> None:
    import matplotlib

    before = matplotlib.rcParams["font.size"], matplotlib.rcParams["svg.hashsalt"]
    with plot_settings({"font.size": 3}):
        assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["svg.hashsalt"]) == (3, "prodrec")
    assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["svg.hashsalt"]) == before


def test_axes_have_a_grid_and_no_frame_at_the_top() -> None:
    axes = new_figure((2, 1), dpi=100).add_subplot()
    style_axes(axes, grid="x", color="#cccccc")
    assert not axes.spines["top"].get_visible() and axes.spines["left"].get_visible()
    assert axes.xaxis.get_gridlines()[0].get_visible() and not axes.yaxis.get_gridlines()[0].get_visible()
