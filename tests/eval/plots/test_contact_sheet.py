"""Contact sheets: photos are not resampled, errors have a frame and a cross, and names are complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.dom import minidom

import numpy as np
import pytest
from numpy.typing import NDArray

from prodrec.core.data.photos.thumbnails import fit_box
from prodrec.eval.gallery_contents import Gallery, GalleryOptions, GalleryPhoto
from prodrec.eval.plots.contact_sheet import FRAME, PHOTO, draw_gallery, format_probability

SHAPES = [(80, 60), (3, 200), (300, 2), (1, 1)]
NAMES = ["Shoes", "$5 & <b> $x_{", "女装 / 连衣裙", "W" * 80]


def photo(row: int) -> NDArray[np.uint8]:
    return np.random.default_rng(row).integers(0, 120, (3, *SHAPES[row % 4]), dtype=np.uint8)


def sheet(count: int = 4, **options: Any) -> Gallery:
    """Return a gallery in which every second photo is wrong."""
    photos = [GalleryPhoto(i, str(i), NAMES[i % 4], NAMES[(i + i % 2) % 4], 0.5) for i in range(count)]
    return Gallery("run", "leaf", GalleryOptions(**options), 20, 5, None, photos)


def read_png(path: Path) -> NDArray[np.uint8]:
    from matplotlib.image import imread

    return (imread(path)[:, :, :3] * 255).round().astype(np.uint8)


def test_photos_are_drawn_pixel_by_pixel_and_errors_framed(tmp_path: Path) -> None:
    draw_gallery(sheet(), photo, tmp_path / "sheet.png", columns=4)
    drawn = read_png(tmp_path / "sheet.png")
    small = fit_box(photo(0), (PHOTO - 2 * FRAME, PHOTO - 2 * FRAME))
    height, width = small.shape[:2]
    places = [(y, x) for y in range(60, 200) for x in range(40, 110)]
    assert any(np.array_equal(drawn[y : y + height, x : x + width], small) for y, x in places)
    red = (drawn == [0xC8, 0x10, 0x2E]).all(axis=2)
    squares = [red[:, left : left + PHOTO] for left in range(40, drawn.shape[1] - PHOTO, PHOTO + 22)]
    framed = [bool((square.mean(axis=1) > 0.9).any() and (square[:, :4].mean() > 0.3)) for square in squares]
    assert framed == [False, True, False, True]
    white = (drawn[:, 40 + PHOTO + 22 :][:, :40] == 255).all(axis=2) & (np.arange(len(drawn)) < 200)[:, None]
    assert white.any(), "no cross in the corner"


def test_svg_contains_the_names_as_text(tmp_path: Path) -> None:
    missing = draw_gallery(sheet(only="errors", leaf="Hats"), photo, tmp_path / "sheet.svg", columns=2)
    page = minidom.parse(str(tmp_path / "sheet.svg"))
    texts = ["".join(node.data for node in text.childNodes) for text in page.getElementsByTagName("text")]
    together = " ".join(texts)
    for text in (
        "run: 4 errors of Hats",
        "most confident first",
        "75.0 % of 20 right",
        "50 % Shoes",
        "true: 女装",
        "…",
    ):
        assert text in together
    assert any(text.startswith("50 % $5 & <b>") for text in texts)
    assert len(page.getElementsByTagName("image")) == 4
    assert not missing or set(missing) <= set("女装连衣裙")


@pytest.mark.parametrize("images", [0, 20])
def test_a_photo_without_a_label_has_its_deepest_class_and_no_frame(tmp_path: Path, images: int) -> None:
    unlabelled = GalleryPhoto(0, "0", "Boots", "Shoes", 0.5, "root")
    gallery = Gallery("run", "leaf", GalleryOptions(), images, images // 4, None, [unlabelled], 3)
    draw_gallery(gallery, photo, tmp_path / "sheet.svg")
    text = (tmp_path / "sheet.svg").read_text("utf-8")
    assert "50 % Boots" in text and "true root: Shoes" in text and "3 without a label at this level" in text
    assert ("75.0 % of 20 right" in text) == bool(images)
    draw_gallery(gallery, photo, tmp_path / "sheet.png")
    assert not (read_png(tmp_path / "sheet.png") == [0xC8, 0x10, 0x2E]).all(axis=2).any()


def test_a_path_that_is_too_long_keeps_its_end(tmp_path: Path) -> None:
    long = GalleryPhoto(0, "0", "Clothing of all kinds / Women and girls / Evening dresses", "Hat", 0.5)
    draw_gallery(Gallery("run", "leaf", GalleryOptions(), 1, 1, 2, [long]), photo, tmp_path / "sheet.svg")
    text = (tmp_path / "sheet.svg").read_text("utf-8")
    assert "…/" in text and "dresses" in text and "Clothing" not in text and "among" in text and "kept" in text


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100 %"), (0.999, ">99 %"), (0.97, "97 %"), (0.001, "<1 %"), (0.0, "0 %")]
)
def test_probabilities_are_rounded_but_never_to_certainty(share: float, text: str) -> None:
    assert format_probability(share) == text
