"""Every code block of the documentation runs.

The tutorial and the overview run in a folder with a drawn catalogue, and every other page in a copy of that folder as
the tutorial leaves it. Blocks of a page run in order:

    ```python         runs; all Python blocks of a page share their names
    ```console        the lines that begin with `$ ` run; those of prodrec must end with exit code 0
    ```toml title=F   is written to the file F, as is a block of any other language with a title

Everything else, such as ```text and ```json, is not run. A page may prepare its files in a ```python block within an
HTML comment, which readers do not see.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from prodrec.demo.catalogue import draw_catalogue

DOCS = Path(__file__).parents[1] / "docs"
OVERVIEW, TUTORIAL = DOCS / "index.md", DOCS / "tutorial.md"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path not in (OVERVIEW, TUTORIAL))
LONG_PAGES = {"audit.md", "compare.md", "export.md", "index.md", "long-tail.md"}
"""Pages of how-to/ that train or index for several seconds; what they show has default tests of its own."""
FENCE = re.compile(r"^( *)```(\w+)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
RUN = {"python", "console", "toml"}


@dataclass(frozen=True)
class Block:
    language: str
    title: str | None
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, also those inside lists and tabs."""
    text = page.read_text("utf-8")
    for match in FENCE.finditer(text):
        indent, language, rest, body = match.groups()
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        title = re.search(r'title="([^"]+)"', rest)
        yield Block(language, title and title[1], "\n".join(lines) + "\n", text[: match.start()].count("\n") + 1)


def run_page(page: Path, prodrec: Callable[[str], Result]) -> None:
    names: dict[str, Any] = {"__name__": f"docs.{page.stem}"}
    for block in blocks(page):
        where = f"{page.relative_to(DOCS)}, line {block.line}"
        if block.language == "python":
            exec(compile(block.text, where, "exec"), names)
        elif block.title:
            Path(block.title).write_text(block.text, "utf-8")
        elif block.language == "console":
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    run_line(line.removeprefix("$ "), where, prodrec)


def run_line(line: str, where: str, prodrec: Callable[[str], Result]) -> None:
    words = shlex.split(line, comments=True)
    assert words[0] == "prodrec", f"{where}: `{line}` cannot run in a test; make it a text block"
    result = prodrec(shlex.join(words))
    assert result.exit_code == 0, f"{where}: {line}\n{result.output}\n{result.exception!r}"


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory, small_families: Any, prodrec: Callable[[str], Result]) -> Path:
    """The folder in which the tutorial ran."""
    folder = tmp_path_factory.mktemp("docs")
    draw_shop(folder)
    with small_families(folder):
        run_page(TUTORIAL, prodrec)
    return folder


def draw_shop(folder: Path) -> None:
    draw_catalogue(folder, products=72, leaves=6, size=32, dirt=False)


def test_the_overview_runs(small_families: Any, prodrec: Callable[[str], Result], tmp_path: Path) -> None:
    draw_shop(tmp_path)
    with small_families(tmp_path):
        run_page(OVERVIEW, prodrec)


def test_the_tutorial_runs(tutorial: Path) -> None:
    assert (tutorial / "scores").is_dir() and list(tutorial.glob("runs/*/model.safetensors"))


def pages() -> list[Any]:
    """Return the pages with blocks that run, the long ones among the exhaustive tests."""
    runnable = [page for page in PAGES if any(block.language in RUN for block in blocks(page))]
    return [pytest.param(page, marks=[pytest.mark.exhaustive] * (page.name in LONG_PAGES)) for page in runnable]


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_block_of_a_page_runs(
    page: Path, tutorial: Path, small_families: Any, prodrec: Callable[[str], Result], tmp_path: Path
) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(tutorial, folder)
    with small_families(folder):
        run_page(page, prodrec)


def test_blocks_have_a_language() -> None:
    """A block without a language would never run and never be noticed."""
    for page in DOCS.rglob("*.md"):
        fences = re.findall(r"^ *```(.*)$", page.read_text("utf-8"), re.MULTILINE)
        assert len(fences) % 2 == 0 and all(fences[::2]), f"{page}: a fence without a language"
