"""`prodrec index` from building to removing, of a run with titles; and mistakes, which are one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.core.base.lock import lock_directory
from prodrec.core.data.dataset import open_dataset
from prodrec.index.product_index import ProductIndex
from prodrec.pipeline.load import load
from tests.conftest import Journey

Call = Callable[..., Result]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def json_of(*arguments: object) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def built(journey: Journey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder of the journey with index/. Read only."""
    place = tmp_path_factory.mktemp("built") / "shop"
    shutil.copytree(journey.folder, place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        result = call("index", "build", "sicot", "--workers", 0)
    assert result.exit_code == 0, result.output
    assert "index: " in result.stdout and "next: `prodrec predict index PHOTO`" in result.stdout
    return place


@pytest.fixture
def shop(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory: a copy of `built`."""
    shutil.copytree(built, tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    yield tmp_path / "shop"


def test_words_find_products(built: Path) -> None:
    title = ProductIndex.open(built / "index").frame("title")["title"][0]
    found = json_of("index", "search", built / "index", *title.split(), "--top", 1)
    assert found["words"] == title and [one["title"] for one in found["products"]] == [title]
    line = call("index", "search", built / "index", title).stdout.splitlines()[0]
    assert found["products"][0]["sku"] in line and title in line
    result = call("index", "search", built / "index", "?")
    assert result.exit_code == 2 and "has no word; give words of titles" in result.stderr


def test_tags_are_states_and_the_words_that_the_titles_weigh_highest(built: Path) -> None:
    index, data = ProductIndex.open(built / "index"), open_dataset(built / "dataset")
    recogniser = load(built / "runs/sicot")
    for row in range(0, len(data), 17):
        sku, title = data.ids()[row], data.products()["title"][row]
        product = index.product(sku)
        assert product is not None and title
        words = recogniser.predict(data.photos.read(row), titles=title)[0].words  # type: ignore[union-attr]
        weights: dict[str, float] = {}
        for word in words or ():
            if word.weight is not None:
                weights[word.word] = max(word.weight, weights.get(word.word, 0))
        best = sorted(weights, key=lambda word: -weights[word])
        from_title = [tag for tag in product.tags if tag in weights]
        states = {tag.casefold() for tag in product.tags if tag not in from_title}
        assert from_title == [word for word in best if word.casefold() not in states][: len(from_title)]
        assert len(from_title) == min(3, len([word for word in best if word.casefold() not in states]))


def test_info_and_check(shop: Path) -> None:
    data = open_dataset(Path("dataset"))
    info = json_of("index", "info", "index")
    assert info["photos"] == len(data) and info["products"] == data.product_count and info["without_category"] == 0
    assert info["run"] == {"name": "sicot", "path": "runs/sicot"} and info["search"]["probes"] == 0
    assert info["bytes"] > 10_000 and info["dataset_fingerprint"] == data.fingerprint
    shown = call("index", "info", "index").stdout
    assert f"index: {data.product_count} products" in shown and "both, natural:" in shown and "MB in" in shown
    assert json_of("index", "check", "index") == {"index": "index", "photos": len(data), "problems": []}
    shutil.move("runs/sicot", "elsewhere")
    assert json_of("index", "info", "index")["run"]["path"] is None
    assert "run: sicot;" in call("index", "info", "index").stdout
    assert call("index", "check", "index").exit_code == 2
    assert json_of("index", "check", "index", "--run", "elsewhere")["problems"] == []


def test_update_predict_and_remove(shop: Path) -> None:
    photo = next(path for path in sorted(Path("photos").iterdir()) if path.suffix == ".jpg")
    Path("new.csv").write_text(f"id,image,title,root,middle,leaf\nNEW,{photo.name},red hat,Hats,Sun,Straw\n", "utf-8")
    updated = json_of("index", "update", "index", "new.csv", "--images", "photos")
    assert (updated["added"], updated["changed"], updated["rejected"]) == (1, 0, 0) and updated["seconds"] > 0
    shown = call("predict", "index", photo, "--products", 2).stdout.splitlines()
    assert shown[0].startswith(f"{photo}: ") and len(shown) == 3
    assert "  1.000 NEW red hat (Hats / Sun / Straw)" in shown
    answer = json_of("predict", "index", photo, "--by", "products")
    assert {"NEW"} <= {product["sku"] for product in answer["products"]} and len(answer["products"]) == 5
    Path("gone.txt").write_text("NEW\nnone\n", "utf-8")
    result = call("index", "update", "index", "--remove", "gone.txt")
    assert result.exit_code == 0 and "0 added, 0 changed, 1 removed" in result.stdout
    assert "the index has no none, which cannot be removed" in result.stderr
    assert "NEW" not in call("predict", "index", photo).stdout


def test_scores_and_their_report(shop: Path) -> None:
    scored = json_of("score", "sicot", "--with-index", "index", "--by", "products", "--split", "test", "--workers", 0)
    (natural, balanced) = [Path(entry["scores"]) for entry in scored["scored"]]
    assert natural.name == "sicot-with-index-by-products.h5" and balanced.name.startswith("sicot@balanced")
    report = call("report", natural, balanced)
    assert report.exit_code == 0 and "ACC top-1" in report.stdout, report.output


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("index build sicot", "index exists already; add --force to replace it"),
        ("index build sicot --out runs/sicot --force", "is not a prodrec index"),
        ("index build none --out new", "none does not exist"),
        ("index build sicot --out new --search fast", "--search fast: expected auto, exact, approximate"),
        ("index update index", "give a table of products, or --remove"),
        ("index update index none.csv", "none.csv does not exist"),
        ("index update index products.csv --images photos --id number", "has no column 'number'"),
        ("index update dataset products.csv", "dataset is not a prodrec index: it has no index.json"),
        ("index info runs/sicot", "runs/sicot is not a prodrec index: it has no index.json"),
        ("predict index photos --by words", "--by words: expected classes, products or both"),
        ("predict sicot photos --by both", "make one with `prodrec index build`"),
        ("serve sicot --by both", "make one with `prodrec index build`"),
        ("serve index --operating-point best", "--operating-point best: expected natural or balanced"),
    ],
)
def test_mistakes(line: str, message: str, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built)
    result = call(*line.split())
    assert result.exit_code == 2 and message in result.stderr and "Traceback" not in result.stderr, result.output
    assert result.stderr.count("error: ") == 1 and not Path("new").exists()


def test_a_second_writer_is_refused(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built)
    with lock_directory(Path("index"), "changed"):
        for line in ("index update index --remove x", "index build sicot --force"):
            result = call(*line.split())
            assert result.exit_code == 2 and "index is being changed by process" in result.stderr


def test_a_damaged_index(shop: Path) -> None:
    """The remedy that the message names makes a sound one."""
    shutil.rmtree("index/products.lance/data")
    result = call("index", "check", "index")
    assert result.exit_code == 2 and "make it again with `prodrec index build runs/sicot --out index --force`" in (
        result.stderr
    ), result.output
    assert call("index", "build", "runs/sicot", "--out", "index", "--force", "--workers", 0).exit_code == 0
    assert json_of("index", "check", "index")["problems"] == []
