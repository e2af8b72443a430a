"""Details of a scores file, compared with a plain loop: all scores and top-k files, all chunk sizes, early ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from prodrec.core.scores.reader import open_scores
from prodrec.eval.page.details import Details, DetailsCounter
from prodrec.eval.report.evaluate import Evaluation
from prodrec.eval.report.sections import Sections


@pytest.mark.parametrize("top_k", [None, 4])
@pytest.mark.parametrize(("rows_per_chunk", "temperature"), [(None, 1.0), (7, 2.0)])
def test_details_equal_a_loop(
    draw_scores: Any,
    count_details: Callable[..., Details],
    top_k: int | None,
    rows_per_chunk: int | None,
    temperature: float,
) -> None:
    drawn = draw_scores(rows=300, top_k=top_k, early=0.1, ties=False)
    with open_scores(drawn.path) as file:
        details = count_details(file, temperature=temperature, rows_per_chunk=rows_per_chunk)
    pairs: dict[int, list[tuple[float, int]]] = {}
    segments: dict[int, list[bool]] = {}
    total, shown = [], {}
    for i in np.flatnonzero((drawn.split == 1) & (drawn.labels[:, 1] >= 0)):
        scores = np.sort(drawn.scores["leaf"][i].astype(np.float64))[::-1][: top_k or 12] / temperature
        predicted, true = int(drawn.scores["leaf"][i].argmax()), int(drawn.labels[i, 1])
        confidence, row, right = float(1 / np.exp(scores - scores[0]).sum()), int(drawn.rows[i]), predicted == true
        total.append((confidence, right))
        shown.setdefault(true, []).append((right, confidence if right else -confidence, row))
        if not right:
            pairs.setdefault(true * 12 + predicted, []).append((confidence, row))
        if drawn.attributes[i, 0]:
            segments.setdefault(true * 3 + int(drawn.attributes[i, 0]) - 1, []).append(right)
    keys, counts, rows = details.confusions.result()
    assert dict(zip(keys.tolist(), counts[:, 0].tolist(), strict=True)) == {k: len(v) for k, v in pairs.items()}
    assert rows.tolist() == [max(pairs[key])[1] for key in keys.tolist()]
    keys, counts, _ = details.segments.result()
    assert dict(zip(keys.tolist(), counts.tolist(), strict=True)) == {k: [len(v), sum(v)] for k, v in segments.items()}
    assert details.confidence.accuracy == pytest.approx(np.mean([right for _, right in total]))
    assert details.confidence.mean_confidence == pytest.approx(np.mean([p for p, _ in total]), abs=1e-6)
    assert details.errors == sum(not right for _, right in total)
    expected = {leaf: max(rows)[2] for leaf, rows in shown.items()}
    assert {leaf: int(row) for leaf, row in enumerate(details.example_C) if row >= 0} == expected
    assert all(photo.correct is False for photo in details.confident_errors) and len(details.random) == 36
    confident = [photo.confidence for photo in details.confident_errors]
    assert confident == sorted(confident, reverse=True)
    assert confident[0] == pytest.approx(max(p for p, right in total if not right))


@pytest.mark.parametrize("top_k", [None, 4])
def test_the_pass_of_a_report_counts_the_same(
    draw_scores: Any, count_details: Callable[..., Details], top_k: int | None
) -> None:
    drawn = [draw_scores(f"run-{seed}", rows=300, top_k=top_k, early=0.1, seed=seed) for seed in range(2)]
    with open_scores(drawn[0].path) as first, open_scores(drawn[1].path) as second:
        counter, expected = DetailsCounter(second, temperature=1.5), count_details(second, temperature=1.5)
        Evaluation([first, second], Sections(by_attribute=True), observers={1: counter.add})
    details = counter.result()
    assert details.confidence.images and np.array_equal(details.confidence.images_B, expected.confidence.images_B)
    for name in ("confusions", "segments"):
        for values, others in zip(getattr(details, name).result(), getattr(expected, name).result(), strict=True):
            assert np.array_equal(values, others)
    assert details.random == expected.random and details.confident_errors == expected.confident_errors


def test_pooled_photos_count_once(draw_scores: Any) -> None:
    drawn = draw_scores(rows=200, products=[i // 4 for i in range(200)])
    with open_scores(drawn.path) as file:
        counter = DetailsCounter(file)
        Evaluation([file], Sections(), pool_photos=True, observers={0: counter.add})
    assert counter.result().confidence.images == int((drawn.split == 1).sum()) // 4
