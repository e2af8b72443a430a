"""From score files to a refined one: what is copied, which weights refine which rows, errors and notes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption, Mismatch, OutputExists
from prodrec.core.base.folds import assign_folds
from prodrec.core.scores.reader import open_scores
from prodrec.eval.refine import score_files
from prodrec.eval.refine.cross_fit import cross_fit
from prodrec.eval.refine.refine import read_samples, refine
from prodrec.eval.refine.score_files import align_scores
from prodrec.eval.refine.settings import MCRSettings
from prodrec.eval.refine.weights import read_weights

QUICK = MCRSettings(lambda_=10.0)


def read_all(path: Path) -> Any:
    with open_scores(path) as scores:
        return scores, next(scores.chunks(rows=100_000, attributes=True, features=True, attribute_scores=True))


def test_a_refined_file_has_the_same_schema(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores(scored=("root", "leaf"), score_attributes=True, recipe={"x": 1}, run_seed=4)
    result = refine([drawn.path], out=tmp_path / "out.h5", settings=QUICK)
    before, raw = read_all(drawn.path)
    after, refined = read_all(tmp_path / "out.h5")
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
    assert made["mcr-weights"] == read_weights(result.weights_file).fingerprint
    assert not np.array_equal(raw.scores["leaf"], refined.scores["leaf"])


@pytest.mark.parametrize("top_k", [None, 5])
@pytest.mark.parametrize("normaliser", ["level", "related"])
def test_each_row_is_refined_by_weights_not_fitted_on_it(
    draw_scores: Any, tmp_path: Path, top_k: int | None, normaliser: str
) -> None:
    drawn = draw_scores(scored=("root", "leaf"), top_k=top_k, ties=False, rows=600)
    settings = MCRSettings(lambda_=10.0, folds=3, normaliser=normaliser)
    refine([drawn.path], out=tmp_path / "out.h5", settings=settings)
    with ExitStack() as stack:
        aligned = align_scores([drawn.path], stack)
        result = cross_fit(read_samples(aligned, ("validation",), 3), aligned.tree, settings)
        chunk = next(aligned.chunks())
    _, refined = read_all(tmp_path / "out.h5")
    fold_R = np.where(drawn.split == 2, assign_folds(drawn.rows, 3), -1)
    models = {-1: result.final.model} | {fold: fold_result.model for fold, fold_result in result.folds.items()}
    assert len(models) == 4
    for fold, model in models.items():
        in_fold = fold_R == fold
        assert in_fold.sum() > 20
        if top_k is None:
            expected = model.refine_dense(chunk.concatenated_scores()[in_fold])
        else:
            expected = model.refine_top_k(chunk.top_k_samples(aligned.tree, fold_R).take(in_fold))
        for level, scores in zip(("root", "leaf"), expected, strict=True):
            if top_k is not None:
                scores = np.take_along_axis(scores, np.argsort(-scores, axis=1, kind="stable"), axis=1)
            np.testing.assert_allclose(refined.scores[level][in_fold], scores, rtol=2e-3, atol=0.02)


def test_levels_help_each_other(draw_scores: Any, tmp_path: Path) -> None:
    """A root run that is nearly always right improves a leaf run that is often wrong."""
    leaf = draw_scores("leaf", rows=3000, right=1.0, ties=False)
    root = draw_scores("root", rows=3000, right=9.0, ties=False, scored=("root",), seed=3)
    result = refine([leaf.path, root.path], out=tmp_path / "out.h5")
    accuracies = {(a.split, a.level, a.metric): a for a in result.accuracies}
    for split in ("test", "validation"):
        assert accuracies[split, "leaf", "ACC"].after > accuracies[split, "leaf", "ACC"].before + 3
    losses = {lambda_: loss for lambda_, loss in result.fit.loss_by_lambda.items() if lambda_ not in result.fit.harmful}
    assert result.lambda_ == min(losses, key=losses.__getitem__) and result.fit.choice_note is None
    before, after = read_all(leaf.path)[1], read_all(tmp_path / "out.h5")[1]
    test = before.split_R == 1
    for name, chunk in (("before", before), ("after", after)):
        right = (chunk.scores["leaf"].argmax(axis=1) == chunk.labels_RL[:, 1])[test]
        assert getattr(accuracies["test", "leaf", "ACC"], name) == pytest.approx(100 * right.mean(), abs=0.05)


def test_saved_weights_give_the_same_scores_again(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores(scored=("root", "leaf"))
    refine([drawn.path], out=tmp_path / "a.h5", settings=QUICK, save_weights=tmp_path / "w.hdf5")
    new = draw_scores("new", scored=("root", "leaf"), dataset="dataset-2")
    result = refine([new.path], out=tmp_path / "b.h5", weights=tmp_path / "w.hdf5")
    assert result.weights_file is None and result.lambda_ == 10 and not list(tmp_path.glob("b.w*"))
    first, second = read_all(tmp_path / "a.h5")[1], read_all(tmp_path / "b.h5")[1]
    test = first.split_R == 1
    np.testing.assert_array_equal(first.scores["leaf"][test], second.scores["leaf"][test])
    assert not np.array_equal(first.scores["leaf"][~test], second.scores["leaf"][~test])


def test_weights_fitted_on_these_rows_or_other_levels_are_refused(draw_scores: Any, tmp_path: Path) -> None:
    drawn, saved = draw_scores(scored=("root", "leaf")), tmp_path / "w.hdf5"
    refine([drawn.path], out=tmp_path / "a.h5", settings=QUICK, save_weights=saved)
    other = draw_scores("other", seed=3, scored=("root", "leaf")).path
    with pytest.raises(Mismatch, match="was fitted on the validation rows of this dataset"):
        refine([other], out=tmp_path / "b.h5", weights=saved)
    refine([other], out=tmp_path / "b.h5", weights=saved, fit_on_judged=True)
    leaf = draw_scores("leaf", dataset="dataset-2").path
    with pytest.raises(Mismatch, match="refines the levels root, leaf and the scores contain leaf"):
        refine([leaf], out=tmp_path / "c.h5", weights=saved, levels=("leaf",))
    few = draw_scores("few", scored=("root", "leaf"), top_k=3, dataset="dataset-2").path
    with pytest.raises(Mismatch, match=r"was fitted on all scores and .* the best scores only"):
        refine([few], out=tmp_path / "c.h5", weights=saved)
    renamed = draw_scores("renamed", scored=("root", "leaf"), prefix="kind").path
    with pytest.raises(Mismatch, match="have other classes"):
        refine([renamed], out=tmp_path / "c.h5", weights=saved)
    assert not (tmp_path / "c.h5").exists()


def test_fitting_on_test_rows_needs_an_option(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores(scored=("root", "leaf"))
    with pytest.raises(BadOption, match=r"--fit test: .*--fit-on-judged"):
        refine([drawn.path], out=tmp_path / "o.h5", settings=QUICK, fit_on=("validation", "test"))
    result = refine([drawn.path], out=tmp_path / "o.h5", settings=QUICK, fit_on=("test",), fit_on_judged=True)
    assert result.fit.rows == int((drawn.split == 1).sum())


def test_a_category_without_a_row(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores(scored=("root", "leaf"), rows=60)
    empty = np.setdiff1d(np.arange(12), drawn.labels[drawn.split == 2, 1])
    assert len(empty)
    with pytest.raises(BadOption, match=f"'class {empty[0]}' of level leaf.* no validation row in .*visual.h5"):
        refine(
            [drawn.path],
            out=tmp_path / "o.h5",
            settings=MCRSettings(lambda_=1.0, penalty="weights", normaliser="related"),
        )
    assert not (tmp_path / "o.h5").exists()
    result = refine([drawn.path], out=tmp_path / "o.h5", settings=QUICK)
    assert f"'class {empty[0]}' of level leaf" in result.notes[0]


def test_a_warning_if_the_solver_does_not_converge(
    draw_scores: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = draw_scores(scored=("root", "leaf"))
    result = refine([drawn.path], out=tmp_path / "o.h5", settings=MCRSettings(lambda_=0.1, iterations=2))
    assert result.fit.solver.status == "iterations"
    assert "the solver reached the maximum number of steps (2)" in capsys.readouterr().err
    refine([drawn.path], out=tmp_path / "p.h5", settings=QUICK)
    assert "solver" not in capsys.readouterr().err


def test_no_file_is_overwritten(draw_scores: Any, tmp_path: Path) -> None:
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


def test_a_large_catalogue_becomes_a_top_k_file(
    draw_scores: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_files, "MAX_DENSE_CATEGORIES", 10)
    monkeypatch.setattr(score_files, "TOP_K_OF_DENSE", 5)
    drawn = draw_scores(scored=("root", "leaf"), ties=False)
    result = refine([drawn.path], out=tmp_path / "o.h5", settings=QUICK)
    assert result.top_k == 5 and "the 5 best scores of each row and level are refined" in result.notes[-1]
    scores, chunk = read_all(tmp_path / "o.h5")
    assert scores.top_k == 5 and chunk.scores["root"].shape == (200, 3) and chunk.scores["leaf"].shape == (200, 5)
    best = np.sort(np.argsort(-drawn.scores["leaf"].astype(np.float32), axis=1)[:, :5], axis=1)
    assert (np.sort(chunk.classes["leaf"], axis=1) == best).mean() > 0.99  # except for ties of float16


def test_leaves_by_themselves(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores()
    result = refine([drawn.path], out=tmp_path / "o.h5", settings=QUICK, levels=("leaf",))
    assert result.levels == ("leaf",) and open_scores(tmp_path / "o.h5").scored_levels == ("leaf",)


@pytest.mark.parametrize("top_k", [None, 5])
@pytest.mark.parametrize("normaliser", ["level", "related"])
def test_rows_whose_category_path_ends_early(
    draw_scores: Any, tmp_path: Path, top_k: int | None, normaliser: str
) -> None:
    """The labels are copied, the accuracies count the labelled rows, and the fit equals one on rows without gaps."""
    drawn = draw_scores(scored=("root", "leaf"), top_k=top_k, rows=600, early=0.3)
    settings = MCRSettings(lambda_=10.0, folds=3, normaliser=normaliser)
    result = refine([drawn.path], out=tmp_path / "out.h5", settings=settings)
    _, refined = read_all(tmp_path / "out.h5")
    np.testing.assert_array_equal(refined.labels_RL, drawn.labels)
    for j, level in enumerate(("root", "leaf")):
        labelled = (drawn.split == 1) & (drawn.labels[:, j] >= 0)
        acc = next(a for a in result.accuracies if (a.split, a.level, a.metric) == ("test", level, "ACC"))
        assert acc.rows == labelled.sum() and 0 < acc.rows < (drawn.split == 1).sum() + (j == 0)
        best = refined.scores[level].argmax(axis=1)
        if refined.classes is not None:
            best = refined.classes[level][np.arange(600), best]
        # float16 may make equal what was not
        assert acc.after == pytest.approx(100 * (best == drawn.labels[:, j])[labelled].mean(), abs=0.5)


@pytest.mark.parametrize("top_k", [None, 5])
@pytest.mark.parametrize("normaliser", ["level", "related"])
def test_a_level_without_a_label_keeps_its_scores(
    draw_scores: Any, tmp_path: Path, top_k: int | None, normaliser: str
) -> None:
    drawn = draw_scores(scored=("root", "leaf"), top_k=top_k, rows=300, early=1.0)
    result = refine([drawn.path], out=tmp_path / "out.h5", settings=MCRSettings(folds=2, normaliser=normaliser))
    assert {accuracy.level for accuracy in result.accuracies} == {"root"}
    assert any("no validation row" in note for note in result.notes)
    _, raw = read_all(drawn.path)
    _, refined = read_all(tmp_path / "out.h5")
    if normaliser == "level":
        raw_RK = raw.scores["leaf"] - (0 if top_k is None else raw.scores["leaf"].min(axis=1, keepdims=True))
        np.testing.assert_array_equal(refined.scores["leaf"], raw_RK)
    assert np.isfinite(refined.scores["leaf"]).all()
