"""`prodrec explain` with tiny runs: it agrees with `prodrec score`, and every error is one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.core.data.dataset import open_dataset
from prodrec.core.scores.reader import open_scores
from prodrec.demo.catalogue import DrawnCatalogue

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = ["backbone=squeezenet1_1", "weights=none", "image_size=32", "epochs=1", "batch_size=8", "optimizer=sgd"]
EVERYTHING = ["heads=levels,attributes", "attributes=colour", "titles=bilinear", "word_vectors=random"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(one_thread: None, drawn_dozen: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dataset/, photos/, and runs/all with attention, all levels, an attribute and titles."""
    place = tmp_path_factory.mktemp("explained")
    shutil.copytree(drawn_dozen.photos, place / "photos")
    tiny = [part for setting in TINY for part in ("--set", setting)]
    everything = [part for setting in EVERYTHING for part in ("--set", setting)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for arguments in (
            ["prepare", drawn_dozen.table, "--images", "photos", "--attributes", "colour", "--drop-rare", 0],
            ["train", "ssmtl-ca", *tiny, *everything, "--workers", 0, "--preset", "paper", "--out", "runs/all"],
        ):
            result = call(*arguments)
            assert result.exit_code == 0, result.output
    return place


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path / "folder")
    monkeypatch.chdir(tmp_path / "folder")
    return tmp_path / "folder"


def photos() -> list[Path]:
    """Return the file of every photo of the dataset, in the order of the rows."""
    return [Path("photos") / name for name in open_dataset(Path("dataset")).products()["image"].to_list()]


def softmax(values: Any) -> Any:
    return np.exp(values) / np.exp(values).sum(axis=-1, keepdims=True)


def test_probabilities_agree_with_prodrec_score(folder: Path) -> None:
    """Those of the deepest level by the temperature of the calibration."""
    assert call("score", "all", "--split", "all", "--workers", 0, "--out", "all.h5").exit_code == 0
    explained = json.loads(call("explain", "all", *photos()[:5], "--top", 100, "--json").stdout)["photos"]
    calibration = Path("runs/all/calibration.json")  # without validation photos, a run has none
    points = json.loads(calibration.read_text("utf-8"))["points"] if calibration.is_file() else {}
    temperature = points.get("natural", {"temperature": 1.0})["temperature"]
    with open_scores(Path("all.h5")) as scores:
        chunk = next(scores.chunks(attribute_scores=True))
        assert len(scores.scored_levels) == len(scores.levels) == 3
        for level in scores.levels:
            names = scores.taxonomy.names[scores.levels.index(level)]
            confidences = [{p["class"]: p["confidence"] for p in photo["levels"][level]} for photo in explained]
            expected = softmax(chunk.scores[level][:5] / (temperature if level == scores.levels[-1] else 1.0))
            np.testing.assert_allclose([[c[name] for name in names] for c in confidences], expected, atol=2e-3)
        states = scores.attributes[0].states
        confidences = [{p["state"]: p["confidence"] for p in photo["attributes"]["colour"]} for photo in explained]
        expected = softmax(chunk.attribute_scores["colour"][:5])
        np.testing.assert_allclose([[c[state] for state in states] for c in confidences], expected, atol=2e-3)


def test_text_has_paths_states_and_words(folder: Path) -> None:
    data = open_dataset(Path("dataset"))
    title = f"{data.vocabulary.words[0]} zzzz"
    result = call("explain", "runs/all", photos()[0], "--title", title, "--top", 2)
    assert result.exit_code == 0, result.output
    for text in (str(photos()[0]), " / ".join(data.taxonomy.path(0)), "colour: ", "zzzz (not in the vocabulary)", " %"):
        assert text in result.stdout
    weighed = json.loads(call("explain", "all", photos()[0], "--title", title, "--with-titles", "--json").stdout)
    words = weighed["photos"][0]["words"]
    assert words[0]["word"] == data.vocabulary.words[0] and 0 < words[0]["weight"] <= 1 and words[1]["weight"] is None


def test_words_are_sorted_and_marked(folder: Path) -> None:
    words = open_dataset(Path("dataset")).vocabulary.words
    title = f"{' '.join(words[i] for i in range(6))} zzzz"
    alone = call("explain", "all", "--title", title)
    assert alone.exit_code == 0, alone.output
    first, *lines = alone.stdout.splitlines()
    assert first == title and [line[2] for line in lines] == [*"+++---", " "] and lines[6].split()[0] == "–"
    weights = [float(line.split()[1]) for line in lines[:6]]
    assert weights == sorted(weights, reverse=True)
    with_photo = call("explain", "all", photos()[0], "--title", title).stdout.splitlines()
    assert with_photo[-7:] == lines


def test_titles_of_a_dataset(folder: Path) -> None:
    result = call("explain", "all", "--titles", "dataset", "--sample", 3, "--min-count", 1, "--top", 2)
    assert result.exit_code == 0, result.output
    content = json.loads(
        call(
            *("explain", "all", "--titles", "dataset", "--sample", 3, "--min-count", 1, "--top", 2),
            *("--html", "words.html", "--json"),
        ).stdout
    )
    assert len(content["titles"]) == 3 and len(content["means"]["most"]) == len(content["means"]["least"]) == 2
    assert content["html"] == "words.html" and Path("words.html").is_file()
    for one in content["titles"]:
        assert f"{one['id']}  {one['title']} ({' / '.join(one['path'])})" in result.stdout
    for one in (*content["means"]["most"], *content["means"]["least"]):
        assert (
            f"{one['relative']:5.2f}  {one['word']} ({one['count']:,} times, weight {one['weight']:.2f})"
            in result.stdout
        )
    rare = call("explain", "all", "--titles", "dataset", "--min-count", 1000)
    assert rare.exit_code == 0 and "0 words occur at least 1,000 times" in rare.stdout
    assert "fewer than two words occur so often; lower --min-count" in rare.stderr
    assert "lower --min-count" not in result.stderr
    assert result.stdout.index("largest") < result.stdout.index("smallest")


def test_options_of_photos_and_of_titles_do_not_mix(folder: Path) -> None:
    wrong(call("explain", "all"), "name photos to recognise", "--titles DATASET", "--title")
    photo = photos()[0]
    for options in (["--titles", "dataset"], ["--html", "w.html"], ["--sample", 3], ["--min-count", 3], ["--seed", 0]):
        wrong(call("explain", "all", photo, *options), f"{options[0]} explains titles, and photos are given")
    for options in (["--saliency"], ["--with-titles"], ["--pool"], ["--out", "x"]):
        wrong(call("explain", "all", "--titles", "dataset", *options), f"{options[0]} is about photos, and none are")
    for options in (["--sample", 3], ["--min-count", 3], ["--seed", 0], ["--top", 3]):
        wrong(call("explain", "all", "--title", "a b", *options), f"{options[0]} is about the titles of a dataset")
    wrong(call("explain", "all", "--titles", "none"), "none", "does not exist")
    wrong(call("explain", "all", "--titles", "dataset", "--title", "a b"), "either a dataset")


def test_a_title_changes_predictions_only_with_the_option(folder: Path) -> None:
    title = " ".join(open_dataset(Path("dataset")).vocabulary.words[:3])
    plain, weighed, titled = (
        json.loads(call("explain", "all", photos()[0], *more, "--json").stdout)["photos"][0]["levels"]["leaf"]
        for more in ([], ["--title", title], ["--title", title, "--with-titles"])
    )
    assert plain == weighed != titled


def test_saliency_is_drawn_over_every_photo(folder: Path) -> None:
    Path("other").mkdir()
    image = Image.open(photos()[0]).resize((60, 20))
    image.save(Path("other") / photos()[0].with_suffix(".png").name)
    files = [photos()[0], *Path("other").iterdir()]
    result = call("explain", "all", *files, "--saliency", "--json")
    explained = json.loads(result.stdout)["photos"]
    stem = files[0].stem
    pictures = [f"explain/{stem}-saliency.png", f"explain/{stem}-2-saliency.png"]
    assert [photo["picture"] for photo in explained] == pictures
    assert all(Path(photo["picture"]).read_bytes().startswith(b"\x89PNG") for photo in explained)
    assert explained[1]["saliency"]["columns"] == [20, 40] and explained[1]["saliency"]["rows"] == [0, 20]
    assert np.shape(explained[0]["saliency"]["weights"]) == np.shape(explained[1]["saliency"]["weights"])
    again = call("explain", "all", *files, "--saliency")
    assert again.exit_code == 2 and "--force" in again.stderr
    assert call("explain", "all", *files, "--saliency", "--out", "look").exit_code == 0


def wrong(result: Result, *expected: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ") and not result.stdout
    assert not Path("explain").exists()
    for text in expected:
        assert text in result.stderr


def test_photos_that_cannot_be_read(folder: Path) -> None:
    good = photos()[0]
    wrong(call("explain", "all", good, "none.jpg", "--saliency"), "photo none.jpg does not exist")
    Path("broken.jpg").write_bytes(good.read_bytes()[:300])
    wrong(call("explain", "all", "broken.jpg", "--saliency"), "broken.jpg: the photo cannot be used")
    Path("empty.jpg").touch()
    both = call("explain", "all", "broken.jpg", "empty.jpg")
    wrong(both, "broken.jpg (and 1 more): the photo cannot be used")
    Path("texts").mkdir()
    Path("texts/notes.txt").write_text("shoes")
    wrong(call("explain", "all", "texts"), "folder texts contains no photo")


@pytest.mark.parametrize("option", ["--saliency", "--pool"])
def test_a_photo_that_cannot_be_read_does_not_stop_the_others(folder: Path, option: str) -> None:
    first, second, *_ = photos()
    Path("broken.jpg").write_bytes(first.read_bytes()[:300])
    result = call("explain", "all", first, "broken.jpg", second, option, "--json")
    assert result.exit_code == 0 and "warning: broken.jpg is rejected: the photo cannot be used" in result.stderr
    content = json.loads(result.stdout)
    assert [entry["photo"] for entry in content["rejected"]] == ["broken.jpg"]
    good = [str(first), str(second)]
    assert (content["photos"][0].get("pooled") or [entry["photo"] for entry in content["photos"]]) == good


def test_photos_of_a_folder(folder: Path) -> None:
    (Path("new") / "deeper").mkdir(parents=True)
    first, second, *_ = photos()
    shutil.copy(second, "new/deeper/without-an-ending")
    shutil.copy(first, "new/b.jpg")
    Path("new/notes.txt").write_text("shoes")
    content = json.loads(call("explain", "all", "new", first, "--json").stdout)
    explained = [entry["photo"] for entry in content["photos"]]
    assert explained == ["new/b.jpg", "new/deeper/without-an-ending", str(first)]


def test_what_the_run_does_not_have(folder: Path) -> None:
    content = json.loads(Path("runs/all/run.json").read_text("utf-8"))
    network = {**content["recipe"]["network"], "attention": None, "titles": None, "word_vectors": "pretrained"}
    content["recipe"]["network"] = {**network, "attention_spread": 1.0}
    Path("runs/all/run.json").write_text(json.dumps(content), "utf-8")
    wrong(call("explain", "all", photos()[0], "--title", "a"), "runs/all was trained on photos alone")
    wrong(call("explain", "all", "--titles", "dataset"), "runs/all was trained on photos alone", "name a run")


def test_options_that_would_do_nothing(folder: Path) -> None:
    wrong(call("explain", "all", photos()[0], "--out", "look"), "--saliency")
    wrong(call("explain", "all", photos()[0], "--with-titles"), "--title")
    wrong(call("explain", "all", photos()[0], "--pool", "--saliency"), "--pool gives one result", "omit one of them")
    for option in ("--pool", "--saliency"):
        assert call("explain", "all", photos()[0], option).exit_code == 0


def test_runs_that_are_none(folder: Path) -> None:
    wrong(call("explain", "nothing", photos()[0]), "nothing does not exist")
    wrong(call("explain", "dataset", photos()[0]), "dataset is a dataset; expected a run")
    content = json.loads(Path("runs/all/run.json").read_text("utf-8"))
    Path("runs/all/run.json").write_text(json.dumps({**content, "status": "training"}), "utf-8")
    wrong(call("explain", "all", photos()[0]), "runs/all is not finished", "--resume")
