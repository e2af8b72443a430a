"""Training on from an earlier run, on a dataset with other classes: `weights=RUN`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from prodrec.core.base.errors import BadArtefact
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.training.run import Run, open_run
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.models.families import make_recipe
from prodrec.pipeline.build_train_state import build_train_state
from prodrec.pipeline.classifier_start import start_classifiers
from prodrec.pipeline.prepare import prepare_dataset
from prodrec.pipeline.train import train_recipe

from .conftest import SETTINGS


@pytest.fixture(scope="module")
def grown(trained: Path, drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The catalogue of `trained` with one leaf renamed, which changes the numbers of the others."""
    folder = tmp_path_factory.mktemp("grown")
    leaf = open_dataset(trained / "dataset").taxonomy.leaves[0]
    table = folder / "products.csv"
    table.write_text(drawn.table.read_text("utf-8").replace(leaf, "Zzz"), "utf-8")
    prepare_dataset([table], images=drawn.photos, out=folder / "dataset")
    return open_dataset(folder / "dataset")


def start(data: Dataset, run: Path, family: str = "visual", **settings: str) -> Any:
    recipe = make_recipe(family, {**SETTINGS, "weights": str(run), **settings})
    state = build_train_state(recipe, data, None, "cpu")
    start_classifiers(state, recipe, data, workers=0)
    return state


def rows_by_path(network: Any, level: str, taxonomy: Any) -> dict[Any, Any]:
    (head,) = (head for head in network.level_heads if head.level == level)
    weight, bias = head.classifier.weight.detach(), head.classifier.bias.detach()
    return {taxonomy.path(c, level): (weight[c], bias[c]) for c in range(len(weight))}


def saved_rows(run: Run, level: str) -> dict[Any, Any]:
    prefix, weights = f"heads.level:{level}.classifier.", run.weights()
    weight, bias = weights[f"{prefix}weight"], weights[f"{prefix}bias"]
    return {run.taxonomy.path(c, level): (weight[c], bias[c]) for c in range(len(weight))}


@pytest.mark.parametrize("classifier_start", ["random", "class-means"])
def test_known_classes_keep_their_rows(
    trained: Path, grown: Dataset, capsys: pytest.CaptureFixture[str], classifier_start: str
) -> None:
    run = open_run(trained / "runs/visual")
    state = start(grown, run.path, ema="0.9", classifier_start=classifier_start)
    known = 0
    for network in (state.network, state.average.module):
        for level in ("root", "leaf"):
            own, saved = rows_by_path(network, level, grown.taxonomy), saved_rows(run, level)
            assert level == "leaf" or own.keys() == saved.keys()
            for path in own.keys() & saved.keys():
                assert torch.equal(own[path][0], saved[path][0]) and torch.equal(own[path][1], saved[path][1])
                known += 1
            for path in own.keys() - saved.keys():
                assert path[-1] == "Zzz" and not any(torch.equal(own[path][0], row) for row, _ in saved.values())
    classes = len(run.taxonomy.names[0]) + len(run.taxonomy.leaves) - 1
    assert known == 2 * classes
    expected = f"{len(run.taxonomy.leaves) - 1} of {len(run.taxonomy.leaves)} classes of level leaf start from those of"
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("setting", [{"classifier_form": "cosine"}, {"embed": "16"}])
def test_other_layers_before_the_classes_are_learnt_anew(
    trained: Path, grown: Dataset, capsys: pytest.CaptureFixture[str], setting: dict[str, str]
) -> None:
    run = open_run(trained / "runs/visual")
    network = start(grown, run.path, **setting).network
    own, saved = rows_by_path(network, "leaf", grown.taxonomy), saved_rows(run, "leaf")
    assert not any(own[path][0].equal(saved[path][0]) for path in own.keys() & saved.keys())
    assert "0 of" in capsys.readouterr().err
    backbone = [key for key in network.state_dict() if key.startswith("backbone.") and "num_batches" not in key]
    assert all(torch.equal(network.state_dict()[key], run.weights()[key]) for key in backbone)


def test_an_unfinished_run_is_refused(trained: Path, grown: Dataset, tmp_path: Path) -> None:
    shutil.copytree(trained / "runs/visual", tmp_path / "visual")
    header = tmp_path / "visual" / "run.json"
    header.write_text(header.read_text("utf-8").replace('"finished"', '"training"'), "utf-8")
    with pytest.raises(BadArtefact, match="is not finished"):
        start(grown, tmp_path / "visual")


def test_layers_before_the_classes_go_on_too(trained: Path, grown: Dataset, tmp_path: Path) -> None:
    settings = {"embed": "8", "embed_hidden": "8", "lr": "1e-9", "epochs": "1"}
    recipe = make_recipe("visual", {**SETTINGS, **settings, "weights": str(trained / "runs/visual")})
    finished = train_recipe(recipe, dataset=trained / "dataset", out=tmp_path / "run", workers=0)
    network, saved = start(grown, finished.path, **settings).network, finished.weights()
    assert len(list(network.embed.parameters())) == 4
    assert all(torch.equal(value, saved[f"embed.{key}"]) for key, value in network.embed.state_dict().items())
    own, of_run = rows_by_path(network, "leaf", grown.taxonomy), saved_rows(finished, "leaf")
    assert all(own[path][0].equal(of_run[path][0]) for path in own.keys() & of_run.keys())
