"""`prodrec pretrain-embeddings` on the drawn catalogue: training, import, neighbours, and refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.demo.catalogue import DrawnCatalogue


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def prepared(drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = tmp_path_factory.mktemp("prepared") / "dataset"
    result = call("prepare", drawn.table, "--images", drawn.photos, "--out", dataset)
    assert result.exit_code == 0, result.output
    return dataset


@pytest.fixture
def dataset(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the dataset for one test."""
    return Path(shutil.copytree(prepared, tmp_path / "dataset"))


def read_json(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def test_vectors_are_trained_once_and_then_read(dataset: Path) -> None:
    first = read_json(call("pretrain-embeddings", dataset, "--dimension", 16, "--epochs", 2, "--json"))
    assert Path(first["embeddings"]) == dataset / "embeddings.h5"
    assert first["dimension"] == 16
    assert 0 < first["known"] <= first["words"]
    assert 0 < first["known_share_of_text"] <= 1
    second = call("pretrain-embeddings", dataset, "--neighbours", "Red", "--top", 3, "--json")
    assert read_json(second)["fingerprint"] == first["fingerprint"]
    assert len(read_json(second)["neighbours"]["Red"]) == 3
    text = call("pretrain-embeddings", dataset, "--neighbours", "red").stdout
    assert "red: " in text
    assert "written" not in text


def test_auto_epochs_make_words_differ(dataset: Path) -> None:
    summary = read_json(call("pretrain-embeddings", dataset, "--neighbours", "red", "--deterministic", "--json"))
    assert summary["settings"]["epochs"] == 200
    assert summary["settings"]["workers"] == 1
    assert summary["neighbours"]["red"][-1][1] < 0.97  # ten epochs leave all of them above 0.99


def test_an_import_reports_how_words_were_matched(dataset: Path, tmp_path: Path) -> None:
    vectors = tmp_path / "some.vec"
    vectors.write_text("3 2\nred 1 2\nBLUE 3 4\nunheard 5 6\n")
    call("pretrain-embeddings", dataset, "--epochs", 1)
    summary = read_json(call("pretrain-embeddings", dataset, "--from", vectors, "--force", "--json"))
    assert (summary["method"], summary["dimension"], summary["known"]) == ("imported text", 2, 2)
    assert (summary["settings"]["exact"], summary["settings"]["other_spelling"]) == (1, 1)
    text = call("pretrain-embeddings", dataset, "--neighbours", "red").stdout
    assert "1 with the same spelling, 1 in another spelling" in text
    assert "red: blue 0.98" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "0"], "epochs=0 must be at least 1"),
        (["--method", "skipgram"], "did you mean skip-gram?"),
        (["--from", "absent.vec"], "absent.vec does not exist"),
        (["--from", "absent.vec", "--epochs", "3"], "--from imports vectors, so --epochs would do nothing"),
        (["--deterministic", "--workers", "2"], "workers=2 contradicts deterministic"),
        (["--out", "."], "is a directory"),
        (["--neighbours", "yelow"], "did you mean yellow?"),
    ],
)
def test_refusals_are_one_sentence(dataset: Path, options: list[str], message: str) -> None:
    result = call("pretrain-embeddings", dataset, *options)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (dataset / "embeddings.h5").exists()


def test_existing_vectors_and_those_of_another_dataset_are_refused(dataset: Path, drawn_dozen: DrawnCatalogue) -> None:
    assert call("pretrain-embeddings", dataset, "--epochs", 1).exit_code == 0
    again = call("pretrain-embeddings", dataset, "--epochs", 1)
    assert again.exit_code == 2
    assert "--force" in again.stderr
    other = dataset.parent / "other"
    assert call("prepare", drawn_dozen.table, "--images", drawn_dozen.photos, "--out", other).exit_code == 0
    shutil.copyfile(dataset / "embeddings.h5", other / "embeddings.h5")
    refused = call("pretrain-embeddings", other, "--neighbours", "red")
    assert refused.exit_code == 2
    assert "another dataset" in refused.stderr


def test_a_dataset_without_titles_is_refused(drawn_dozen: DrawnCatalogue, tmp_path: Path) -> None:
    lines = [line.split(",") for line in drawn_dozen.table.read_text("utf-8").splitlines()]
    table = tmp_path / "products.csv"
    table.write_text("\n".join(",".join(line[:2] + line[3:6]) for line in lines) + "\n", "utf-8")
    prepare_result = call("prepare", table, "--images", drawn_dozen.photos, "--out", tmp_path / "dataset")
    assert prepare_result.exit_code == 0, prepare_result.output
    result = call("pretrain-embeddings", tmp_path / "dataset")
    assert result.exit_code == 2
    assert "no titles" in result.stderr


def test_no_dataset_at_all(tmp_path: Path) -> None:
    result = call("pretrain-embeddings", tmp_path / "dataset")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
