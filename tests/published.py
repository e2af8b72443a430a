"""Tiny copies of published datasets for tests of examples/recipes, and what should come of them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from prodrec.core.data.dataset import Dataset, open_dataset

RECIPES = Path(__file__).parents[1] / "examples/recipes"


@dataclass
class Published:
    """A published dataset in the working directory, the recipe that reads it, and what should come of it.

    files:     text, or JSON, of every file
    photos:    the photos to draw
    source:    the argument of the recipe
    paths:     the category paths of the dataset
    splits:    rows of test and of the other splits; None if prepare splits the rows
    titles:    some titles by the name of the photo
    states:    the states of some attributes
    rejected:  the reasons for which rows are rejected
    """

    files: Mapping[str, Any]
    photos: Sequence[str]
    paths: set[tuple[str, ...]]
    splits: tuple[int, int] | None
    source: str = "."
    titles: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rejected: Sequence[str] = ()


def lines(*rows: str) -> str:
    return "".join(f"{row}\n" for row in rows)


def webvision() -> Published:
    photos = [f"google/q000{i % 2 + 1}/-{i} a.jpg" for i in range(8)] + [f"flickr/q0003/{i}.jpg" for i in range(4)]
    meta = [f"google/q000{i % 2 + 1}.json {i // 2 + 1}" for i in range(8)] + [
        f"flickr/q0003.json {i + 1}" for i in range(4)
    ]
    pages = [[{"title": f"Title {i}\n of query {query}", "rank": i} for i in range(4)] for query in range(3)]
    pages[1][3] = {"description": "no title"}
    return Published(
        files={
            "info/synsets.txt": lines("n1 tench, Tinca tinca", "n2 crane", "n3 crane", "n4 unused"),
            "info/train_filelist_all.txt": lines(*(f"{photo} {i % 2}" for i, photo in enumerate(photos[:8])))
            + lines(*(f"{photo} 2" for photo in photos[8:])),
            "info/train_meta_list_all.txt": lines(*meta),
            "info/val_filelist.txt": lines("a.jpg 0", "b.jpg 1", "c.jpg 2"),
            "google/q0001.json": pages[0],
            "google_json/q0002.json": pages[1],
            "flickr_json/q0003.json": pages[2],
        },
        photos=[*photos, *(f"val_images_resized/{name}.jpg" for name in "abc")],
        paths={("tench, Tinca tinca",), ("crane (n2)",), ("crane (n3)",)},
        splits=(3, 12),
        titles={
            photos[2]: "Title 1 of query 0",
            photos[3]: "Title 1 of query 1",
            photos[7]: "",
            photos[11]: "Title 3 of query 2",
        },
    )


def imaterialist() -> Published:
    tree = {"level1_node4": {"level2_node1": {"level3_node1": ["7", "8"]}, "level2_node2": {"level3_node1": ["9"]}}}
    images = [{"id": f"{i:032x}", "url": f"https://a.example/{i}.jpg?x={{1}}", "class": 7 + i % 3} for i in range(12)]
    val = [{"id": f"{i:032x}", "url": f"https://a.example/{i}.jpg", "class": 7 + i % 3} for i in range(12, 15)]
    return Published(
        files={"product_tree.json": tree, "train.json": {"images": images}, "val.json": {"images": val}},
        photos=[f"photos/{i:032x}" for i in range(14)],
        paths={("4", "4.1", "4.1.1", "7"), ("4", "4.1", "4.1.1", "8"), ("4", "4.2", "4.2.1", "9")},
        splits=(2, 12),
        rejected=["missing photo"],
    )


def aliproducts() -> Published:
    train = [{"image_id": f"{i}.jpg", "class_id": f"{i % 2:05}"} for i in range(12)]
    val = [{"image_id": f"{i}.jpg", "class_id": f"{i % 2:05}"} for i in range(12, 15)]
    return Published(
        files={"train.json": {"num_classes": 2, "images": train}, "val.json": {"num_classes": 2, "images": val}},
        photos=[f"train/{i % 2:05}/{i}.jpg" for i in range(12)] + [f"val/{i % 2:05}/{i}.jpg" for i in range(12, 15)],
        paths={("00000",), ("00001",)},
        splits=(3, 12),
    )


def products_10k() -> Published:
    return Published(
        files={
            "train.csv": lines("name,class,group", *(f"{i}.jpg,{i // 4},{i // 8}" for i in range(16))),
            "test_kaggletest.csv": lines("name,class,Usage", *(f"{i}.jpg,{i},Public" for i in range(5))),
        },
        photos=[*(f"train/{i}.jpg" for i in range(16)), *(f"test/{i}.jpg" for i in range(5))],
        paths={(f"{leaf // 2}", f"{leaf}") for leaf in range(4)},
        splits=(4, 16),
        rejected=["no category"],
    )


def grocery() -> Published:
    header = (
        "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Iconic Image Path (str),"
        "Product Description Path (str)"
    )
    classes = [("Granny-Smith", "Apple"), ("Kiwi", "Kiwi"), ("Oatly-Oat-Milk", "Oat-Milk")]
    folders = ["Fruit/Apple/Granny-Smith/", "Fruit/Kiwi/", "Packages/Oat-Milk/Oatly-Oat-Milk/"]
    counts = {"train": 4, "val": 1, "test": 2}
    photos = {
        split: [
            (f"{split}/{folder}{number}_{i:03}.jpg", number)
            for number, folder in enumerate(folders)
            for i in range(count)
        ]
        for split, count in counts.items()
    }
    return Published(
        files={
            "dataset/classes.csv": lines(
                header,
                *(
                    f"{leaf},{i},{coarse},{i},/icons/{leaf}.jpg,/icons/{leaf}.txt"
                    for i, (leaf, coarse) in enumerate(classes)
                ),
            ),
            **{
                f"dataset/{split}.txt": lines(*(f"{photo}, {number}, {number}" for photo, number in listed))
                for split, listed in photos.items()
            },
        },
        photos=[f"dataset/{photo}" for listed in photos.values() for photo, _ in listed],
        source="dataset",
        paths={(("Fruit", "Packages")[leaf == "Oatly-Oat-Milk"], coarse, leaf) for leaf, coarse in classes},
        splits=(6, 15),
    )


def deepfashion() -> Published:
    photos = [f"img/Sheer_{('Blouse', 'Jeans')[i % 2]}_{i // 2}/img_{i:08}.jpg" for i in range(12)]
    marks = ["1 -1 -1 1", "-1 1 0 -1", "1 1 -1 -1"]
    return Published(
        files={
            "Anno_fine/list_attr_cloth.txt": lines(
                "4", "attribute_name  attribute_type", "floral   1", "solid   1", "long sleeve    2", "tight  6"
            ),
            "Anno_fine/list_attr_img.txt": lines(
                "12", "image_name  attribute_labels", *(f"{photo}    {marks[i % 3]}" for i, photo in enumerate(photos))
            ),
            "Anno_coarse/list_category_cloth.txt": lines(
                "2", "category_name  category_type", "Blouse   1", "Jeans   2"
            ),
            "Anno_coarse/list_category_img.txt": lines(
                "13",
                "image_name  category_label",
                *(f"{photo}   {i % 2 + 1}" for i, photo in enumerate(photos)),
                "img/x.jpg 1",
            ),
            "Eval/list_eval_partition.txt": lines(
                "12",
                "image_name  evaluation_status",
                *(
                    f"{photo}   {('train', 'train', 'train', 'val', 'test', 'test')[i // 2]}"
                    for i, photo in enumerate(photos)
                ),
            ),
        },
        photos=[f"Img/{photo}" for photo in photos],
        source="Anno_fine",
        paths={("upper body", "Blouse"), ("lower body", "Jeans")},
        splits=(4, 8),
        titles={photos[0]: "Sheer Blouse 0", photos[3]: "Sheer Jeans 1"},
        states={"texture": ("floral", "solid"), "fit": ("tight",)},
    )


def alisc() -> Published:
    rows = [f"TB{i},{i // 8},{i // 4},{('7:1;10:4', '7:2;7:9', '')[i % 3]}" for i in range(16)]
    return Published(
        files={"labels/train_label.txt": lines("imgid,cid,subcid,pid:vid", *rows)},
        photos=[f"photos/TB{i}.jpg" for i in range(16)],
        source="labels/train_label.txt",
        paths={(f"{leaf // 2}", f"{leaf}") for leaf in range(4)},
        splits=None,
        states={"attribute_7": ("1", "2"), "attribute_10": ("4",)},
    )


def custom_vision() -> Published:
    def image(i: int) -> dict[str, Any]:
        tags = [("boot", "boot, red")[i % 2], *(["sale"] if i % 3 == 0 else [])]
        return {
            "id": f"4d6eb844-{i:04}",
            "created": "2017-12-19T15:56:10Z",
            "originalImageUri": f"https://store.example/i-1/o-{i}?sv=2017&sig=a%2Bb",
            "tags": [{"tagId": "b607", "tagName": tag} for tag in tags],
            "regions": [],
        }

    return Published(
        files={"pages/0.json": [image(i) for i in range(8)], "pages/256.json": [image(i) for i in range(7, 12)]},
        photos=[f"photos/4d6eb844-{i:04}" for i in range(12)],
        source="pages",
        paths={("boot",), ("boot, red",)},
        splits=None,
    )


PUBLISHED = {
    function.__name__: function
    for function in (webvision, imaterialist, aliproducts, products_10k, grocery, deepfashion, alisc, custom_vision)
}


@dataclass
class Recipes:
    """Writes published files into the working directory, and runs recipes as commands."""

    folder: Path
    prodrec: Callable[[str], Result]
    printed: Callable[[], str]

    def write(self, published: Published) -> None:
        for name, content in published.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        for number, name in enumerate(published.photos):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            patches = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(patches).resize((40, 30), Image.Resampling.BICUBIC).save(path, "JPEG")

    def run(self, name: str, *arguments: str) -> str:
        """Run a recipe that succeeds, and return what it printed, on one line."""
        importlib.import_module(name).main(arguments)
        return " ".join(self.printed().split())

    def error(self, name: str, *arguments: str) -> str:
        """Run a recipe that fails for a reason that the user can correct, and return its error."""
        with pytest.raises(SystemExit) as raised:
            importlib.import_module(name).main(arguments)
        assert raised.value.code == 2
        return " ".join(self.printed().split())

    def prepare(self, line: str) -> Dataset:
        result = self.prodrec(f"{line} --workers 1")
        assert result.exit_code == 0, f"{line}: {result.output}{result.exception!r}"
        return open_dataset(self.folder / "dataset-of-recipe" if "--out" in line else self.folder / "dataset")
