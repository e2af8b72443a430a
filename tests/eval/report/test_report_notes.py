"""Notes: runs with the same note share it."""

from __future__ import annotations

from typing import Any

from prodrec.core.scores.reader import open_scores
from prodrec.eval.report.report_notes import level_notes, missing_level_notes


def test_runs_with_the_same_note_share_it(draw_scores: Any) -> None:
    drawn = [draw_scores("a"), draw_scores("b"), draw_scores("c", scored=("root", "leaf")), draw_scores("d", top_k=4)]
    drawn.append(draw_scores("e", scored=("root",)))
    files = [open_scores(one.path) for one in drawn]
    assert level_notes(files) == [
        "a, b: root by the summed probabilities of the leaves below.",
        "c, e: root by the run's own scores.",
        "d: root by the summed probabilities of the leaves below; of these only the 4 best are in the file.",
    ]
    assert missing_level_notes(files) == ["e: scores of root only; leaf read n/a."]
    assert missing_level_notes(files[:4]) == []
