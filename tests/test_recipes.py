"""examples/recipes: each recipe on a tiny copy of the published layout, through the command that it prints."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import Result

from prodrec.core.data.dataset import Dataset

from .published import (
    PUBLISHED,
    RECIPES,
    Published,
    Recipes,
    aliproducts,
    custom_vision,
    deepfashion,
    grocery,
    lines,
    webvision,
)

NAMES = sorted(path.stem for path in RECIPES.glob("*.py") if path.stem not in {"recipe", "addresses"})


@pytest.fixture
def recipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prodrec: Callable[[str], Result], capfd: pytest.CaptureFixture[str]
) -> Recipes:
    monkeypatch.syspath_prepend(RECIPES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("prodrec.core.data.prepare.write.plot_long_tail", lambda *_, **__: None)
    return Recipes(tmp_path, prodrec, lambda: capfd.readouterr().err)


def paths_of(dataset: Dataset) -> set[tuple[str, ...]]:
    return {
        tuple(names[code] for names, code in zip(dataset.taxonomy.names, row, strict=True) if code >= 0)
        for row in dataset.labels_NL.tolist()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_published_layout_becomes_a_dataset(recipes: Recipes, name: str) -> None:
    published = PUBLISHED[name]()
    recipes.write(published)
    printed = recipes.run(name, published.source)
    next_line = re.search(r"next: (prodrec prepare .*)$", printed)
    assert next_line, printed
    dataset = recipes.prepare(f"{next_line[1]} --out dataset-of-recipe")
    assert paths_of(dataset) == published.paths
    rejected = pl.read_csv("dataset-of-recipe/rejected.csv")
    assert rejected["reason"].to_list() == list(published.rejected)
    if published.splits is not None:
        assert (len(dataset.rows("test")), len(dataset) - len(dataset.rows("test"))) == published.splits
    table = pl.read_csv("products.csv", infer_schema=False)
    assert len(table) == len(dataset) + len(rejected)
    titles = dict(zip(table["image"], table["title"], strict=True)) if "title" in table.columns else {}
    for photo, title in published.titles.items():
        assert (titles[photo] or "") == title
    states = {attribute.name: attribute.states for attribute in dataset.attributes}
    assert {attribute: tuple(sorted(states[attribute])) for attribute in published.states} == published.states


def test_one_training_photo_of_twenty_validates_always_the_same(recipes: Recipes) -> None:
    split = importlib.import_module("recipe").train_or_validation
    names = [f"google/q0001/{i}.jpg" for i in range(10_000)]
    splits = [split(name) for name in names]
    assert set(splits) == {"train", "validation"} and 400 < splits.count("validation") < 600
    assert splits == [split(name) for name in names]


def test_deepfashion_keeps_further_attributes_and_the_validation_split(recipes: Recipes) -> None:
    recipes.write(deepfashion())
    recipes.run("deepfashion", "Anno_fine")
    table = pl.read_csv("products.csv", infer_schema=False)
    assert table["texture"].to_list()[:3] == ["floral", "solid", "floral"]
    assert table["further_attributes"].to_list()[:3] == [None, None, "solid"]
    assert table["fit"].to_list()[:3] == ["tight", None, None] and table["sleeve"].null_count() == 12
    assert table["split"].to_list() == ["train"] * 6 + ["validation"] * 2 + ["test"] * 4


def test_grocery_keeps_the_published_split(recipes: Recipes) -> None:
    recipes.write(grocery())
    recipes.run("grocery", "dataset")
    splits = pl.read_csv("products.csv")["split"].value_counts().rows()
    assert dict(splits) == {"train": 12, "validation": 3, "test": 6}


def test_custom_vision_keeps_further_tags(recipes: Recipes) -> None:
    recipes.write(custom_vision())
    recipes.run("custom_vision", "pages")
    table = pl.read_csv("products.csv")
    assert table["further_tags"].to_list()[:4] == ["sale", None, None, "sale"]
    assert table["url"][0] == "https://store.example/i-1/o-0?sv=2017&sig=a%2Bb"


def test_webvision_without_meta_information_has_no_titles(recipes: Recipes) -> None:
    recipes.write(webvision())
    Path("info/train_meta_list_all.txt").unlink()
    assert "train_meta_list_all.txt does not exist, so the table has no titles" in recipes.run("webvision", ".")
    assert pl.read_csv("products.csv", infer_schema=False)["title"].null_count() == 15


def test_titles_are_no_formulas(recipes: Recipes) -> None:
    recipes.write(webvision())
    Path("google/q0001.json").write_text(json.dumps([{"title": "=1+1"}] * 4), "utf-8")
    recipes.run("webvision", ".")
    table = pl.read_csv("products.csv", infer_schema=False)
    assert table["title"][0] == "'=1+1" and table["image"][0] == "google/q0001/-0 a.jpg"


PHOTO = "img/Sheer_Blouse_0/img_00000000.jpg"
WRONG: dict[str, tuple[str, str, Any, str]] = {  # recipe, file, its content (None: removed), error
    "no folder": ("webvision", "info", None, "info does not exist; expected the folder of WebVision with info/"),
    "no list": ("webvision", "info/val_filelist.txt", None, "info/val_filelist.txt does not exist; expected a publ"),
    "short line": ("webvision", "info/val_filelist.txt", "a.jpg", "info/val_filelist.txt, line 1 has 1 fields; expec"),
    "class": ("webvision", "info/val_filelist.txt", "a.jpg 9", "contains the class '9'; expected a number below 4"),
    "fewer": (
        "webvision",
        "info/train_meta_list_all.txt",
        "google/q0001.json 1",
        "fewer lines than train_filelist_all",
    ),
    "more": (
        "webvision",
        "info/train_filelist_all.txt",
        "google/q0001/-0 a.jpg 0",
        "more lines than train_filelist_all",
    ),
    "number": ("webvision", "info/train_meta_list_all.txt", "google/q0001.json 5", "expected a number from 1 to 4"),
    "no meta": ("webvision", "google/q0001.json", None, "google_json/q0001.json does not exist; expected meta info"),
    "meta": ("webvision", "google/q0001.json", "{", "google/q0001.json is not JSON"),
    "no array": ("webvision", "google/q0001.json", {}, "google/q0001.json contains no array"),
    "tree": ("imaterialist", "product_tree.json", {"a": ["1"]}, "product_tree.json is no tree of 4 levels"),
    "deep tree": ("imaterialist", "product_tree.json", {"a": {"b": {"c": {"d": []}}}}, "is no tree of 4 levels"),
    "tree text": ("imaterialist", "product_tree.json", "x", "product_tree.json is not JSON"),
    "leaf": ("imaterialist", "val.json", {"images": [{"id": "x", "url": "y", "class": 5}]}, "contains the class '5'"),
    "column": ("products_10k", "train.csv", "name,group\n1.jpg,2\n", "train.csv has no column 'class' (as published)"),
    "no json": ("aliproducts", "train.json", None, "train.json does not exist; expected the folder of AliProducts"),
    "grocery": ("grocery", "dataset/val.txt", "a.jpg, 9, 0", "dataset/val.txt contains `a.jpg, 9`; expected a photo"),
    "type": ("deepfashion", "Anno_fine/list_attr_cloth.txt", "1\nx y\nred 8\n", "contains the type '8'; expected 1 to"),
    "status": ("deepfashion", "Eval/list_eval_partition.txt", f"0\nx y\n{PHOTO} all\n", "has the status 'all' for img"),
    "no status": ("deepfashion", "Eval/list_eval_partition.txt", "0\nx y\n", "has the status None for img/Sheer"),
    "fields": ("alisc", "labels/train_label.txt", "TB1,2\n", "train_label.txt, line 1 has 2 fields; expected imgid"),
    "page": ("custom_vision", "pages/0.json", "<", "pages/0.json is not JSON"),
    "answer": ("custom_vision", "pages/0.json", {"code": "BadRequest"}, "pages/0.json contains no array"),
    "image": ("custom_vision", "pages/0.json", [{"id": "1"}], "contains an image without 'originalImageUri'"),
    "detection": (
        "custom_vision",
        "pages/0.json",
        [{"id": "1", "originalImageUri": "https://a.example", "regions": [{"left": 0.1}]}],
        "pages/0.json contains photos with regions; expected a classification project",
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_layout_is_one_sentence_and_leaves_no_table(recipes: Recipes, wrong: tuple[str, str, Any, str]) -> None:
    name, file, content, expected = wrong
    published = PUBLISHED[name]()
    recipes.write(replace(published, photos=()))
    path = Path(file)
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    error = recipes.error(name, published.source)
    assert error.startswith("error: ") and expected in error, error
    assert not list(Path().glob("*products.csv*"))


def test_folders_without_lists_are_refused(recipes: Recipes) -> None:
    Path("empty").mkdir()
    assert "empty is a folder; expected the list in it" in recipes.error("alisc", "empty")
    assert "empty contains no .json file" in recipes.error("custom_vision", "empty")


def test_a_table_is_replaced_with_force_alone(recipes: Recipes) -> None:
    recipes.write(replace(aliproducts(), photos=()))
    Path("products.csv").write_text("mine")
    assert "add --force to replace it" in recipes.error("aliproducts", ".")
    assert Path("products.csv").read_text() == "mine"
    recipes.run("aliproducts", ".", "--force")
    assert pl.read_csv("products.csv").height == 15


def test_addresses_are_a_configuration_of_curl(recipes: Recipes) -> None:
    rows = [
        ("a b", 'https://a.example/{1}/"x\\y"?z=[2]'),
        ("../../b.jpg", "http://a.example/b"),
        ("c\noutput = d", "https://a.example/c"),
        ("e", "file:///etc/passwd"),
        ("f", 'https://a.example/f"\noutput = "/etc/x'),
        ("..", "https://a.example/g"),
        ("h", None),
    ]
    pl.DataFrame(rows, schema=["image", "url"], orient="row").write_csv("products.csv")
    assert "wrote addresses.txt: 3 addresses; 4 rows have none" in recipes.run("addresses", "products.csv")
    assert Path("addresses.txt").read_text("utf-8").splitlines() == [
        "globoff",
        "fail",
        'url = "https://a.example/{1}/\\"x\\\\y\\"?z=[2]"',
        'output = "a b"',
        'url = "http://a.example/b"',
        'output = "b.jpg"',
        'url = "https://a.example/c"',
        'output = "coutput = d"',
    ]
    assert "addresses.txt exists already" in recipes.error("addresses", "products.csv")
    assert "gone.csv does not exist" in recipes.error("addresses", "gone.csv", "--out", "other.txt")


def test_styles_of_kaggle_need_no_recipe(recipes: Recipes) -> None:
    """The commands of the README: one reads the table, another one quotes the titles with commas first."""
    readme = (RECIPES / "README.md").read_text("utf-8")
    prepare, sed = (
        re.search(rf"^{start} .*$", readme, re.MULTILINE) for start in ("prodrec prepare styles.csv", "sed")
    )
    assert prepare and sed
    kinds = [
        "Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011.0,Casual",
        "Women,Footwear,Shoes,Heels,Red,Fall,2012,Formal",
    ]
    header = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
    rows = [f"{i},{kinds[i % 2]},Turtle Check {i}" for i in range(11)]
    text = lines(header, *rows, f'11,{kinds[1]},"Quoted, title"', f"12,{kinds[0]},Shirt, with, commas")
    recipes.write(Published({"styles.csv": text}, [f"images/{i}.jpg" for i in range(13)], set(), None))
    dataset = recipes.prepare(prepare[0])
    assert len(dataset) == 12 and pl.read_csv("dataset/rejected.csv")["reason"].to_list() == ["malformed row"]
    subprocess.run(sed[0], shell=True, check=True)
    dataset = recipes.prepare(f"{prepare[0].replace('styles.csv', 'products.csv')} --force")
    assert len(dataset) == 13 and pl.read_csv("dataset/rejected.csv").is_empty()
    assert dataset.products()["title"].to_list()[-3:] == ["Turtle Check 10", "Quoted, title", "Shirt, with, commas"]


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_has_the_commands_from_the_download_to_the_report(recipes: Recipes, name: str) -> None:
    published = PUBLISHED[name]()
    recipes.write(replace(published, photos=()))
    printed = recipes.run(name, published.source)
    doc = " ".join((importlib.import_module(name).__doc__ or "").replace("\\\n", "").split())
    assert f"python …/examples/recipes/{name}.py " in doc and " && prodrec score && prodrec report" in doc
    prepare = re.search(r"prodrec prepare products.csv (.*?) prodrec train", doc)
    assert prepare, doc
    for option in ("--images", "--split-column split", "--in-place"):
        assert (option in printed) == (option in prepare[1]), (option, printed, prepare[1])
    assert f"({name}.py)" in (RECIPES / "README.md").read_text("utf-8")
