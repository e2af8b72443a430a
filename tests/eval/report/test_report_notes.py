"""Notes: runs with the same note share it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prodrec.core.scores.reader import open_scores
from prodrec.eval.report.report_notes import level_notes, missing_level_notes, refinement_notes, setting_notes
from prodrec.eval.report.run_groups import RunGroup


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


def scored_by(name: str, recipe: dict[str, Any], *, dataset: str = "d") -> Any:
    origin = SimpleNamespace(recipe=recipe, made_from={"dataset": dataset})
    return SimpleNamespace(path=Path(f"{name}.h5"), origin=origin, levels=("root", "leaf"))


def test_other_settings_and_another_dataset_are_noted() -> None:
    base = {
        "network": {"backbone": "resnet50", "titles": None, "heads": ["leaf"]},
        "training": {"epochs": 4.0, "lr": 0.1, "seed": 0, "checkpoint_minutes": 5.0},
        "photos": {"image_size": "96"},
    }
    same = {**base, "network": {**base["network"], "titles": "bilinear"}, "training": {**base["training"], "seed": 1}}
    other = {**base, "training": {**base["training"], "epochs": 8.0}, "photos": {"image_size": "128"}}
    refined = {"family": "visual-mcr", "inputs": {"leaf": other}, "mcr": {"lambda": 1}}
    files = [scored_by("a", base), scored_by("b", same), scored_by("c", other, dataset="e"), scored_by("d", refined)]
    groups = [RunGroup(name, (i,)) for i, name in enumerate(("a", "b", "c", "d"))]
    assert setting_notes(files, groups[:2]) == []
    notes = setting_notes(files, groups)
    assert notes[0] == "a and c also differ in epochs (4.0 and 8.0), image_size (96 and 128)."
    assert notes[1] == "c.h5 has scores of another dataset than a.h5, with the same classes."
    assert notes[2].startswith("a and d also differ in epochs (4.0 and 8.0)") and len(notes) == 3


def test_a_refined_run_without_the_raw_one_is_noted(draw_scores: Any, tmp_path: Path) -> None:
    from prodrec.eval.refine.refine import refine
    from prodrec.eval.refine.settings import MCRSettings

    raw = draw_scores("a", scored=("root", "leaf"), rows=400).path
    refine([raw], out=tmp_path / "a-mcr.h5", settings=MCRSettings(lambda_=10.0))
    files = [open_scores(path) for path in (raw, tmp_path / "a-mcr.h5")]
    (note,) = refinement_notes(files[1:])
    assert "is refined; report the scores that it was made from beside it" in note
    assert refinement_notes(files) == [] and refinement_notes(files[:1]) == []
