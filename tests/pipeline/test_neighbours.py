"""Neighbours and operating points, from training to scores: what is written, what votes, the same on several ranks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact, BadOption, OutputExists
from prodrec.core.data.batches import RowBatches
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.scores.reader import open_scores
from prodrec.core.training.run import open_run
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.inference.neighbours.choose_lists import RECALL
from prodrec.inference.neighbours.operating_points import (
    DEFAULTS,
    OPERATING_POINTS_FILE,
    OperatingPoint,
    OperatingPoints,
)
from prodrec.inference.neighbours.training_features import (
    NEIGHBOURS_FILE,
    TrainingFeatures,
    read_training_features,
)
from prodrec.models.families import Recipe, make_recipe
from prodrec.pipeline.load import load, load_network
from prodrec.pipeline.neighbours import neighbours
from prodrec.pipeline.prepare import prepare_dataset
from prodrec.pipeline.score import score
from prodrec.pipeline.train import train_recipe

from .conftest import SETTINGS

POINTS = OperatingPoints(
    {
        "natural": OperatingPoint("natural", 0.25, 0.3, 5, 0.05, 0.5),
        "balanced": OperatingPoint("balanced", 1.0, 0.5, 8, 0.02, 0.9),
    },
    {"natural": OperatingPoint("natural", 0.25), "balanced": OperatingPoint("balanced", 1.0)},
)


@pytest.fixture(scope="module")
def place(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dataset/ and runs/visual, whose operating points are POINTS."""
    place = tmp_path_factory.mktemp("neighbours")
    torch.set_num_threads(1)
    shutil.copytree(trained, place, dirs_exist_ok=True)
    run = place / "runs" / "visual"
    chosen = OperatingPoints.read(run / OPERATING_POINTS_FILE, run_fingerprint=open_run(run).fingerprint)
    assert chosen.photos > 0 and set(chosen.with_neighbours) == {"natural", "balanced"}
    POINTS.with_voters(chosen.choose("natural").voters).write(
        run / OPERATING_POINTS_FILE, run_fingerprint=open_run(run).fingerprint
    )
    return place


def points_in(run: Path) -> OperatingPoints:
    return OperatingPoints.read(run / OPERATING_POINTS_FILE, run_fingerprint=open_run(run).fingerprint)


def read(path: Path) -> dict[str, NDArray[Any]]:
    with open_scores(path) as scores:
        chunk = next(scores.chunks())
        return {"row": chunk.rows_R, **chunk.scores}


def outputs(data: Dataset, run: Path, rows: NDArray[np.int64]) -> tuple[Any, Any]:
    """Return the vectors and the scores of the leaves of some rows by the network, in the batches of training."""
    opened = open_run(run)
    recipe = Recipe.from_json(opened.recipe)
    network = load_network(opened, recipe, torch.device("cpu"))
    source = RowBatches(data, recipe.photos, augment=False)
    scored = []
    with torch.inference_mode():
        for start in range(0, len(rows), recipe.training.batch_size):
            batch = source.batch(rows[start : start + recipe.training.batch_size])
            scored.append(network.score(batch.to_device(torch.device("cpu"), recipe.photos)))
    features_BD = torch.cat([batch.features_BD for batch in scored])
    return F.normalize(features_BD, dim=1).numpy(), torch.cat([batch.scores["leaf"] for batch in scored]).numpy()


def test_the_run_keeps_the_vectors_of_its_training_photos(folder: Path) -> None:
    data, run = open_dataset(Path("dataset")), Path("runs/visual")
    features = read_training_features(run / NEIGHBOURS_FILE, run_fingerprint=open_run(run).fingerprint)
    rows = np.sort(data.rows("train"))
    assert features.row_N.tolist() == rows.tolist() and features.class_N.tolist() == data.labels_NL[rows, -1].tolist()
    assert list(features.ids) == [data.ids()[row] for row in rows.tolist()]
    same_group = data.group_N[rows][:, None] == data.group_N[rows]
    assert np.array_equal(features.group_N[:, None] == features.group_N, same_group) and len(
        set(features.group_N)
    ) < len(rows)
    expected = features.projection(torch.from_numpy(outputs(data, run, rows)[0])).numpy()
    np.testing.assert_allclose((features.vectors_Nd.astype(np.float32) * expected).sum(1), 1, atol=0.01)


@pytest.mark.parametrize("name", ["natural", "balanced"])
def test_scores_are_those_of_the_equations(folder: Path, name: str) -> None:
    """log((1 − β) softmax(o − τ log π) + β v), by plain loops over the training photos."""
    data, run = open_dataset(Path("dataset")), Path("runs/visual")
    point = points_in(run).choose(name)
    score("visual", workers=0)
    written = read(Path("scores") / ("visual.h5" if name == "natural" else "visual@balanced.h5"))
    features_BD, plain = outputs(data, run, written["row"])
    features = read_training_features(run / NEIGHBOURS_FILE, run_fingerprint=open_run(run).fingerprint)
    vectors_BD = features.projection(torch.from_numpy(features_BD)).numpy()
    classes = data.taxonomy.count("leaf")
    n_C = [len(set(features.group_N[features.class_N == c].tolist())) for c in range(classes)]
    images_C = np.maximum(data.train_images, 1)
    compared = 0
    for row, scores_C in enumerate(written["leaf"]):
        cosine_N = features.vectors_Nd.astype(np.float64) @ vectors_BD[row].astype(np.float64)
        nearest: dict[int, int] = {}
        for i in np.argsort(-cosine_N.astype(np.float32), kind="stable"):  # duplicates may have different labels
            nearest.setdefault(int(features.group_N[i]), int(i))
        *voters, next_one = list(nearest.values())[: point.neighbours + 1]
        if cosine_N[voters[-1]] - cosine_N[next_one] < 1e-7:  # rounding errors decide which of the two votes
            continue
        compared += 1
        vote_C = np.zeros(classes)
        for i in voters:
            label = features.class_N[i]
            vote_C[label] += n_C[label] ** -point.rho * np.exp((cosine_N[i] - cosine_N[voters[0]]) / point.temperature)
        o_C = plain[row].astype(np.float64) + (0.5 - (point.tau or 0)) * np.log(images_C / images_C.sum())
        p_C = (1 - point.beta) * np.exp(o_C) / np.exp(o_C).sum() + point.beta * vote_C / vote_C.sum()
        np.testing.assert_allclose(scores_C, np.log(p_C), atol=0.02)
    assert compared > len(written["leaf"]) / 2


def test_a_file_for_every_point_and_a_name_for_every_choice(folder: Path) -> None:
    result = score("visual", workers=0)
    assert [path.name for path in result.files] == ["visual.h5", "visual@balanced.h5"]
    assert [path.name for path in score("visual", workers=0).up_to_date] == ["visual.h5", "visual@balanced.h5"]
    assert [path.name for path in score("visual", operating_point="plain", workers=0).files] == ["visual@plain.h5"]
    without = score("visual", no_neighbours=True, workers=0).files
    assert [path.name for path in without] == ["visual@natural-no-neighbours.h5", "visual@balanced-no-neighbours.h5"]
    with open_scores(Path("scores/visual@balanced.h5")) as scores:
        assert scores.origin.operating_point == points_in(Path("runs/visual")).choose("balanced").as_json()
        assert scores.origin.title == "visual balanced"
    with open_scores(Path("scores/visual@plain.h5")) as scores:
        assert scores.origin.operating_point == {} and scores.origin.title == "visual"
    out = score("visual", out="mine.h5", workers=0)
    assert [path.name for path in out.files] == ["mine.h5"]
    assert all(np.array_equal(a, read(Path("mine.h5"))[key]) for key, a in read(Path("scores/visual.h5")).items())
    with pytest.raises(BadOption, match="--operating-point best: expected natural, balanced, default-natural, "):
        score("visual", operating_point="best")


def test_default_points_do_not_depend_on_the_choice_of_the_run(folder: Path) -> None:
    names = ["visual.h5", "visual@plain.h5", "visual@default-balanced.h5"]
    result = score("visual", operating_point="natural,plain,default-balanced", workers=0)
    assert [path.name for path in result.files] == names
    chosen = points_in(Path("runs/visual")).choose("balanced")
    expected = replace(DEFAULTS["balanced"], name="default-balanced", voters=chosen.voters)
    with open_scores(Path("scores/visual@default-balanced.h5")) as scores:
        assert scores.origin.operating_point == expected.as_json()
        assert scores.origin.title == "visual default-balanced"
    (file,) = score("visual", operating_point="default-balanced", no_neighbours=True, workers=0).files
    assert file.name == "visual@default-balanced-no-neighbours.h5"
    with open_scores(file) as scores:
        assert scores.origin.operating_point == {"name": "default-balanced", "tau": 1.0, "beta": 0.0}
    with pytest.raises(BadOption, match="--operating-point natural,plain: expected one point here"):
        score("visual", operating_point="natural,plain", out="one.h5")


def test_top_k_files_have_the_best_of_the_mixture(folder: Path) -> None:
    score("visual", out="all.h5", workers=0)
    score("visual", out="best.h5", top_k=2, workers=0)
    with open_scores(Path("best.h5")) as scores:
        chunk = next(scores.chunks())
    whole = read(Path("all.h5"))["leaf"]
    assert chunk.classes is not None
    np.testing.assert_allclose(np.take_along_axis(whole, chunk.classes["leaf"], 1), chunk.scores["leaf"], atol=2e-3)


def test_a_photo_is_explained_by_those_that_voted(folder: Path, drawn: DrawnCatalogue) -> None:
    photo = next(path for path in sorted(drawn.photos.rglob("*.jpg")) if path.stat().st_size > 1000)
    (natural,) = load("visual", device="cpu").predict(photo, top=3)
    assert natural.neighbours is not None and len(natural.neighbours) == 3
    assert natural.neighbours[0].id in set(open_dataset(Path("dataset")).ids())
    (plain,) = load("visual", operating_point="plain", device="cpu").predict(photo)
    assert plain.neighbours is None
    confidence = {
        point: load("visual", operating_point=point, device="cpu").predict(photo)[0] for point in ("balanced",)
    }
    assert confidence["balanced"].levels["leaf"] != natural.levels["leaf"]


def test_runs_that_were_interrupted_before_their_points(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The classifier alone scores, with a warning that names the command; the command and --resume both help."""
    run = Path("runs/visual")
    (run / OPERATING_POINTS_FILE).unlink()
    assert [path.name for path in score("visual", workers=0).files] == ["visual.h5"]
    assert "make them with `prodrec neighbours runs/visual`" in capsys.readouterr().err
    with pytest.raises(BadOption, match="no operating points; make them with `prodrec neighbours runs/visual`"):
        score("visual", operating_point="balanced")
    result = neighbours(["runs/visual"], workers=0)
    assert list(result.points) == [run] and "balanced" in str(result) and json.dumps(result.as_json())
    (run / OPERATING_POINTS_FILE).unlink()
    (run / NEIGHBOURS_FILE).unlink()
    recipe = Recipe.from_json(open_run(run).recipe)
    train_recipe(recipe, explicit=(), dataset=Path("dataset"), out=run, resume=True, workers=0)
    assert (run / OPERATING_POINTS_FILE).is_file() and (run / NEIGHBOURS_FILE).is_file()


def test_missing_and_foreign_files(folder: Path) -> None:
    run = Path("runs/visual")
    content = json.loads((run / OPERATING_POINTS_FILE).read_text())
    content["made_from"]["run"] = "another"
    (run / OPERATING_POINTS_FILE).write_text(json.dumps(content))
    with pytest.raises(
        BadArtefact, match="other weights than those of the run; make it again with `prodrec neighbours"
    ):
        score("visual")
    neighbours("visual", workers=0)
    score("visual", workers=0)


@pytest.mark.parametrize("choice", ["scores", "none"])
def test_runs_without_neighbours(folder: Path, choice: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = Path("runs") / choice
    recipe = make_recipe("visual", SETTINGS | {"operating_points": choice})
    train_recipe(recipe, dataset=Path("dataset"), out=out, workers=0)
    assert not (out / NEIGHBOURS_FILE).exists() and (out / OPERATING_POINTS_FILE).exists() == (choice == "scores")
    names = [path.name for path in score(choice, workers=0).files]
    assert names == (["scores.h5", "scores@balanced.h5"] if choice == "scores" else ["none.h5"])
    assert "no operating points" not in capsys.readouterr().err


def test_titles_at_hand_have_points_of_their_own(folder: Path) -> None:
    """With titles that name the class, scoring with titles is far better, and both files are in one report."""
    out = Path("runs/titled")
    settings = {**SETTINGS, "epochs": "12", "lr": "0.003"}
    train_recipe(make_recipe("titled", settings), dataset=Path("dataset"), out=out, workers=0)
    points = points_in(out)
    assert points.titled is not None and points.titled.photos == points.photos
    rows = {row["name"]: row["top1"] for row in points.titled.validation if not row["neighbours"]}
    assert rows["natural"] > next(row["top1"] for row in points.validation if row["name"] == "plain")
    score("titled", workers=0)
    files = score("titled", with_titles=True, workers=0).files
    assert [path.name for path in files] == ["titled-with-titles.h5", "titled@balanced-with-titles.h5"]
    with open_scores(files[1]) as scores:
        assert scores.origin.operating_point == points.choose("balanced", with_titles=True).as_json()
    recogniser = load("titled", device="cpu")
    assert recogniser.network.titled_point == points.choose("natural", with_titles=True)  # type: ignore[attr-defined]


def test_products_of_another_dataset_vote_without_training(folder: Path, drawn: DrawnCatalogue) -> None:
    """The same products, most of them in the training split. The scores of before are out of date."""
    run = Path("runs/visual")
    score("visual", workers=0)
    before = read_training_features(run / NEIGHBOURS_FILE, run_fingerprint=open_run(run).fingerprint)
    prepare_dataset([drawn.table], images=drawn.photos, out=Path("more"), options=PrepareOptions(split="18:1:1"))
    neighbours("visual", "more", other_dataset=True, workers=0)
    after = read_training_features(run / NEIGHBOURS_FILE, run_fingerprint=open_run(run).fingerprint)
    assert len(after) > len(before)
    with pytest.raises(OutputExists, match="scored at another operating point; add --force"):
        score("visual", workers=0)
    assert len(score("visual", force=True, workers=0).scored) == 2


def test_approximate_search_is_stored_and_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scores by lists with a high recall are close to those of exact search, which replaces the lists again."""
    pytest.importorskip("faiss")
    run = Path("runs/visual")

    def stored() -> TrainingFeatures:
        return read_training_features(run / NEIGHBOURS_FILE, run_fingerprint=open_run(run).fingerprint)

    exact = stored()
    neighbours("visual", search="approximate", workers=0)
    lists = stored().lists
    assert lists is not None and lists.recall >= RECALL and lists.validation and lists.queries > 0
    assert f"search: {lists}" in capsys.readouterr().err.replace("\n", " ")
    POINTS.with_voters(stored().fingerprint).write(
        run / OPERATING_POINTS_FILE, run_fingerprint=open_run(run).fingerprint
    )
    score("visual", out="lists.h5", workers=0)
    neighbours("visual", search="exact", workers=0)
    assert stored().lists is None and stored().fingerprint == exact.fingerprint
    POINTS.with_voters(exact.fingerprint).write(run / OPERATING_POINTS_FILE, run_fingerprint=open_run(run).fingerprint)
    score("visual", out="exact.h5", workers=0)
    by_lists, exactly = read(Path("lists.h5"))["leaf"], read(Path("exact.h5"))["leaf"]
    assert (by_lists.argmax(1) == exactly.argmax(1)).mean() > 0.95
    with pytest.raises(BadOption, match="--search fast: expected auto, exact, approximate"):
        neighbours("visual", search="fast", workers=0)


def test_vectors_and_points_that_do_not_belong_together(folder: Path) -> None:
    """As after a kill between the two files."""
    run = Path("runs/visual")
    points_in(run).with_voters("others").write(run / OPERATING_POINTS_FILE, run_fingerprint=open_run(run).fingerprint)
    with pytest.raises(
        BadArtefact, match="do not belong together; make both again with `prodrec neighbours runs/visual`"
    ):
        score("visual", workers=0)
    neighbours("runs/visual", workers=0)
    score("visual", workers=0)


def on_rank(folder: str, search: str) -> dict[str, Any]:
    """Make neighbours and score on this rank."""
    torch.set_num_threads(1)
    place = Path(folder)
    neighbours(place / "runs" / "visual", place / "dataset", search=search, workers=0)
    score(place / "runs" / "visual", place / "dataset", out=place / "ranks.h5", operating_point="balanced", workers=0)
    return {}


@pytest.mark.parametrize("search", ["exact", "approximate"])
def test_two_ranks_give_the_same_neighbours_points_and_scores(
    folder: Path, on_ranks: Callable[..., list[Any]], search: str
) -> None:
    if search == "approximate":
        pytest.importorskip("faiss")
    run = folder / "runs" / "visual"
    (run / OPERATING_POINTS_FILE).unlink()
    neighbours("visual", search=search, workers=0)
    one = (run / OPERATING_POINTS_FILE).read_text()
    vectors = read_training_features(run / NEIGHBOURS_FILE, run_fingerprint=open_run(run).fingerprint)
    score("visual", out="one.h5", operating_point="balanced", workers=0)
    on_ranks(2, on_rank, str(folder), search)
    again = read_training_features(run / NEIGHBOURS_FILE, run_fingerprint=open_run(run).fingerprint)
    assert (vectors.lists is not None) == (search == "approximate") and vectors.fingerprint == again.fingerprint
    assert np.array_equal(vectors.vectors_Nd, again.vectors_Nd) and again.row_N.tolist() == vectors.row_N.tolist()
    assert json.loads(one)["validation"] == json.loads((run / OPERATING_POINTS_FILE).read_text())["validation"]
    expected, actual = read(Path("one.h5")), read(folder / "ranks.h5")
    for key, values in expected.items():
        np.testing.assert_allclose(actual[key], values, atol=2e-3)
