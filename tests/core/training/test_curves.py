"""The picture of a training: its curves have the values of the history, and every finished run has the picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodrec.core.training.curves import CURVES_FILE, draw_curves, write_curves

HISTORY = [
    {"epoch": 1, "step": 4, "lr": 0.1, "loss": 2.0, "loss_visual": 1.5, "validation_top1": 0.25},
    {"epoch": 2, "step": 8, "lr": 0.1, "loss": 1.0, "loss_visual": 0.5, "validation_top1": 0.5},
]


def test_curves_have_the_values_of_the_history() -> None:
    losses, accuracies = draw_curves(HISTORY).axes
    curves = {line.get_label(): list(line.get_ydata()) for line in losses.lines}
    assert curves == {"all": [2.0, 1.0], "visual": [1.5, 0.5]}
    (top1,) = accuracies.lines
    assert list(top1.get_xdata()) == [1, 2] and list(top1.get_ydata()) == [25, 50]


def test_the_loss_of_the_only_head_is_not_drawn_over_the_whole() -> None:
    (losses,) = draw_curves([{"epoch": 1, "step": 4, "lr": 0.1, "loss": 2.0, "loss_visual": 2.0000001}]).axes
    assert [line.get_label() for line in losses.lines] == ["all"]


def test_without_validation_there_is_one_panel() -> None:
    (losses,) = draw_curves([{"epoch": 1, "step": 4, "lr": 0.1, "loss": 2.0}]).axes
    assert losses.get_title(loc="left") == "loss"


@pytest.mark.parametrize(("history", "names"), [(HISTORY, [CURVES_FILE]), ([], [])])
def test_only_a_run_with_epochs_has_the_picture(
    history: list[dict[str, float]], names: list[str], tmp_path: Path
) -> None:
    write_curves(tmp_path, history)
    assert [path.name for path in tmp_path.iterdir()] == names
    if names:
        before = (tmp_path / CURVES_FILE).read_bytes()
        write_curves(tmp_path, history)
        assert (tmp_path / CURVES_FILE).read_bytes() == before and b"validation, %" in before
