"""The page in headless Chromium: a photo in, the panel out, corrected by keyboard. Skipped without chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from prodrec.serve.corrections import Corrections
from prodrec.serve.engine import Answered, Box, Job
from prodrec.serve.limits import ApiKeys
from tests.serve.conftest import DrawnIndex, EchoEngine, RunningService

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
ARGUMENTS += ["--disable-sync"]
KEY = "0123456789abcdef"
BOOT = "<b>Boots</b>"  # a name that a page must not read as HTML


class PageEngine(EchoEngine):
    """Answers with everything that the page can show."""

    def prepare(self, data: bytes, box: Box | None) -> Any:
        return "photo", box

    def _results(self, job: Job) -> list[dict[str, Any]]:
        path, confidences = ["Shoes", BOOT], [0.97, 0.9]
        return [
            {
                "levels": {"leaf": [{"class": BOOT, "path": path, "confidence": 0.9}]},
                "attributes": {"colour": [{"state": "red", "confidence": 0.8}]},
                "answer": {"levels": ["root", "leaf"], "path": path, "confidences": confidences},
                "neighbours": [{"id": "P1", "path": path, "cosine": 0.95, "share": 0.6}],
                "saliency": {
                    "method": "attention",
                    "seen": [0, 0, 1, 1],
                    "box": [0.25, 0.25, 0.75, 0.75],
                    "weights": [[0.1, 1.0], [0.2, 0.3]],
                },
            }
            for _ in job.photos
        ]

    def answer(self, jobs: Any) -> list[Answered]:
        self.batches.append([str(box) for job in jobs for _, box in job.photos])
        return super().answer(jobs)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (60, 80), "red").save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


@pytest.fixture
def engine() -> PageEngine:
    return PageEngine()


@pytest.fixture
def page(browser: Any, engine: PageEngine, tmp_path: Path) -> Iterator[Any]:
    """The opened page. Any error of its script, or a resource that its policy forbids, fails the test."""
    service = RunningService(engine, corrections=Corrections(tmp_path / "kept/c.csv", engine.levels))
    page, problems = browser.new_page(viewport={"width": 390, "height": 844}), list[str]()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.goto(service.url)
    yield page
    page.close()
    service.stop()
    assert not problems


def test_a_photo_is_shown_with_its_answer(page: Any, photo: Path) -> None:
    page.set_input_files("#file", photo)
    page.wait_for_selector("#result:not([hidden])")
    assert page.inner_text("#title") == BOOT and page.inner_text("#confidence") == "90 %"
    assert page.text_content("#status") == f"Shoes / {BOOT}, 90 %"
    assert page.get_attribute("#status", "aria-live") == "polite"
    assert page.inner_text("#path").split("\n")[:3] == ["Shoes", "root", "97 %"]
    assert page.inner_text("#attributes").startswith("red") and "P1" in page.inner_text("#why")
    assert page.inner_text("#tags") == "red"
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "a phone must not scroll sideways"
    drawn = "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(Boolean))(overlay)"
    assert page.evaluate(drawn)
    page.uncheck("#heat")
    assert not page.evaluate(drawn)


def test_a_part_is_chosen_by_button_and_by_dragging(page: Any, photo: Path, engine: PageEngine) -> None:
    page.set_input_files("#file", photo)
    page.click("#part")
    page.wait_for_selector("#whole:not([hidden])")
    page.wait_for_selector("#result:not([aria-busy])")
    frame = page.locator("#frame").bounding_box()
    page.mouse.move(frame["x"] + 1, frame["y"] + 1)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2, steps=4)
    page.mouse.up()
    page.wait_for_selector("#result:not([aria-busy])")
    boxes = [batch[0] for batch in engine.batches if batch[0] != "photo"]
    assert boxes[0] == "None" and boxes[1] == "(0.25, 0.25, 0.75, 0.75)"
    left, top, right, bottom = (float(share) for share in boxes[-1].strip("()").split(","))
    assert (left, top, right, bottom) == pytest.approx((0, 0, 0.5, 0.5), abs=0.03)


def test_a_correction_by_keyboard(page: Any, photo: Path, tmp_path: Path) -> None:
    page.set_input_files("#file", photo)
    page.wait_for_selector("#result:not([hidden])")
    page.focus("summary")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("sneak")
    page.wait_for_selector("#paths option", state="attached")
    assert page.get_attribute("#paths option", "value") == "Shoes / Sneakers"
    page.fill("#right", "Shoes / Sneakers")
    page.keyboard.press("Enter")
    page.wait_for_selector("#correct-status:not(:empty)")
    assert "is kept" in page.inner_text("#correct-status")
    assert (tmp_path / "kept/c.csv").read_text().count("Sneakers") == 1


def test_every_control_has_a_name(page: Any, photo: Path) -> None:
    page.set_input_files("#file", photo)
    page.wait_for_selector("#result:not([hidden])")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, button, summary')].filter("
        "e => !(e.labels?.[0] || e).textContent.trim()).map(e => e.id)"
    )
    assert unnamed == []
    assert page.evaluate("[...document.images].every(image => image.hasAttribute('alt'))")


def test_products_of_an_index_and_a_key(browser: Any, photo: Path) -> None:
    class WithProducts(PageEngine):
        def _results(self, job: Job) -> list[dict[str, Any]]:
            hit = {"sku": "a/1", "title": "A boot", "path": ["Shoes"], "tags": ["suede"], "photo": 0, "cosine": 0.9}
            return [one | {"products": [hit]} for one in super()._results(job)]

    service = RunningService(WithProducts(DrawnIndex(version=3)), keys=ApiKeys({"shop": KEY}))
    page = browser.new_page(color_scheme="dark")
    try:
        page.goto(service.url)
        page.wait_for_selector("#run:not(:empty)")
        assert page.inner_text("#run") == "echo · index version 3"
        page.set_input_files("#file", photo)
        page.wait_for_selector("#key-form:not([hidden])")
        assert "has no API key" in page.inner_text("#status")
        page.fill("#key", KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("#result:not([hidden])")
        assert page.inner_text("#title") == "A boot" and "suede" in page.inner_text("#tags")
        assert page.locator("#similar li").count() == 1
        page.wait_for_selector("#similar img[src^='blob:']")
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(18, 23, 21)"
        page.fill("#words", "hat")
        page.keyboard.press("Enter")
        page.wait_for_selector("#status:has-text('No product')")
        assert page.is_hidden("#found-section")
        page.fill("#words", "boot b")
        page.keyboard.press("Enter")
        page.wait_for_selector("#found img[src^='blob:']")
        assert page.locator("#found li").all_inner_texts()[1].split("\n") == ["B boot", "Boots"]
        assert page.inner_text("#found-title") == "Products for “boot b”"
        page.set_input_files("#file", photo)
        page.wait_for_selector("#found-section", state="hidden")
    finally:
        page.close()
        service.stop()


def test_a_file_that_is_no_photo(browser: Any, page: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    page.set_input_files("#file", tmp_path / "notes.txt")
    page.wait_for_selector("#status.problem")
    assert "not a photo" in page.inner_text("#status")
