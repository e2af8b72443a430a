"""Style of the plots: names are wrapped by their width, missing characters are found, formats are checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodrec.core.base.errors import BadOption, OutputExists
from prodrec.core.base.plot_style import new_figure
from prodrec.eval.plots.style import DPI, check_format, drawing_style, missing_characters, save, wrap


def test_names_are_wrapped_at_spaces_and_cut_with_a_mark() -> None:
    with drawing_style():
        assert wrap("Sports  Shoes", 400, lines=2, size=7) == ["Sports Shoes"]
        assert wrap("Evening Dresses", 130, lines=2, size=7) == ["Evening", "Dresses"]
        unbroken = wrap("W" * 60, 130, lines=2, size=7)
        assert len(unbroken) == 2 and unbroken[1].endswith("…") and len(unbroken[0]) >= len(unbroken[1]) - 1
        assert len(wrap("W" * 60, 260, lines=2, size=7)[0]) == pytest.approx(2 * len(unbroken[0]), abs=1)
        assert (
            wrap("i" * 60, 130, lines=1, size=7)[0] > unbroken[0] and len(wrap("i" * 60, 130, lines=1, size=7)[0]) > 15
        )


def test_names_are_wrapped_after_hyphens() -> None:
    with drawing_style():
        assert wrap("Long-sleeved-shirts", 130, lines=3, size=7) == ["Long-", "sleeved-", "shirts"]
        assert wrap("T-shirts", 400, lines=2, size=7) == ["T-shirts"]


def test_odd_names_are_cleaned_and_never_hang() -> None:
    with drawing_style():
        assert wrap("a\nb\x01", 400, lines=2, size=7) == ["a b\N{REPLACEMENT CHARACTER}"]
        assert wrap("", 400, lines=2, size=7) == []
        assert len(wrap("名字很长的类别", 1, lines=2, size=7)) == 2


def test_characters_without_a_font_are_returned_once() -> None:
    assert missing_characters(["Shoes", "été €"]) == ""
    assert missing_characters(["a\U0010fffd", "\U0010fffd b"]) == "\U0010fffd"


def test_formats_are_known_by_their_suffix(tmp_path: Path) -> None:
    check_format(Path("a.PNG"), option="--out")
    with pytest.raises(BadOption, match=r"--out a\.gif: expected a name that ends in \.png, \.svg or \.pdf"):
        check_format(Path("a.gif"), option="--out")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_names_are_literal_and_the_same_figure_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        with drawing_style():
            figure = new_figure((2, 1), dpi=DPI)
            figure.text(0, 0.5, "$5 & <x> $x_{")
            save(figure, tmp_path / f"{name}{suffix}", kind="gallery")
    data = (tmp_path / f"a{suffix}").read_bytes()
    assert data == (tmp_path / f"b{suffix}").read_bytes()
    assert suffix != ".svg" or b"$5 &amp; &lt;x&gt; $x_{" in data
    with pytest.raises(OutputExists, match="--force"):
        save(figure, tmp_path / f"a{suffix}", kind="gallery")
