"""Plots of a report: both formats, every root and run named, and the same bytes for the same report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prodrec.core.base.errors import OutputExists
from prodrec.eval.plots.report_plots import draw_plots, draw_tail
from prodrec.eval.plots.style import drawing_style
from prodrec.eval.report.evaluate import evaluate_scores


def test_plots_name_roots_runs_and_bins(draw_scores: Any, tmp_path: Path) -> None:
    report = evaluate_scores([draw_scores("first").path, draw_scores("second", seed=1).path])
    written = draw_plots(report, tmp_path / "plots")
    assert sorted(path.name for path in written) == sorted(path.name for path in (tmp_path / "plots").iterdir())
    roots = (tmp_path / "plots" / "by-root.svg").read_text("utf-8")
    for text in ("root 0", "root 1", "root 2", "mean over", "first", "second", "MACC top-1, %"):
        assert f">{text}" in roots or text in roots, text
    tail = (tmp_path / "plots" / "by-training-images.svg").read_text("utf-8")
    assert "100–199" in tail and "leaves" in tail
    assert (tmp_path / "plots" / "by-root.png").read_bytes().startswith(b"\x89PNG")


def test_bins_of_few_leaves_are_not_joined(draw_scores: Any) -> None:
    """Of 40 leaves with 0 to 199 training images, the bins of fewer than five stand alone."""
    report = evaluate_scores([draw_scores(leaves=40, rows=2000).path])
    with drawing_style():
        (axes,) = draw_tail(report).axes
    leaves = [int(label.get_text().split("\n")[1].split()[0]) for label in axes.get_xticklabels()]
    joined = {
        tuple(round(x) for x in line.get_xdata())
        for line in axes.lines
        if line.get_linestyle() == "-" and len(line.get_xdata()) == 2
    }
    expected = {(i, i + 1) for i in range(len(leaves) - 1) if min(leaves[i], leaves[i + 1]) >= 5}
    assert joined == expected and expected and len(expected) < len(leaves) - 1


def test_plots_of_pooled_photos_name_products(draw_scores: Any, tmp_path: Path) -> None:
    report = evaluate_scores([draw_scores().path], hierarchy=True)
    for pool_photos, unit in ((False, "images"), (True, "products")):
        draw_plots(replace(report, pool_photos=pool_photos), tmp_path / unit)
        for name, label in (
            ("by-training-images", f"leaves with test {unit}"),
            ("mistakes", f"share of the {unit}, %"),
        ):
            assert label in (tmp_path / unit / f"{name}.svg").read_text("utf-8")


def test_same_report_gives_the_same_svg(draw_scores: Any, tmp_path: Path) -> None:
    report = evaluate_scores([draw_scores().path])
    draw_plots(report, tmp_path / "a")
    draw_plots(report, tmp_path / "b")
    assert (tmp_path / "a" / "by-root.svg").read_bytes() == (tmp_path / "b" / "by-root.svg").read_bytes()


def test_plots_are_not_replaced_without_force(draw_scores: Any, tmp_path: Path) -> None:
    report = evaluate_scores([draw_scores().path])
    draw_plots(report, tmp_path)
    with pytest.raises(OutputExists, match="--force"):
        draw_plots(report, tmp_path)
    draw_plots(report, tmp_path, force=True)


def test_many_roots_and_a_root_without_test_images(draw_scores: Any, tmp_path: Path) -> None:
    report = evaluate_scores([draw_scores(roots=20, leaves=40, rows=60).path], tops=[3])
    draw_plots(report, tmp_path)
    text = (tmp_path / "by-root.svg").read_text("utf-8")
    assert "n/a" in text and "MACC top-3, %" in text


def test_every_section_with_data_is_drawn(predicted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodrec.eval.plots.report_plots.FORMATS", ("svg",))
    truth, leaf = [0, 0, 3, 2], [0, 2, 0, 2]
    attributes = {"colour": ([1, 2, 1, 0], [0, 1, 0, 0])}
    both = predicted("both", truth, {"root": [0, 0, 1, 0], "leaf": leaf}, attributes=attributes)
    root = predicted("only root", truth, {"root": [0, 0, 1, 0]})
    written = draw_plots(evaluate_scores([both, root], hierarchy=True, by_attribute=True), tmp_path / "a")
    names = ["by-training-images", "by-root", "by-level", "by-attribute", "mistakes"]
    assert [path.stem for path in written] == names
    texts = {name: (tmp_path / "a" / f"{name}.svg").read_text("utf-8") for name in names}
    assert "ACC-branA, %" in texts["by-attribute"] and "ACC-branC, %" in texts["by-attribute"]
    assert "only root" in texts["by-level"] and "n/a" in texts["by-level"] and "MACC top-1, %" in texts["by-level"]
    assert "only root" not in texts["by-root"] and "only root" not in texts["mistakes"]
    for text in ("right root, wrong middle", "right middle, wrong leaf", "wrong root", "25.0"):
        assert text in texts["mistakes"]
    written = draw_plots(evaluate_scores([root], by_root=True), tmp_path / "b")
    assert [path.name for path in written] == ["by-level.svg"], "no plot of leaves without scores of them"
