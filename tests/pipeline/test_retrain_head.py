"""Second stages of a trained run: what is written, which scores it has, and the same on several ranks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch, OutputExists
from prodrec.core.data.batches import RowBatches
from prodrec.core.data.dataset import open_dataset
from prodrec.core.scores.reader import open_scores
from prodrec.core.training.run import Run, open_run
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.inference.neighbours.operating_points import OPERATING_POINTS_FILE, OperatingPoints
from prodrec.models.families import Recipe, make_recipe
from prodrec.models.second_stage.settings import METHODS, SecondStage
from prodrec.pipeline import retrain_head as retrain_module
from prodrec.pipeline.load import load, load_network
from prodrec.pipeline.neighbours import neighbours
from prodrec.pipeline.report import report
from prodrec.pipeline.retrain_head import retrain_head
from prodrec.pipeline.score import score
from prodrec.pipeline.train import train_recipe

from .conftest import SETTINGS

OPTIONS: dict[str, dict[str, Any]] = {"crt": {"epochs": 4.0, "seed": 1}, "lws": {"epochs": 4.0, "mirror": True}}


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.set_num_threads(1)
    shutil.copytree(trained, tmp_path / "folder")
    monkeypatch.chdir(tmp_path / "folder")
    return tmp_path / "folder"


def retrain(method: str, **options: Any) -> Run:
    return retrain_head("visual", method=method, workers=0, device="cpu", **{**OPTIONS.get(method, {}), **options})


def plain_scores(run: Run, rows: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the classifier's inputs and the scores of rows, as the network computes them."""
    recipe = Recipe.from_json(run.recipe)
    network = load_network(run, recipe, torch.device("cpu"))
    batch = RowBatches(open_dataset(Path("dataset")), recipe.photos, augment=False).batch(rows)
    with torch.inference_mode():
        features = network.features(batch.to_device(torch.device("cpu"), recipe.photos))
        return network.classifier_inputs(features), network.scores_of(features).scores


@pytest.mark.parametrize("method", METHODS)
def test_a_finished_run_with_another_classifier(folder: Path, method: str, drawn: DrawnCatalogue) -> None:
    run = retrain(method)
    source = open_run(Path("runs/visual"))
    assert run.path == Path("runs") / f"visual-{method}" and run.finished and run.fingerprint != source.fingerprint
    assert sorted(path.name for path in Path("runs").iterdir()) == ["visual", f"visual-{method}"]  # no features remain
    before, after = source.weights(), run.weights()
    assert before.keys() == after.keys()
    differing = {name for name in before if not torch.equal(before[name], after[name])}
    assert differing == {f"heads.level:leaf.classifier.{name}" for name in ("weight", "bias")}
    assert run.origin is not None and run.origin["run"] == "visual" and run.origin["method"] == method
    assert run.origin["fingerprint"] == source.fingerprint
    assert run.origin["logit_adjustment"] == 1.0 or method == "tau-norm"
    assert repr(run) == f"Run(runs/visual-{method}, visual, finished, {method} on the network of visual)"
    recipe = run.recipe
    entry = recipe.pop("second_stage")
    assert recipe == source.recipe and entry["method"] == method
    assert "seed" not in entry and run.origin.get("seed", 0) == OPTIONS.get(method, {}).get("seed", 0)
    json.dumps(run.header)

    scored = score([f"visual-{method}"], workers=0)
    assert [path.name for path in scored.files] == [f"visual-{method}.h5", f"visual-{method}@balanced.h5"]
    assert f"visual-{method} balanced" in str(report(scored.files))
    photo = next(path for path in sorted(drawn.photos.rglob("*.jpg")) if path.stat().st_size > 1000)
    (recognised,) = load(f"visual-{method}", device="cpu").predict(photo)
    assert recognised.neighbours and len(recognised.levels["leaf"]) == 5
    assert list(neighbours([f"visual-{method}"], workers=0).points) == [run.path]


@pytest.mark.parametrize("method", ["crt", "lda"])
def test_tau_1_is_the_scores_of_the_new_classifier_and_other_levels_keep_their_own(folder: Path, method: str) -> None:
    """o + (1 − τ) log π at the leaves, and o + (0.5 − τ) log π at the roots, which were trained with τ = 0.5."""
    run, data = retrain(method), open_dataset(Path("dataset"))
    points = OperatingPoints.read(run.path / OPERATING_POINTS_FILE, run_fingerprint=run.fingerprint)
    rows = np.sort(data.rows("test"))
    inputs_BD, plain = plain_scores(run, rows)
    weights = run.weights()
    weight_CD, bias_C = (weights[f"heads.level:leaf.classifier.{name}"] for name in ("weight", "bias"))
    torch.testing.assert_close(plain["leaf"], inputs_BD @ weight_CD.t() + bias_C, atol=1e-4, rtol=1e-4)
    for name in ("natural", "balanced"):
        tau = points.choose(name, neighbours=False).tau
        assert tau is not None
        score(run.path, out=f"{name}.h5", operating_point=name, no_neighbours=True, split="test", workers=0)
        with open_scores(Path(f"{name}.h5")) as scores:
            written = next(scores.chunks()).scores
        for level, trained_tau in (("leaf", 1.0), ("root", 0.5)):
            images_C = np.maximum(data.train_images_by_level[level], 1)
            expected = plain[level].numpy() + (trained_tau - tau) * np.log(images_C / images_C.sum())
            np.testing.assert_allclose(written[level], expected, atol=0.02, rtol=2e-3)


def test_mirrored_views_are_the_features_of_mirrored_photos(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prodrec.models.second_stage import fit

    seen: dict[str, Any] = {}
    real = fit.fit_classifier

    def look(*arguments: Any, **features: Any) -> Any:
        seen["values"] = np.array(features["training"].values_NVD)
        seen["classes"] = features["training"].class_N
        return real(*arguments, **features)

    monkeypatch.setattr(fit, "fit_classifier", look)
    retrain("ncm", mirror=True)
    data, run = open_dataset(Path("dataset")), open_run(Path("runs/visual"))
    rows = np.sort(data.rows("train"))
    assert seen["values"].shape[:2] == (len(rows), 2) and seen["classes"].tolist() == data.labels_NL[rows, -1].tolist()
    recipe = Recipe.from_json(run.recipe)
    network = load_network(run, recipe, torch.device("cpu"))
    batch = RowBatches(data, recipe.photos, augment=False).batch(rows)
    for view, images in enumerate((batch.inputs, batch.inputs.flip(-1))):
        batch.inputs = images
        with torch.inference_mode():
            features = network.features(batch.to_device(torch.device("cpu"), recipe.photos))
            expected = network.classifier_inputs(features).numpy()
        np.testing.assert_allclose(seen["values"][:, view], expected, atol=1e-4)
    assert np.abs(seen["values"][:, 0] - seen["values"][:, 1]).max() > 1e-3


def test_an_existing_run_is_replaced_with_force_only(folder: Path) -> None:
    first = retrain("ncm", out="mine")
    with pytest.raises(OutputExists, match="mine contains a finished run; add --force"):
        retrain("ncm", out="mine")
    again = retrain("ncm", out="mine", force=True)
    assert again.fingerprint == first.fingerprint and not Path("mine.previous").exists()
    with pytest.raises(BadOption, match=r"--out runs/visual is the run whose network is used; give another place\.$"):
        retrain("ncm", out="runs/visual", force=True)
    assert open_run(Path("runs/visual")).origin is None


def test_seeds_are_repeats_and_methods_are_not(folder: Path) -> None:
    """A report averages the seeds of one method."""
    for seed in (1, 2):
        retrain("crt", seed=seed, out=f"runs/crt-{seed}")
    retrain("lws", out="runs/lws")
    assert open_run(Path("runs/crt-1")).recipe == open_run(Path("runs/crt-2")).recipe
    files = [score(name, operating_point="plain", workers=0).files[0] for name in ("crt-1", "crt-2", "lws")]
    assert "2 runs" in str(report(files, mean=True)) and "lws" in str(report(files, mean=True))


def test_runs_that_have_no_second_stage(folder: Path) -> None:
    header = json.loads(Path("runs/visual/run.json").read_text())
    retrain("ncm")
    with pytest.raises(BadOption, match=r"runs/visual-ncm is a second stage of visual already; name the run"):
        retrain_head("visual-ncm", method="ncm")
    Path("runs/visual/run.json").write_text(json.dumps({**header, "status": "training"}))
    resume = "`prodrec train visual --resume --out runs/visual`"
    with pytest.raises(BadArtefact, match=f"runs/visual is not finished; continue it with {resume}"):
        retrain("crt")
    Path("runs/visual/run.json").write_text(json.dumps({**header, "made_from": {"dataset": "another"}}))
    with pytest.raises(Mismatch, match="runs/visual was trained on another dataset than dataset; name the dataset"):
        retrain("crt")


def test_a_run_that_predicts_attributes_alone(folder: Path) -> None:
    settings = {**SETTINGS, "heads": "attributes", "epochs": "0.3", "logit_adjustment": "0"}
    train_recipe(make_recipe("bmtl-ca", settings), dataset=Path("dataset"), out=Path("runs/colours"), workers=0)
    with pytest.raises(
        BadOption, match="predicts attributes alone, so it has no classifier of a level; train one with"
    ):
        retrain_head("colours", method="crt")
    settings["heads"] = "leaf,attributes"
    train_recipe(make_recipe("bmtl-ca", settings), dataset=Path("dataset"), out=Path("runs/both"), workers=0)
    assert retrain_head("both", method="ncm", workers=0).finished


def test_a_cosine_classifier_is_not_replaced(folder: Path) -> None:
    settings = {**SETTINGS, "classifier_form": "cosine", "epochs": "0.3"}
    train_recipe(make_recipe("visual", settings), dataset=Path("dataset"), out=Path("runs/cosine"), workers=0)
    with pytest.raises(
        BadOption, match=r"has a cosine classifier, which .* cannot replace; train one with --set classif"
    ):
        retrain_head("cosine", method="crt")


def test_the_prior_of_a_sampler_is_that_of_the_training_alone(folder: Path) -> None:
    """The network saw the classes with the shares of the sampler; the new classifier sees them equally often."""
    settings = {**SETTINGS, "sampler": "sqrt", "epochs": "1"}
    train_recipe(make_recipe("visual", settings), dataset=Path("dataset"), out=Path("runs/sqrt"), workers=0)
    run, data = retrain_head("sqrt", method="ncm", workers=0), open_dataset(Path("dataset"))
    network = load_network(run, Recipe.from_json(run.recipe), torch.device("cpu"))
    classifier = network.level_heads[-1].classifier
    assert classifier.adjusted_bias(1.0) is classifier.bias
    images_C = np.maximum(data.train_images, 1)
    added_C = (classifier.adjusted_bias(0.0) - classifier.bias).detach().numpy()
    np.testing.assert_allclose(added_C, np.log(images_C / images_C.sum()), atol=1e-4)


def test_an_unfinished_second_stage_is_made_again(folder: Path) -> None:
    run = retrain("ncm")
    Path("runs/visual-ncm/run.json").write_text(json.dumps({**run.header, "status": "training"}))
    remedy = "make it again with `prodrec retrain-head visual --method ncm --out runs/visual-ncm --force`"
    with pytest.raises(BadOption, match=f"runs/visual-ncm is an unfinished second stage, not a training; {remedy}"):
        train_recipe(make_recipe("visual"), explicit=(), dataset=Path("dataset"), out=run.path, resume=True)
    assert retrain_head("visual", method="ncm", out=run.path, force=True, workers=0).fingerprint == run.fingerprint


def test_without_validation_photos_tau_is_that_of_the_paper(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(retrain_module, "rows_to_choose_on", lambda *_: np.zeros(0, np.int64))
    run = retrain("tau-norm")
    assert run.origin is not None and run.origin["fit"] == {"tau": 0.7, "scale": None}
    assert "tau is 0.7, as in the paper" in capsys.readouterr().err
    retrain("tau-norm", tau=0.5, force=True)
    assert "the scale of the scores is not calibrated" in (message := capsys.readouterr().err)
    assert "as in the paper" not in message


def test_titles_are_not_used(folder: Path) -> None:
    """A network with titles gets the classifier of its photos; the mixed stream scores with it too."""
    settings = {**SETTINGS, "epochs": "1", "word_vectors": "random"}
    train_recipe(make_recipe("sicot", settings), dataset=Path("dataset"), out=Path("runs/sicot"), workers=0)
    run = retrain_head("sicot", method="lda", workers=0)
    assert score("sicot-lda", with_titles=True, workers=0).files and run.finished


def every_method(place: str) -> dict[str, dict[str, Any]]:
    """Fit with every method on this rank, and return the origin of the run."""
    import os

    torch.set_num_threads(1)
    os.chdir(place)
    return {method: retrain(method, out=f"ranks/{method}").header["origin"]["fit"] for method in METHODS}


def test_two_ranks_write_what_one_does(folder: Path, on_ranks: Callable[..., list[Any]]) -> None:
    facts = on_ranks(2, every_method, str(folder))[0]
    for method in METHODS:
        one, two = retrain(method), open_run(Path("ranks") / method)
        assert one.origin is not None
        for key, value in one.origin["fit"].items():
            step = 0.05 if key == "scale" else 1e-3  # rounding errors may choose the next step of the scale
            assert facts[method][key] == pytest.approx(value, rel=step), (method, key)
        scale = facts[method].get("scale", 1) / one.origin["fit"].get("scale", 1)
        for name, weight in one.weights().items():
            expected = weight * scale if "leaf.classifier" in name else weight
            torch.testing.assert_close(two.weights()[name], expected, atol=2e-3, rtol=2e-3, msg=f"{method} {name}")
        points = [
            json.loads((run.path / OPERATING_POINTS_FILE).read_text())["with_neighbours"]["natural"]["tau"]
            for run in (one, two)
        ]
        assert points[0] == points[1]


def test_stages_name_only_effective_settings() -> None:
    assert SecondStage("ncm").effective() == {"method": "ncm", "mirror": False}
    assert set(SecondStage("crt").effective()) == {"method", "epochs", "lr", "seed", "mirror"}
