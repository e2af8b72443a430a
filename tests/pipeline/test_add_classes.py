"""Classes without photos: classes of a drawn catalogue are hidden, and added again by the words of their titles.

Classes are a leaf with a colour. Instead of photos, the dataset has small thumbnails and colours as vectors, so that
linear heads are trained in a second.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import prodrec
from prodrec.core.base.errors import BadOption, Mismatch, OutputExists
from prodrec.core.data.dataset import open_dataset
from prodrec.core.scores.reader import open_scores
from prodrec.core.training.run import Run, open_run
from prodrec.demo.catalogue import draw_catalogue
from prodrec.inference.neighbours.operating_points import OPERATING_POINTS_FILE
from prodrec.inference.neighbours.training_features import NEIGHBOURS_FILE, read_training_features
from prodrec.models.families import Recipe, make_recipe
from prodrec.pipeline.add_classes import add_classes
from prodrec.pipeline.load import load_network
from prodrec.pipeline.score import score
from prodrec.pipeline.train import train_recipe

SETTINGS = {"optimizer": "adamw", "lr": "0.01", "epochs": "20", "batch_size": "32", "precision": "fp32"}
COLUMNS = ("id", "title", "root", "sku")


def vector(photo: Path) -> np.ndarray[Any, Any]:
    """Return the pixels of an 8×8 thumbnail and a histogram of the colours in the middle."""
    image = Image.open(photo).convert("RGB")
    thumbnail = np.asarray(image.resize((8, 8)), np.float32).ravel() / 255 - 0.5
    middle = np.asarray(image, np.float32)[6:18, 6:18].reshape(-1, 3)
    histogram, _ = np.histogramdd(middle, bins=(4, 4, 4), range=((0, 256),) * 3)
    return np.concatenate([thumbnail, 2 * np.sqrt(histogram.ravel() / len(middle))]).astype(np.float32)


def prepare(name: str, rows: Sequence[dict[str, str]], vectors: Any = None, **options: Any) -> None:
    with Path(f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    if vectors is not None:
        np.save(f"{name}.npy", vectors)
        options["features"] = f"{name}.npy"
    prodrec.prepare(f"{name}.csv", levels="root,sku", out=name, **options)


def train(name: str, **settings: str) -> None:
    recipe = make_recipe("words", {**SETTINGS, **settings})
    train_recipe(recipe, dataset=Path("dataset"), out=Path("runs") / name, workers=0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dataset/ (some classes hidden), extended/ (all), titles/ (all, titles alone) and runs/words."""
    place = tmp_path_factory.mktemp("new-classes")
    torch.set_num_threads(1)
    drawn = draw_catalogue(tmp_path_factory.mktemp("photos"), products=1200, leaves=5, size=24, dirt=False)
    with drawn.table.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["colour"]]
    for row in rows:
        row["sku"] = f"{row['leaf']} {row['colour']}"
    vectors_ND = np.stack([vector(drawn.photos / Path(row["image"]).name) for row in rows])
    names = sorted({row["sku"] for row in rows if row["root"] != "Toys"})
    hidden = {*np.random.default_rng(1).permutation(names)[: len(names) // 5]}
    hidden |= {row["sku"] for row in rows if row["root"] == "Toys"}  # a new root
    known = [i for i, row in enumerate(rows) if row["sku"] not in hidden]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        prepare("dataset", [rows[i] for i in known], vectors_ND[known])
        prepare("extended", rows, vectors_ND)
        prepare("titles", rows, no_images=True)
        prepare(
            "untitled", [{**row, "title": "" if row["sku"] in hidden else row["title"]} for row in rows], vectors_ND
        )
        prepare("fewer", [row for row in rows if row["sku"] != rows[known[0]]["sku"]], no_images=True)
        train("words")
    return place


def add(dataset: str = "extended", run: str = "words", **options: Any) -> Run:
    return add_classes(run, dataset, workers=0, device="cpu", **options)


def ranks_of_labels(run: Run, point: str) -> tuple[Any, Any]:
    """Return the position of the true class of every test photo among all classes, and whether it is a new class."""
    (file,) = score(run.path, "extended", operating_point=point, split="test", workers=0, force=True).files
    with open_scores(file) as scores:
        chunks = list(scores.chunks())
        is_new_C = np.array(
            [name not in set(open_run(Path("runs/words")).taxonomy.leaves) for name in scores.taxonomy.leaves]
        )
    scores_NC, label_N = (
        np.concatenate(parts) for parts in zip(*[(c.scores["sku"], c.labels_RL[:, -1]) for c in chunks], strict=True)
    )
    own_N1 = np.take_along_axis(scores_NC, label_N[:, None].astype(np.int64), 1)
    return (scores_NC > own_N1).sum(1), is_new_C[label_N]


@pytest.mark.parametrize("point", ["natural", "balanced"])
def test_hidden_classes_are_recognised_by_their_words(folder: Path, point: str) -> None:
    ranks_N, is_new_N = ranks_of_labels(add(bonus=0.5), point)
    classes = len(open_dataset(Path("extended")).taxonomy.leaves)
    new, known = ranks_N[is_new_N], ranks_N[~is_new_N]
    assert len(new) > 30 and len(known) > 60
    assert (new < 5).mean() > 2 * 5 / classes
    assert (known < 5).mean() > 5 * 5 / classes
    before, _ = ranks_of_labels(add(bonus=-100, out="runs/never", force=True), point)
    assert not (before[is_new_N] < 5).any()  # new classes come last


def test_known_classes_keep_their_rows_by_name(folder: Path) -> None:
    run, source, data = add(), open_run(Path("runs/words")), open_dataset(Path("extended"))
    assert run.path == Path("runs/words-extended") and run.finished and run.taxonomy == data.taxonomy
    assert run.dataset_fingerprint == data.fingerprint and run.vocabulary.words == source.vocabulary.words
    assert sorted(path.name for path in Path("runs").iterdir()) == ["words", "words-extended"]
    before, after = source.weights(), run.weights()
    name = "heads.level:sku.classifier"
    assert {key for key in before if not torch.equal(before[key], after[key])} == {f"{name}.weight", f"{name}.bias"}
    index_C = [data.taxonomy.leaves.index(leaf) for leaf in source.taxonomy.leaves]
    assert index_C != list(range(len(index_C)))
    for part in ("weight", "bias"):
        assert torch.equal(after[f"{name}.{part}"][index_C], before[f"{name}.{part}"])
    assert run.train_images[index_C].tolist() == source.train_images.tolist()
    assert run.train_images.sum() == source.train_images.sum()
    assert run.origin is not None and run.origin["method"] == "add-classes" and run.origin["run"] == "words"
    assert run.origin["fit"]["new_classes"] == len(data.taxonomy.leaves) - len(index_C)
    assert run.recipe["added_classes"] == {"bonus": 0.0}
    assert add(out="again").fingerprint == run.fingerprint


def test_a_new_class_has_the_prior_of_a_typical_one(folder: Path) -> None:
    run, source = add(), open_run(Path("runs/words"))
    network = load_network(run, Recipe.from_json(run.recipe), torch.device("cpu"))
    classifier = network.level_heads[-1].classifier
    log_prior_C = (classifier.adjusted_bias(0.0) - classifier.adjusted_bias(1.0)).detach()
    is_new_C = torch.tensor([leaf not in set(source.taxonomy.leaves) for leaf in run.taxonomy.leaves])
    torch.testing.assert_close(log_prior_C[is_new_C], log_prior_C[~is_new_C].mean().expand(int(is_new_C.sum())))


def test_the_training_photos_vote_for_their_classes(folder: Path) -> None:
    run, source = add(), open_run(Path("runs/words"))
    voters, before = (
        read_training_features(each.path / NEIGHBOURS_FILE, run_fingerprint=each.fingerprint) for each in (run, source)
    )
    assert np.array_equal(voters.vectors_Nd, before.vectors_Nd) and list(voters.ids) == list(before.ids)
    assert [run.taxonomy.path(int(c)) for c in voters.class_N] == [source.taxonomy.path(int(c)) for c in before.class_N]
    points = json.loads((run.path / OPERATING_POINTS_FILE).read_text())
    assert points["validation_photos"] > 0 and set(points["with_neighbours"]) == {"natural", "balanced"}
    assert points["with_neighbours"]["natural"]["voters"] == voters.fingerprint


def test_titles_are_enough(folder: Path) -> None:
    from_titles, with_photos = add("titles", out="runs/a"), add(out="runs/b")
    for name, weight in with_photos.weights().items():
        assert torch.equal(from_titles.weights()[name], weight), name
    files = score("runs/a", "extended", other_dataset=True, operating_point="natural", split="test", workers=0).files
    assert len(files) == 1


def test_new_classes_of_upper_levels_have_rows_too(folder: Path) -> None:
    train("both", heads="root,leaf,words", epochs="3")
    run = add(run="both")
    names = run.taxonomy.names[0]
    network = load_network(run, Recipe.from_json(run.recipe), torch.device("cpu"))
    weight_CD = network.level_heads[0].classifier.weight
    assert (
        "Toys" in names and len(weight_CD) == len(names) and float(weight_CD[names.index("Toys")].detach().norm()) > 0
    )
    assert "Toys" not in open_run(Path("runs/both")).taxonomy.names[0]


def test_classes_are_added_to_a_second_stage_and_twice(folder: Path) -> None:
    prodrec.retrain_head("words", method="lda", workers=0)
    run = add(run="words-lda")
    assert run.origin is not None and run.origin["logit_adjustment"] == 1.0
    with pytest.raises(BadOption, match="words-lda-extended has classes without photos, added to words-lda already"):
        prodrec.retrain_head("words-lda-extended", "extended", method="ncm")
    with pytest.raises(Mismatch, match=r"another dataset than dataset; name that with --trained-on\.$"):
        add(run="words-lda-extended")
    with pytest.raises(BadOption, match="extended has no class that runs/words-lda-extended does not have"):
        add(run="words-lda-extended", trained_on="extended")


def test_an_existing_run_is_replaced_with_force_only(folder: Path) -> None:
    first = add()
    with pytest.raises(OutputExists, match="words-extended contains a finished run; add --force"):
        add()
    assert add(force=True).fingerprint == first.fingerprint
    with pytest.raises(BadOption, match=r"--out runs/words is the run whose network is used"):
        add(out="runs/words", force=True)
    Path("runs/words-extended/run.json").write_text(json.dumps({**first.header, "status": "training"}))
    remedy = "`prodrec add-classes words extended --out runs/words-extended --force`"
    with pytest.raises(
        BadOption, match=f"an unfinished run with added classes, not a training; make it again with {remedy}"
    ):
        train_recipe(make_recipe("words"), explicit=(), dataset=Path("extended"), out=first.path, resume=True)


def test_bad_datasets(folder: Path) -> None:
    new = r"extended: '.* / .*' and \d+ more new classes have no training title with a word that runs/words predicts"
    with pytest.raises(BadOption, match=new.replace("extended", "untitled")):
        add("untitled")
    with pytest.raises(Mismatch, match=r"fewer lacks the class '.* / .*' of runs/words; prepare the old products and"):
        add("fewer")
    with pytest.raises(BadOption, match=r"dataset has no class that runs/words does not have; score it"):
        add("dataset")
    assert [path.name for path in Path("runs").iterdir()] == ["words"]


def test_classes_without_titles_are_recognised_by_the_class_table(folder: Path) -> None:
    """The title of a class counts as that of one training product, and the others have none."""
    known = set(open_run(Path("runs/words")).taxonomy.leaves)
    new: dict[str, str] = {}  # all titles of the products of a class, as one
    with Path("titles.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["sku"] not in known:
                new[row["sku"]] = f"{new.get(row['sku'], '')} {row['title']}".strip()
    with Path("classes.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("sku", "title"), *new.items()])
    options: dict[str, Any] = {"levels": "root,sku", "features": "untitled.npy"}
    prodrec.prepare("untitled.csv", out="tabled", class_table="classes.csv", **options)
    with Path("untitled.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    first = {rows[row]["sku"]: row for row in reversed(open_dataset(Path("untitled")).rows("train").tolist())}
    for sku, title in new.items():
        rows[first[sku]]["title"] = title
    prepare("one-title", rows, np.load("untitled.npy"))
    by_table, by_product = add("tabled", out="runs/a"), add("one-title", out="runs/b")
    for name, weight in by_product.weights().items():
        assert torch.equal(by_table.weights()[name], weight), name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": "leaf"}, "does not predict the words of titles; train one with --set heads=leaf,words"),
        ({"classifier_form": "cosine"}, "has a cosine classifier, .* --set classifier_form=linear"),
        ({"word_units": "8"}, "has a layer of its own before the words .*; train one with --set word_units=none"),
        ({"embed": "8"}, "has a layer of its own before the classes .*; train one with --set embed=none"),
        ({"private_width": "8"}, "has private layers before the classes, .*; train one with --set private_width=0"),
    ],
)
def test_runs_to_which_no_class_can_be_added(folder: Path, settings: dict[str, str], message: str) -> None:
    train("other", **{"epochs": "0.2", **settings})
    with pytest.raises(BadOption, match=f"runs/other {message}"):
        add(run="other")


def test_several_ranks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadOption, match=r"^adding classes runs in one process: start it without torchrun\.$"):
        add()


def test_products_that_were_trained_on_are_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add()
    assert "trained on" not in capsys.readouterr().err
    prodrec.prepare("extended.csv", levels="root,sku", no_images=True, seed=5, out="resplit")
    add("resplit", out="runs/resplit")
    message = " ".join(capsys.readouterr().err.split())
    assert "test or validation products of resplit are among those that runs/words was trained on" in message
