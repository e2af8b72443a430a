"""From score files to a refined one: what is copied, what is refined by which weights, what is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption, Mismatch, OutputExists
from prodrec.core.scores.reader import open_scores
from prodrec.eval.refine import score_files as joined_room
from prodrec.eval.refine.fit import cross_fit, fold_of
from prodrec.eval.refine.refine import _rows, refine
from prodrec.eval.refine.score_files import join
from prodrec.eval.refine.settings import Settings
from prodrec.eval.refine.weights import read

QUICK = Settings(strength=10.0)


def whole(path: Path) -> Any:
    with open_scores(path) as scores:
        return scores, next(scores.chunks(rows=100_000, attributes=True, features=True, attribute_scores=True))


def test_a_refined_file_is_of_the_same_schema(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores(scored=("root", "leaf"), score_attributes=True, recipe={"x": 1}, run_seed=4)
    answer = refine([drawn.path], out=tmp_path / "out.h5", settings=QUICK)
    before, raw = whole(drawn.path)
    after, refined = whole(tmp_path / "out.h5")
    assert after.scored_levels == ("root", "leaf") and after.top_k is None
    for name in ("rows_R", "ids_R", "split_R", "labels_RL", "attributes_RA", "features_RD"):
        np.testing.assert_array_equal(getattr(raw, name), getattr(refined, name))
    np.testing.assert_array_equal(raw.attribute_scores["colour/tone"], refined.attribute_scores["colour/tone"])
    assert after.taxonomy.difference(before.taxonomy) is None
    assert after.train_images.tolist() == before.train_images.tolist()
    assert (after.origin.run, after.origin.family, after.origin.seed) == ("visual-mcr", "visual-mcr", 4)
    assert after.origin.recipe["inputs"]["leaf"] == before.origin.recipe and after.origin.recipe["mcr"]["lambda"] == 10
    made = after.origin.made_from
    assert made["dataset"] == "dataset-1" and made["scores of leaf"] == made["scores of root"] == before.fingerprint
    assert made["mcr-weights"] == read(Path(answer["weights"])).fingerprint
    assert not np.array_equal(raw.scores["leaf"], refined.scores["leaf"])


@pytest.mark.parametrize("top_k", [None, 5])
@pytest.mark.parametrize("normaliser", ["level", "related"])
def test_each_row_is_refined_by_weights_that_have_not_seen_it(
    draw_scores: Any, tmp_path: Path, top_k: int | None, normaliser: str
) -> None:
    drawn = draw_scores(scored=("root", "leaf"), top_k=top_k, ties=False, rows=600)
    settings = Settings(strength=10.0, folds=3, normaliser=normaliser)
    refine([drawn.path], out=tmp_path / "out.h5", settings=settings)
    from contextlib import ExitStack

    with ExitStack() as stack:
        joined = join([drawn.path], stack)
        found = cross_fit(_rows(joined, ("validation",), 3), joined.tree, settings)
        piece = next(joined.pieces())
    _, refined = whole(tmp_path / "out.h5")
    fold = np.where(drawn.split == 2, fold_of(drawn.rows, 3), -1)
    for number, weights in [(-1, found.final.weights), *((f, fitted.weights) for f, fitted in found.folds.items())]:
        mine = fold == number
        assert mine.sum() > 20
        if top_k is None:
            wanted = weights.refine_all(piece.side_by_side()[mine])
        else:
            wanted = weights.refine_kept(piece.kept(joined.tree, fold).take(mine))
        for level, values in zip(("root", "leaf"), wanted, strict=True):
            got, order = refined.scores[level][mine], slice(None)
            if top_k is not None:
                order = np.argsort(-values, axis=1, kind="stable")
                values = np.take_along_axis(values, order, axis=1)
            np.testing.assert_allclose(got, values, rtol=2e-3, atol=0.02)


def test_levels_help_each_other(draw_scores: Any, tmp_path: Path) -> None:
    """A root run that is nearly always right, a leaf run that is often wrong: refinement knows the leaf's root."""
    leaf = draw_scores("leaf", rows=3000, right=1.0, ties=False)
    root = draw_scores("root", rows=3000, right=9.0, ties=False, scored=("root",), seed=3)
    answer = refine([leaf.path, root.path], out=tmp_path / "out.h5")
    by = {(f["split"], f["level"], f["metric"]): f for f in answer["figures"]}
    for split in ("test", "validation"):
        assert by[split, "leaf", "ACC"]["after"] > by[split, "leaf", "ACC"]["before"] + 3
    assert f"{answer['lambda']:g}" == min(answer["lambda_tried"], key=answer["lambda_tried"].get)
    raw, after = whole(leaf.path)[1], whole(tmp_path / "out.h5")[1]
    test = raw.split_R == 1
    for name, chunk in (("before", raw), ("after", after)):
        right = (chunk.scores["leaf"].argmax(axis=1) == chunk.labels_RL[:, 1])[test]
        assert by["test", "leaf", "ACC"][name] == pytest.approx(100 * right.mean(), abs=0.05)


def test_weights_apply_to_new_scores_and_give_the_same(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores(scored=("root", "leaf"))
    refine([drawn.path], out=tmp_path / "a.h5", settings=QUICK, save_weights=tmp_path / "w.hdf5")
    new = draw_scores("new", scored=("root", "leaf"), dataset="dataset-2")
    answer = refine([new.path], out=tmp_path / "b.h5", weights=tmp_path / "w.hdf5")
    assert answer["weights"] is None and answer["lambda"] == 10 and not list(tmp_path.glob("b.w*"))
    first, second = whole(tmp_path / "a.h5")[1], whole(tmp_path / "b.h5")[1]
    test = first.split_R == 1
    np.testing.assert_array_equal(first.scores["leaf"][test], second.scores["leaf"][test])
    assert not np.array_equal(first.scores["leaf"][~test], second.scores["leaf"][~test])


def test_weights_that_saw_these_rows_or_other_levels_are_refused(draw_scores: Any, tmp_path: Path) -> None:
    drawn, saved = draw_scores(scored=("root", "leaf")), tmp_path / "w.hdf5"
    refine([drawn.path], out=tmp_path / "a.h5", settings=QUICK, save_weights=saved)
    other = draw_scores("other", seed=3, scored=("root", "leaf")).path
    with pytest.raises(Mismatch, match="was fitted on the validation rows of this dataset"):
        refine([other], out=tmp_path / "b.h5", weights=saved)
    refine([other], out=tmp_path / "b.h5", weights=saved, fit_on_judged=True)
    leaf = draw_scores("leaf", dataset="dataset-2").path
    with pytest.raises(Mismatch, match="refines the levels root, leaf and the scores given hold leaf"):
        refine([leaf], out=tmp_path / "c.h5", weights=saved, levels=("leaf",))
    few = draw_scores("few", scored=("root", "leaf"), top_k=3, dataset="dataset-2").path
    with pytest.raises(Mismatch, match=r"was fitted on all scores and .* the best scores only"):
        refine([few], out=tmp_path / "c.h5", weights=saved)
    renamed = draw_scores("renamed", scored=("root", "leaf"), prefix="kind").path
    with pytest.raises(Mismatch, match="have other classes"):
        refine([renamed], out=tmp_path / "c.h5", weights=saved)
    assert not (tmp_path / "c.h5").exists()


def test_fitting_on_test_rows_is_refused_unless_meant(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores(scored=("root", "leaf"))
    with pytest.raises(BadOption, match=r"--fit test: .*--fit-on-judged"):
        refine([drawn.path], out=tmp_path / "o.h5", settings=QUICK, fit_on=("validation", "test"))
    answer = refine([drawn.path], out=tmp_path / "o.h5", settings=QUICK, fit_on=("test",), fit_on_judged=True)
    assert answer["fit"]["rows"] == int((drawn.split == 1).sum())


def test_a_category_without_a_row(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores(scored=("root", "leaf"), rows=60)
    empty = np.setdiff1d(np.arange(12), drawn.labels[drawn.split == 2, 1])
    assert len(empty)
    with pytest.raises(BadOption, match=f"'class {empty[0]}' of level leaf.* no validation row in .*visual.h5"):
        refine([drawn.path], out=tmp_path / "o.h5", settings=Settings(strength=1.0, penalty="weights"))
    assert not (tmp_path / "o.h5").exists()
    answer = refine([drawn.path], out=tmp_path / "o.h5", settings=QUICK)
    assert f"'class {empty[0]}' of level leaf" in answer["notes"][0]


def test_a_solver_out_of_steps_is_told(draw_scores: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = draw_scores(scored=("root", "leaf"))
    answer = refine([drawn.path], out=tmp_path / "o.h5", settings=Settings(strength=0.1, iterations=2))
    assert answer["solver"]["final"]["status"] == "iterations"
    assert "the solver stopped after all its steps (2)" in capsys.readouterr().err
    refine([drawn.path], out=tmp_path / "p.h5", settings=QUICK)
    assert "solver" not in capsys.readouterr().err


def test_nothing_is_overwritten(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores(scored=("root", "leaf"))
    out = tmp_path / "o.h5"
    out.write_text("mine")
    with pytest.raises(OutputExists, match="--force"):
        refine([drawn.path], out=out, settings=QUICK)
    assert out.read_text() == "mine" and not list(tmp_path.glob("o.w*"))
    with pytest.raises(BadOption, match="is one of the files to refine"):
        refine([drawn.path], out=drawn.path, settings=QUICK, force=True)
    refine([drawn.path], out=out, settings=QUICK, force=True)
    assert open_scores(out).origin.run == "visual-mcr"


def test_a_catalogue_too_large_for_all_scores_becomes_a_top_k_file(
    draw_scores: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined_room, "MOST_CATEGORIES", 10)
    monkeypatch.setattr(joined_room, "KEPT_OF_MORE", 5)
    drawn = draw_scores(scored=("root", "leaf"), ties=False)
    answer = refine([drawn.path], out=tmp_path / "o.h5", settings=QUICK)
    assert answer["top_k"] == 5 and "the 5 best scores are refined" in answer["notes"][-1]
    scores, chunk = whole(tmp_path / "o.h5")
    assert scores.top_k == 5 and chunk.scores["root"].shape == (200, 3) and chunk.scores["leaf"].shape == (200, 5)
    best = np.sort(np.argsort(-drawn.scores["leaf"].astype(np.float32), axis=1)[:, :5], axis=1)
    assert (np.sort(chunk.classes["leaf"], axis=1) == best).mean() > 0.99  # but for ties of float16


def test_leaves_by_themselves_when_asked_for(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores()
    answer = refine([drawn.path], out=tmp_path / "o.h5", settings=QUICK, levels=("leaf",))
    assert answer["levels"] == ["leaf"] and open_scores(tmp_path / "o.h5").scored_levels == ("leaf",)
