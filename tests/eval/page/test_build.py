"""The whole page: every section, hostile names, a browser, and the size at 10,000 classes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter
from prodrec.eval.page.build import build_page, page_counters, page_sections
from prodrec.eval.page.inputs import PageInputs, PhotoSource, RunFacts
from prodrec.eval.report.evaluate import Evaluation, open_score_files

HOSTILE = (
    "</script><script>window.bad=1</script>",
    '"><img src=x onerror=window.bad=1>',
    "{{ 7*7 }}",
    "a\u2028b\u202e&amp;",
)
CHROMIUM = shutil.which("chromium")
HISTORY = [{"epoch": n, "step": n, "lr": 0.1, "loss": 2 / n, "validation_top1": 0.4 + n / 10} for n in (1, 2, 3)]


def write_scores(path: Path, *, leaves: Sequence[str], roots: Sequence[str], rows: int, seed: int = 0) -> Path:
    """A top-k file of random predictions, more often right for the first leaves, with hostile names where given."""
    random, labels = np.random.default_rng(seed), np.random.default_rng(9)
    count = len(leaves)
    parents = np.arange(count, dtype=np.int32) % len(roots)
    taxonomy = Taxonomy(("root", "leaf"), (roots, leaves), (np.full(len(roots), -1, dtype=np.int32), parents))
    leaf = (count * labels.random(rows) ** 2).astype(np.int32)
    classes = (leaf[:, None] + np.arange(5)) % count
    scores = np.sort(random.normal(size=(rows, 5)) * 2, axis=1)[:, ::-1]
    wrong = random.random(rows) < 0.2 + 0.4 * leaf / count
    classes[wrong] = classes[wrong][:, [1, 0, 2, 3, 4]]
    origin = Origin(HOSTILE[0] if seed else "first", HOSTILE[1], {"dataset": "d"}, splits=("test",), seed=seed)
    attributes = [Attribute(HOSTILE[1], (HOSTILE[0], "plain"))]
    train_images = (200 * (1 - np.arange(count) / count)).astype(np.int64)
    with ScoresWriter(
        path, origin=origin, taxonomy=taxonomy, train_images=train_images, id_bytes=60, attributes=attributes
    ) as writer:
        writer.append(
            ids=[f"{HOSTILE[i % 4][:20]}{i}" for i in range(rows)],
            rows_B=np.arange(rows),
            split_B=np.ones(rows, dtype=np.uint8),
            labels_BL=np.stack([parents[leaf], leaf], axis=1),
            features_BD=np.zeros((rows, 1)),
            attributes_BA=labels.integers(0, 3, (rows, 1)).astype(np.int32),
            scores={"leaf": scores.astype(np.float16)},
            classes={"leaf": classes.astype(np.int32)},
        )
    return path


def page_of(paths: Sequence[Path], *, photos: PhotoSource | None = None) -> str:
    facts = RunFacts({"lr": 0.1, "note": HOSTILE[0]}, {"lr": 0.2, "note": "x"}, HISTORY, "runs/x", 1.3, {"torch": "2"})
    return evaluate(paths, PageInputs([facts] * len(paths), photos, [("Dataset", HOSTILE[0])], [f"note {HOSTILE[1]}"]))


def evaluate(paths: Sequence[Path], inputs: PageInputs) -> str:
    with open_score_files(paths) as files:
        sections, counters = page_sections(files), page_counters(files, inputs.runs, mean=False)
        observers = {i: counter.add for i, counter in counters.items()}
        report = Evaluation(files, sections, observers=observers).report(sections)
        return build_page(report, files, inputs, counters)


@pytest.fixture(scope="module")
def noise() -> PhotoSource:
    """Photos of noise, the largest JPEG files that there are, with hostile file names."""

    def read(row: int) -> np.ndarray:
        return np.random.default_rng(row).integers(0, 256, (3, 60, 45), dtype=np.uint8)

    return PhotoSource(read, lambda rows: {row: f"{HOSTILE[row % 4]}.jpg" for row in rows})


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory, noise: PhotoSource) -> str:
    tmp_path = tmp_path_factory.mktemp("hostile")
    leaves = [*HOSTILE, *(f"leaf-{i}" for i in range(16))]
    paths = [
        write_scores(tmp_path / f"{seed}.h5", leaves=leaves, roots=HOSTILE, rows=600, seed=seed) for seed in range(2)
    ]
    return page_of(paths, photos=noise)


class Elements(HTMLParser):
    """The tags of a page with their attributes, and its ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_names_of_the_data_are_nothing_but_text(hostile_page: str) -> None:
    elements = Elements(hostile_page).tags
    assert [tag for tag, _ in elements].count("script") == 2, "the data and the script of the page"
    assert all(not name.startswith("on") and name != "style" for _, attributes in elements for name in attributes)
    assert "49" not in re.findall(r"<td>(\d+)</td>", hostile_page) and "{{ 7*7 }}" in hostile_page
    assert "\u202e" not in hostile_page and "&amp;amp;" in hostile_page
    data = json.loads(re.search(r'id="data-json">(.*?)</script>', hostile_page, re.DOTALL)[1])  # type: ignore[index]
    assert data["tree"]["name"][:3] == list(HOSTILE[:3])


def test_the_page_loads_nothing_and_is_sound(hostile_page: str) -> None:
    elements = Elements(hostile_page).tags
    sources = [a[name] or "" for _, a in elements for name in ("src", "href") if name in a]
    assert all(source.startswith(("data:", "#")) for source in sources)
    policy = next(a["content"] for tag, a in elements if tag == "meta" and "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'") and "unsafe" not in policy
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(set(ids)) == len(ids)
    assert {source[1:] for source in sources if source.startswith("#") and source != "#"} <= set(ids)
    assert all("scope" in a for tag, a in elements if tag == "th") and all(
        "alt" in a for tag, a in elements if tag == "img"
    )
    headings = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and all(b <= a + 1 for a, b in pairwise(headings))


def test_every_section_is_there(hostile_page: str) -> None:
    sections = [a["id"] for tag, a in Elements(hostile_page).tags if tag == "section"]
    assert sections == [
        *("summary", "results", "tail", "tree", "pairs", "segments", "classes", "calibration"),
        *("gallery", "training", "settings", "data", "reading"),
    ]
    for text in ("Of 100 photos", "Head and tail", "reliability-", "default 0.2", "1.30", "leaf-3", "✗"):
        assert text in hostile_page, text


def test_a_run_without_scores_of_the_leaves(predicted: Callable[..., Path]) -> None:
    path = predicted("run", [0, 1, 3], {"root": [0, 0, 0]})
    page = evaluate([path], PageInputs([RunFacts()]))
    assert "It does not score the deepest level" in page and 'id="pairs"' not in page and "n/a" in page


def test_a_run_without_mistakes_or_levels(predicted: Callable[..., Path]) -> None:
    path = predicted("run", [0, 1, 3], {"leaf": [0, 1, 3]})
    page = evaluate([path], PageInputs([RunFacts()]))
    assert 'id="pairs"' not in page and "first guess is right for 100 [" in page


def open_in_browser(page: Path, *, width: int = 1280, script: str = "") -> tuple[str, str]:
    """Return the document after its script ran, and what the browser printed; `script` runs at the end of the page."""
    assert CHROMIUM is not None
    if script:  # with its own policy, because that of the page allows no other script
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
        page.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--window-size={width},900"]
    command = [
        CHROMIUM,
        *options,
        f"--user-data-dir={page.parent / 'browser'}",
        "--virtual-time-budget=5000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_a_browser_shows_the_tree_and_reports_no_error(hostile_page: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(hostile_page, "utf-8")
    document, messages = open_in_browser(page)
    assert "CONSOLE" not in messages, messages
    assert len(re.findall(r'<summary class="node"', document)) == len(HOSTILE), "the roots, closed"
    assert "leaf-7" not in document.partition('id="tree-root"')[2].partition("</section>")[0]


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_the_tree_opens_is_searched_and_scrolls_nowhere_sideways(hostile_page: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(hostile_page, "utf-8")
    script = """
      const result = {bad: window.bad, wide: document.documentElement.scrollWidth - window.innerWidth};
      const first = document.querySelector("#tree-root details");
      first.open = true;
      setTimeout(() => {
        result.below = first.querySelectorAll(":scope ul .name").length;
        const search = document.getElementById("tree-search");
        search.value = "LEAF-1";
        search.dispatchEvent(new Event("input"));
        result.found = document.querySelectorAll("#tree-root .name").length;
        result.status = document.getElementById("tree-status").textContent;
        document.body.dataset.result = JSON.stringify(result);
      }, 50);
    """
    document, _ = open_in_browser(page, width=500, script=script)
    found = re.search('data-result="(.*?)"', document)
    assert found is not None
    result = json.loads(unescape(found[1]))
    assert result["below"] == 5 and result["found"] == 7 and result["status"] == "7 classes found."
    assert "bad" not in result and result["wide"] <= 0


def test_the_size_depends_on_the_tree_and_not_on_the_rows(tmp_path: Path) -> None:
    leaves, roots = [f"Vacuum flask {i}" for i in range(60)], [f"Kitchen {i}" for i in range(4)]
    few, many = (
        len(page_of([write_scores(tmp_path / f"{rows}.h5", leaves=leaves, roots=roots, rows=rows)]))
        for rows in (2000, 20_000)
    )
    assert many < 1.1 * few


@pytest.mark.exhaustive
def test_ten_thousand_classes_are_less_than_five_megabytes(tmp_path: Path, noise: PhotoSource) -> None:
    """With three runs, names of usual length, and photos that do not compress."""
    leaves = [f"Stainless steel vacuum flask {i}" for i in range(10_000)]
    roots = [f"Kitchen and dining {i}" for i in range(60)]
    paths = [write_scores(tmp_path / f"{s}.h5", leaves=leaves, roots=roots, rows=15_000, seed=s) for s in range(3)]
    page = page_of(paths, photos=noise)
    assert 3_000_000 < len(page.encode()) < 5_000_000
    assert "photos are omitted, to keep the page small" in page
