"""Pooling of the photos of a product: hand-computed means, plain loops, any order of rows, and notes of the report."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.scores.reader import open_scores
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter
from prodrec.eval.report import pooled_chunks as pooling
from prodrec.eval.report.class_counts import ProductCounts
from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.pooled_chunks import pooled_chunks
from prodrec.eval.report.render_markdown import write_markdown
from prodrec.eval.report.report import Report


def value(report: Report, *, metric: str = "ACC", top: int = 1, group: int = 0, section: str = "overall") -> Any:
    (row,) = [r for r in report.rows if (r.section, r.metric, r.top) == (section, metric, top)]
    return row.cells[group]


def write(path: Path, tree: Any, scores: Any, truth: Any, products: Any, classes: Any = None) -> Path:
    """Write leaf scores of some test rows; `products` are the first rows of their products."""
    rows = len(scores)
    origin = Origin("run", "run", {"dataset": "d"}, splits=("test",))
    with ScoresWriter(path, origin=origin, taxonomy=tree, train_images=[9] * 5, id_bytes=8) as writer:
        writer.append(
            ids=[f"photo{i}" for i in range(rows)],
            rows_B=np.arange(rows),
            split_B=np.ones(rows, dtype=np.uint8),
            labels_BL=tree.ancestors()[truth],
            features_BD=np.zeros((rows, 1)),
            scores={"leaf": np.array(scores, np.float32)},
            classes=None if classes is None else {"leaf": np.array(classes)},
            products_B=None if products is None else (products, products),
        )
    return path


def pooled(path: Path, **options: Any) -> tuple[Any, ProductCounts]:
    counts = ProductCounts()
    with open_scores(path) as scores:
        (chunk,) = pooled_chunks(scores, "test", counts=counts, levels=("leaf",), **options)
    return chunk, counts


def test_the_mean_of_dense_scores(tree: Any, tmp_path: Path) -> None:
    """Product 0 has the photos 0, 2 and 3: one alone is right, the mean is; product 1 has one photo, which is wrong."""
    scores = [[4, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 2, 0, -3]]
    path = write(tmp_path / "s.h5", tree, scores, [0, 0, 0, 0], [0, 1, 0, 0])
    chunk, counts = pooled(path)
    assert (counts.products, counts.photos, counts.mixed) == (2, 4, 0)
    assert chunk.rows_R.tolist() == chunk.product_R.tolist() == [0, 1]
    assert [text.decode() for text in chunk.ids_R] == ["photo0", "photo1"]
    np.testing.assert_allclose(chunk.scores["leaf"], [[4 / 3, 1 / 3, 2 / 3, 0, -1], [0, 2, 0, 0, 0]], rtol=1e-6)
    assert value(evaluate_scores([path])).value == 0.25
    assert value(evaluate_scores([path], pool_photos=True)).value == 0.5


def test_the_mean_of_top_k_lists(tree: Any, tmp_path: Path) -> None:
    """A class that a list lacks has the smallest score of this list: class 1 has (3 + 2) / 2, class 0 (5 + 2) / 2."""
    scores, classes = [[5, 3], [7, 4], [6, 2]], [[0, 1], [3, 0], [4, 2]]
    path = write(tmp_path / "s.h5", tree, scores, [4, 0, 4], [0, 1, 0], classes)
    chunk, counts = pooled(path)
    # all classes of product 0: 4 has (3 + 6) / 2, 0 has (5 + 2) / 2, 1 and 2 have (3 + 2) / 2
    assert chunk.scores["leaf"].tolist() == [[4.5, 3.5], [7, 4]]
    assert chunk.classes["leaf"].tolist() == [[4, 0], [3, 0]]
    assert (counts.products, counts.photos) == (2, 3)
    report = evaluate_scores([path], pool_photos=True)
    assert value(report).value == 0.5
    assert "A class that the top-k list of a photo lacks has the smallest score of this list." in report.notes


def test_equal_means_go_to_the_lower_class(tree: Any, tmp_path: Path) -> None:
    scores, classes = [[5, 3], [5, 3]], [[3, 2], [1, 4]]
    path = write(tmp_path / "s.h5", tree, scores, [1, 1], [0, 0], classes)
    chunk, _ = pooled(path)
    assert chunk.classes["leaf"].tolist() == [[1, 3]] and chunk.scores["leaf"].tolist() == [[4, 4]]


def test_the_label_of_most_photos_counts(tree: Any, tmp_path: Path) -> None:
    """Product 0 has the labels 1 2 2; product 1 has 4 and 3, of which 4 comes first."""
    path = write(tmp_path / "s.h5", tree, np.eye(5)[[0] * 5], [1, 4, 2, 3, 2], [0, 1, 0, 1, 0])
    chunk, counts = pooled(path)
    assert chunk.labels_RL[:, -1].tolist() == [2, 4] and counts.mixed == 2
    notes = evaluate_scores([path], pool_photos=True).notes
    assert "2 products have photos with different labels; the label of most photos counts." in notes


def expected_correct(drawn: Any, products: Any, k: int, top_k: int | None) -> list[bool]:
    """Return whether the true leaf of each test product is among the k best means, by plain loops."""
    rows_of = defaultdict(list)
    for row in np.flatnonzero(drawn.split == 1).tolist():
        rows_of[products[row]].append(row)
    correct = []
    for rows in rows_of.values():
        means = np.zeros(drawn.scores["leaf"].shape[1])
        for row in rows:
            scores = drawn.scores["leaf"][row].astype(np.float64)
            if top_k is not None:
                order = sorted(range(len(scores)), key=lambda c: (-scores[c], c))
                scores[order[top_k:]] = scores[order[top_k - 1]]
            means += scores
        leaf = Counter(drawn.labels[row, 1] for row in rows).most_common(1)[0][0]
        order = sorted(range(len(means)), key=lambda c: (-round(means[c] / len(rows), 5), c))
        correct.append(leaf in order[:k])
    return correct


@pytest.mark.parametrize("top_k", [None, 4])
@pytest.mark.parametrize("band_bytes", [1, 2000, 2**26])
def test_products_in_any_order_equal_plain_loops(
    draw_scores: Any, monkeypatch: pytest.MonkeyPatch, top_k: int | None, band_bytes: int
) -> None:
    monkeypatch.setattr(pooling, "MAX_BAND_BYTES", band_bytes)
    random = np.random.default_rng(band_bytes)
    orders = random.integers(0, 150, 300), np.arange(300) % 100, np.arange(300) // 3, np.arange(300)
    for name, products in zip("abcd", orders, strict=True):
        drawn = draw_scores(name, products=products, rows=300, top_k=top_k, right=1.0, ties=False)
        report = evaluate_scores([drawn.path], pool_photos=True, tops=[1, 3])
        for k in (1, 3):
            expected = expected_correct(drawn, products, k, top_k)
            cell = value(report, top=k)
            assert cell.images == len(expected)
            assert cell.value == pytest.approx(np.mean(expected), abs=1e-12)


@pytest.mark.parametrize("top_k", [None, 4])
def test_all_sections_and_chunks(draw_scores: Any, top_k: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attributes, levels and the tree are pooled too; the size of bands and chunks changes nothing."""
    products = np.random.default_rng(1).integers(0, 90, 300)
    options: dict[str, Any] = {"scored": ("root", "leaf"), "score_attributes": True, "products": products}
    drawn = [draw_scores(name, seed=i, rows=300, top_k=top_k, early=0.2, **options) for i, name in enumerate("ab")]
    paths = [d.path for d in drawn]
    everything: dict[str, Any] = dict.fromkeys(("by_level", "by_attribute", "hierarchy", "by_leaf", "by_root"), True)
    reports = []
    for band_bytes in (1000, 2**27):
        monkeypatch.setattr(pooling, "MAX_BAND_BYTES", band_bytes)
        reports.append(evaluate_scores(paths, pool_photos=True, **everything).as_json())
    assert reports[0] == reports[1]
    gains = [cells["b"]["gain"] for row in reports[0]["rows"] if (cells := row["cells"])["a"] and cells["b"]]
    assert all(gain["paired"] for gain in gains)
    assert reports[0]["columns"][0]["runs"][0]["rows"] == len(
        {products[i] for i in np.flatnonzero(drawn[0].split == 1)}
    )


def test_states_of_attributes_are_those_of_most_photos_that_have_one() -> None:
    from prodrec.eval.report.product_labels import product_states

    codes_RA = np.array([[0, 1], [2, 0], [3, 2], [3, 0], [0, 2], [0, 0]], np.int32)
    states = product_states(np.array([0, 0, 0, 0, 1, 2]), codes_RA, 3)
    assert states.tolist() == [[3, 1], [0, 2], [0, 0]]


def test_the_report_says_what_was_pooled(draw_scores: Any) -> None:
    drawn = draw_scores(products=np.arange(200) // 2)
    photos = int((drawn.split == 1).sum())
    report = evaluate_scores([drawn.path], pool_photos=True)
    sentence = (
        f"{photos // 2:,} products, {photos:,} photos pooled: a product counts as one image, with the mean of the "
        "scores of its photos."
    )
    markdown = StringIO()
    write_markdown(report, markdown)
    report_json = report.as_json()
    for text in (str(report), report._repr_html_(), markdown.getvalue(), json.dumps(report_json)):
        assert sentence in text
    assert report_json["pool_photos"] is True
    run = report_json["columns"][0]["runs"][0]
    assert (run["products"], run["photos"]) == (photos // 2, photos)
    for text in (str(report), markdown.getvalue(), report._repr_html_()):
        assert "products" in text.split("ACC")[0]


def test_without_products_pooling_changes_nothing_and_is_noted(draw_scores: Any) -> None:
    drawn = draw_scores()
    report = evaluate_scores([drawn.path], pool_photos=True)
    plain = evaluate_scores([drawn.path])
    assert [row.cells for row in report.rows] == [row.cells for row in plain.rows]
    assert report.notes == ("No product has several test photos: nothing was pooled.", *plain.notes)
    assert "pool_photos" not in plain.as_json()


def test_runs_with_other_photos_are_not_paired(draw_scores: Any) -> None:
    """The second run has other products; each run is pooled by its own."""
    first, second = draw_scores("a", products=np.arange(200) // 2), draw_scores("b", seed=1)
    report = evaluate_scores([first.path, second.path], pool_photos=True)
    gain = value(report, group=1).gain
    assert not gain.paired
    assert any(note.startswith("b: No product has several") for note in report.notes)
    assert any(note.startswith("a: ") and "pooled" in note for note in report.notes)
