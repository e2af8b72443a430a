from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from prodrec.core.data.prepare.long_tail import HEAD_COLOUR, TAIL_COLOUR, plot_long_tail


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def share(path: Path, colour: str) -> float:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return float((pixels == rgb(colour)).all(axis=2).mean())


@pytest.mark.parametrize(
    ("counts", "head", "tail"),
    [([500, 200, 90, 3, 1, 0], True, True), ([500, 400], True, False), ([5], False, True), ([0, 0], False, False)],
)
def test_head_and_tail_have_their_colours(tmp_path: Path, counts: list[int], head: bool, tail: bool) -> None:
    plot_long_tail(tmp_path, np.array(counts), head_from=100)
    assert (share(tmp_path / "long-tail.png", HEAD_COLOUR) > 0.05) == head
    assert (share(tmp_path / "long-tail.png", TAIL_COLOUR) > 0.05) == tail
    assert ElementTree.parse(tmp_path / "long-tail.svg").getroot().tag.endswith("svg")


def test_colour_blind_readers_can_tell_the_colours_apart() -> None:
    """Their luminance (ITU-R BT.709) differs by more than a quarter."""
    head, tail = (float(np.dot(rgb(colour), (0.2126, 0.7152, 0.0722))) / 255 for colour in (HEAD_COLOUR, TAIL_COLOUR))
    assert tail - head > 0.25


def test_the_files_are_deterministic(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        plot_long_tail(tmp_path / name, np.array([300, 20, 1]), head_from=100)
    for file in ("long-tail.svg", "long-tail.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_plot_of_a_million_leaves_is_small(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).zipf(1.5, 1_000_000).clip(max=10**6)
    plot_long_tail(tmp_path, counts, head_from=100)
    assert (tmp_path / "long-tail.svg").stat().st_size < 1_000_000
