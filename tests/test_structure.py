"""Paper S from the shell: every family, one network a level, both papers in one, and what is made of their scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from prodrec.core.data.dataset import open_dataset
from prodrec.core.scores.reader import open_scores
from prodrec.core.training.run import open_run
from prodrec.demo.catalogue import draw_catalogue

FAMILIES = ("bcnn", "sscnn", "bmtl-rl", "bmtl-ca", "ssmtl-rl", "ssmtl-ca")
ALL_TASKS = {"root", "leaf", "colour", "pattern", "material"}
TASKS = {
    "bcnn": {"leaf"},
    "sscnn": {"leaf"},
    "bmtl-rl": {"root", "leaf"},
    "ssmtl-rl": {"root", "leaf"},
    "bmtl-ca": {"leaf", "colour", "pattern", "material"},
    "ssmtl-ca": {"leaf", "colour", "pattern", "material"},
    "both": ALL_TASKS,
    "roots": {"root"},
    "colours": {"leaf", "colour"},
}
BOTH = " --set heads=root,leaf,attributes --set head_weights=root:0.3 --set attribute_weights=colour:0.5"
LINES = (
    "prodrec prepare products.csv --images photos/ --attributes colour,pattern,material",
    *(f"prodrec train {family} --set backbone=squeezenet1_1 --workers 0" for family in FAMILIES),
    "prodrec train ssmtl-ca --out runs/both --workers 0 --set attention_at=features.7 --set titles=bilinear" + BOTH,
    "prodrec train bcnn --out runs/roots --set heads=root --workers 0",
    "prodrec train ssmtl-ca --out runs/colours --set attributes=colour --workers 0",
    "prodrec score --workers 0",
    "prodrec refine-mcr scores/bcnn.h5 scores/roots.h5 --out scores/bcnn-mcr.h5",
    "prodrec refine-mcr scores/both.h5",
    "prodrec report --by-attribute --hierarchy --by-level --by-root",
)


def done(result: Result) -> str:
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.stdout


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory, small_families: Any, prodrec: Callable[[str], Result]
) -> Iterator[dict[str, str]]:
    """What every line printed, in the folder where they were run."""
    folder = tmp_path_factory.mktemp("structure")
    draw_catalogue(folder, products=72, leaves=6, size=32, dirt=False)
    with small_families(folder):
        yield {line: done(prodrec(line)) for line in LINES}


def test_every_family_scores_its_tasks(shop: dict[str, str]) -> None:
    for name, tasks in TASKS.items():
        with open_scores(Path(f"scores/{name}.h5")) as scores:
            assert {*scores.scored_levels, *scores.scored_attributes} == tasks, name
            assert all(np.isfinite(chunk.scores[level]).all() for chunk in scores.chunks() for level in chunk.scores)


def test_the_history_tells_every_task(shop: dict[str, str]) -> None:
    columns = Path("runs/both/history.csv").read_text("utf-8").splitlines()[0].split(",")
    named = {"level root", "attribute colour", "attribute pattern", "attribute material"}
    assert {f"loss_{name}" for name in {"visual", "mixed", *named}} <= set(columns)
    assert {"validation_top1", "validation_macc", *(f"validation_top1 {name}" for name in named)} <= set(columns)
    assert "validation_top1 level root" not in Path("runs/roots/history.csv").read_text("utf-8")  # its only task leads


def test_a_run_holds_what_was_set(shop: dict[str, str]) -> None:
    network = open_run(Path("runs/both")).recipe["network"]
    assert network["head_weights"] == {"root": 0.3} and network["attribute_weights"]["colour"] == 0.5
    weights = open_run(Path("runs/both")).weights()
    assert weights["attention.template_HW"].shape == (3, 3) and "heads.level:root.classifier.weight" in weights
    states = [len(attribute.states) for attribute in open_dataset(Path("dataset")).attributes]
    assert weights["attribute_head.together.0.weight"].shape[0] == sum(states)


def test_attributes_are_reported_by_branch(shop: dict[str, str], prodrec: Callable[[str], Result]) -> None:
    found = json.loads(done(prodrec("prodrec report --by-attribute --json --top 1")))
    data = open_dataset(Path("dataset"))
    with open_scores(Path("scores/ssmtl-ca.h5")) as scores:
        chunks = list(scores.chunks("test", attribute_scores=True, attributes=True))
    for column, attribute in enumerate(data.attributes):
        truth = np.concatenate([chunk.attributes_RA[:, column] for chunk in chunks])
        best = np.concatenate([chunk.attribute_scores[attribute.name].argmax(axis=1) + 1 for chunk in chunks])
        (row,) = [row for row in found["rows"] if (row["group"], row["metric"]) == (attribute.name, "ACC-branA")]
        cells = row["cells"]
        assert cells["ssmtl-ca"]["value"] == pytest.approx(100 * (best == truth)[truth > 0].mean(), abs=1e-3)
        assert cells["bcnn"] is None and (cells["colours"] is None) == (attribute.name != "colour")


def test_scores_of_two_runs_are_refined_together(shop: dict[str, str]) -> None:
    with open_scores(Path("scores/bcnn-mcr.h5")) as refined, open_scores(Path("scores/bcnn.h5")) as raw:
        assert refined.scored_levels == ("root", "leaf") and refined.n == raw.n
        assert refined.origin.family == "bcnn-mcr" and refined.taxonomy.difference(raw.taxonomy) is None
    with open_scores(Path("scores/both-mcr.h5")) as refined:
        assert set(refined.scored_attributes) == ALL_TASKS - {"root", "leaf"}


def test_the_report_has_every_run(shop: dict[str, str]) -> None:
    shown = shop[LINES[-1]]
    for name in (*TASKS, "bcnn-mcr", "both-mcr"):
        assert name in shown, name
    assert "ACC-branA" in shown and "n/a" in shown


def test_photos_are_explained_and_shown(shop: dict[str, str], prodrec: Callable[[str], Result]) -> None:
    photo = sorted(Path("photos").iterdir())[0]
    told = json.loads(done(prodrec(f"prodrec explain both {photo} --saliency --title 'red shirt' --json")))
    (answer,) = told["photos"]
    assert list(answer["levels"]) == ["root", "leaf"] and list(answer["attributes"]) == [
        "colour",
        "pattern",
        "material",
    ]
    assert np.shape(answer["saliency"]["weights"]) == (3, 3) and [word["word"] for word in answer["words"]] == [
        "red",
        "shirt",
    ]
    done(prodrec("prodrec gallery scores/both-mcr.h5 dataset --out gallery.png"))
    assert Path("gallery.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("prodrec train bcnn --out runs/x --set heads=brand", "no level 'brand'"),
        ("prodrec train ssmtl-ca --out runs/x --set attributes=size", "'size' is no attribute of this dataset"),
        ("prodrec train bcnn --out runs/x --set attention_at=features.3", "set attention=spatial too"),
        (
            "prodrec train sscnn --out runs/x --set attention_at=layer1",
            "attention_at=layer1 is not a stage of backbone",
        ),
        ("prodrec train bmtl-ca --out runs/x --set attribute_weights=colour", "expected name:number"),
    ],
)
def test_settings_that_do_not_fit(
    shop: dict[str, str], prodrec: Callable[[str], Result], line: str, message: str
) -> None:
    result = prodrec(line)
    assert result.exit_code == 2 and message in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not Path("runs/x").exists()
