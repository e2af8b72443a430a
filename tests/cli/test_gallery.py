"""`prodrec gallery` on a drawn dataset: a picture and its list, and one sentence for every error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.core.data.dataset import open_dataset
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter
from prodrec.demo.catalogue import DrawnCatalogue


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def scored(drawn_dozen: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dataset/ of a dozen products and scores/made.h5, in which every row with an even number is wrong."""
    place = tmp_path_factory.mktemp("scored")
    result = call("prepare", drawn_dozen.table, "--images", drawn_dozen.photos, "--out", place / "dataset")
    assert result.exit_code == 0, result.output
    data = open_dataset(place / "dataset")
    rows = np.arange(len(data))
    scores = np.zeros((len(rows), len(data.taxonomy.leaves)), np.float32)
    scores[rows, (data.labels_NL[:, -1] + (rows % 2 == 0)) % 2] = 1 + rows / 10
    made_from = {"dataset": data.fingerprint, "run": "made"}
    origin = Origin(run="made", family="visual", made_from=made_from, splits=("train", "test", "validation"))
    with ScoresWriter(
        place / "scores" / "made.h5",
        origin=origin,
        taxonomy=data.taxonomy,
        train_images=data.train_images,
        id_bytes=20,
        attributes=[],
    ) as writer:
        writer.append(
            ids=data.ids(),
            rows_B=rows,
            split_B=np.asarray(data.split_N),
            labels_BL=np.asarray(data.labels_NL),
            attributes_BA=np.zeros((len(rows), 0), np.int32),
            features_BD=np.zeros((len(rows), 1), np.float32),
            scores={data.taxonomy.leaf_level: scores},
        )
    return place


@pytest.fixture
def folder(scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(scored, tmp_path / "folder")
    monkeypatch.chdir(tmp_path / "folder")
    return tmp_path / "folder"


def test_without_arguments_the_only_scores_are_drawn(folder: Path) -> None:
    result = call("gallery", "--split", "train")
    assert result.exit_code == 0, result.output
    assert Path("gallery.png").read_bytes().startswith(b"\x89PNG") and "wrote gallery.png" in result.stdout
    again = call("gallery", "--split", "train")
    assert again.exit_code == 2 and "--force" in again.stderr
    assert call("gallery", "made", "dataset", "--split", "train", "--force").exit_code == 0


def test_errors_are_listed_most_confident_first(folder: Path) -> None:
    result = call("gallery", "scores/made.h5", "--split", "train", "--only", "errors", "--out", "e/e.svg", "--json")
    gallery = json.loads(result.stdout)
    data = open_dataset(Path("dataset"))
    even = [row for row in data.rows("train").tolist() if row % 2 == 0]
    assert [photo["row"] for photo in gallery["photos"]] == even[::-1]
    assert [photo["id"] for photo in gallery["photos"]] == [data.ids()[row] for row in even[::-1]]
    assert gallery["errors"] == len(even) and gallery["sort"] == "confident" and gallery["out"] == "e/e.svg"
    assert Path("e/e.svg").read_text("utf-8").count("<image") == len(even)


def test_rows_and_columns_limit_the_photos(folder: Path) -> None:
    result = call("gallery", "--split", "train", "--columns", 2, "--rows", 1, "--out", "g.pdf", "--json")
    assert len(json.loads(result.stdout)["photos"]) == 2
    assert Path("g.pdf").read_bytes().startswith(b"%PDF")


def wrong(result: Result, *expected: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ") and not result.stdout
    assert not list(Path().glob("*.png"))
    for text in expected:
        assert text in result.stderr


def test_scores_of_another_dataset(folder: Path, drawn_dozen: DrawnCatalogue) -> None:
    other = call("prepare", drawn_dozen.table, "--images", drawn_dozen.photos, "--out", "other", "--seed", 5)
    assert other.exit_code == 0, other.output
    wrong(call("gallery", "made", "other"), "made.h5 is not of other as it is now")


def test_bad_options_and_inputs(folder: Path) -> None:
    wrong(call("gallery", "--out", "gallery.gif"), "--out gallery.gif", ".png, .svg or .pdf")
    wrong(call("gallery", "nothing"), "nothing does not exist")
    wrong(call("gallery", "made", "nothing"), "nothing does not exist")
    wrong(call("gallery", "--only", "error"), "--only error", "did you mean errors?")
    shutil.copy("scores/made.h5", "scores/second.h5")
    wrong(call("gallery"), "made.h5, second.h5", "name the one")
    shutil.rmtree("scores")
    wrong(call("gallery"), "scores contains no scores")


def test_a_photo_that_cannot_be_read(folder: Path) -> None:
    for shard in Path("dataset/photos").glob("*.bin"):
        shard.write_bytes(bytes(shard.stat().st_size))
    wrong(call("gallery", "--split", "train"), "photo of row", "prepare the dataset again")
