from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.core.data.catalogue import Columns
from prodrec.core.data.drawn import DrawnCatalogue
from prodrec.core.data.options import PrepareOptions
from prodrec.core.data.prepare import prepare


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def dataset(drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("inspected") / "dataset"
    options = PrepareOptions(columns=Columns(attributes=("colour",)), min_leaf_images=2, drop_conflicts=True)
    prepare([drawn.table], images=drawn.photos, out=out, options=options, workers=1)
    return out


def test_leaves_and_samples(dataset: Path) -> None:
    result = run("inspect", dataset, "--leaves", "--samples", "3")
    assert result.exit_code == 0
    assert " / T-Shirts " in result.stdout and "words: " in result.stdout and "colour " in result.stdout


def test_no_dataset(tmp_path: Path) -> None:
    result = run("inspect", tmp_path / "none")
    assert result.exit_code == 2 and result.stderr.startswith("error: ") and "does not exist" in result.stderr
