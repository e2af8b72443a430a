from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.pipeline.prepare import prepare_dataset


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def dataset(drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("inspected") / "dataset"
    options = PrepareOptions(columns=ColumnNames(attributes=("colour",)), min_leaf_images=2, drop_conflicts=True)
    prepare_dataset([drawn.table], images=drawn.photos, out=out, options=options, workers=1)
    return out


def test_leaves_and_samples(dataset: Path) -> None:
    result = run("inspect", dataset, "--leaves", "--samples", "3")
    assert result.exit_code == 0
    assert " / T-Shirts " in result.stdout and "words: " in result.stdout and "colour " in result.stdout


def test_the_leaves_with_the_most_photos_are_listed_if_there_are_many(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = json.loads(run("inspect", dataset, "--leaves", "--json").stdout)
    monkeypatch.setattr("prodrec.cli.inspect.MOST_LEAVES", 3)
    summary = json.loads(run("inspect", dataset, "--leaves", "--json").stdout)
    assert summary["leaves"] == everything["leaves"][:3]
    assert summary["leaves_left_out"] == len(everything["leaves"]) - 3 > 0 == everything["leaves_left_out"]
    assert (
        f"{summary['leaves_left_out']} leaves with fewer training photos are omitted"
        in run("inspect", dataset, "--leaves").stdout
    )


def test_rows_whose_category_path_ends_early(dataset: Path, tmp_path: Path) -> None:
    ragged = Path(shutil.copytree(dataset, tmp_path / "ragged"))
    file = ragged / "arrays" / "labels.npy"
    labels_NL = np.load(file)
    labels_NL[:7, 1:], labels_NL[7:, 1:] = -1, np.maximum(labels_NL[7:, 1:], 0)
    np.save(file, labels_NL)
    result = run("inspect", ragged, "--leaves", "--samples", "999")
    assert result.exit_code == 0 and "\n7 rows have no leaf and are not in this list.\n" in result.stdout
    summary = json.loads(run("inspect", ragged, "--leaves", "--samples", "999", "--json").stdout)
    splits = ("train", "test", "validation")
    assert sum(leaf[split] for leaf in summary["leaves"] for split in splits) == len(labels_NL) - 7
    assert [len(sample["path"]) for sample in summary["samples"]] == [1] * 7 + [3] * (len(labels_NL) - 7)
    np.save(file, np.maximum(labels_NL, 0))
    assert "are not in this list" not in run("inspect", ragged, "--leaves").stdout


def test_the_class_table_is_shown(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("id,title,leaf\n1,,mug\n2,,mug\n3,red,lamp\n", "utf-8")
    (tmp_path / "classes.csv").write_text("leaf,title\nmug,coffee mug\n", "utf-8")
    options = PrepareOptions(inputs="nothing", class_table=str(tmp_path / "classes.csv"), class_titles=True)
    prepare_dataset([tmp_path / "products.csv"], out=tmp_path / "dataset", options=options)
    lines = run("inspect", tmp_path / "dataset", "--leaves").stdout.splitlines()
    assert "class table 1 of 2 leaves have a title, 0 a description (classes.csv)" in lines
    assert next(line for line in lines if line.startswith("mug ")).endswith("  coffee mug")
    summary = json.loads(run("inspect", tmp_path / "dataset", "--leaves", "--json").stdout)
    assert summary["class_table"] == {"table": "classes.csv", "titles": 1, "descriptions": 0}
    assert {leaf["path"][-1]: leaf["title"] for leaf in summary["leaves"]} == {"mug": "coffee mug", "lamp": None}


@pytest.mark.parametrize(
    ("entry", "key", "value"), [("rows", "rejected", ""), ("conflicts", "groups", "many"), ("rows", "by_reason", 3)]
)
def test_damaged_counts(dataset: Path, tmp_path: Path, entry: str, key: str, value: object) -> None:
    copy = shutil.copytree(dataset, tmp_path / "dataset")
    content = json.loads((copy / "dataset.json").read_text("utf-8"))
    content["counts"][entry][key] = value
    (copy / "dataset.json").write_text(json.dumps(content), "utf-8")
    result = run("inspect", copy)
    assert result.exit_code == 2 and result.stdout == "", result.stdout
    assert result.stderr.count("\n") == 1 and "has counts that cannot be read" in result.stderr
    assert result.stderr.endswith("prepare the dataset again.\n")


def test_no_dataset(tmp_path: Path) -> None:
    result = run("inspect", tmp_path / "none")
    assert result.exit_code == 2 and result.stderr.startswith("error: ") and "does not exist" in result.stderr
