"""A small shop, drawn by each test: photos and a table of products. And a trained run, for tests of what follows."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import Result

from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.models.families import make_recipe
from prodrec.pipeline.index_build import build_index
from prodrec.pipeline.prepare import prepare_dataset
from prodrec.pipeline.train import train_recipe

SETTINGS = {"backbone": "squeezenet1_1", "weights": "none", "image_size": "32", "heads": "root,leaf", "lr": "0.001"}
SETTINGS |= {"epochs": "4", "batch_size": "16", "optimizer": "adamw", "precision": "fp32", "logit_adjustment": "0.5"}


@pytest.fixture(scope="session")
def trained(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dataset/, the drawn catalogue, and runs/visual, trained with SETTINGS. Read only."""
    place = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    shutil.copytree(drawn_dataset, place / "dataset")
    train_recipe(make_recipe("visual", SETTINGS), dataset=place / "dataset", out=place / "runs/visual", workers=0)
    return place


@pytest.fixture(scope="session")
def indexed(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with those of `trained`, and index/, the products of all splits. Read only."""
    place = tmp_path_factory.mktemp("indexed") / "place"
    shutil.copytree(trained, place)
    build_index(place / "runs/visual", place / "dataset", out=place / "index", workers=0)
    return place


@pytest.fixture
def folder(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a copy of `place`, which a test module defines."""
    shutil.copytree(place, tmp_path / "folder")
    monkeypatch.chdir(tmp_path / "folder")
    return tmp_path / "folder"


@dataclass
class Shop:
    """Draws photos and writes tables in `directory`; `prepare` makes a dataset of them."""

    directory: Path

    @property
    def photos(self) -> Path:
        return self.directory / "photos"

    def picture(self, seed: int, *, size: tuple[int, int] = (40, 30)) -> Image.Image:
        """Return a patchwork that is different for every seed."""
        patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)

    def photo(self, name: str, seed: int | None = None, **options: Any) -> str:
        """Save the picture of `seed` as `name`, and return `name`. Without a seed, the name is the seed."""
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        number = seed if seed is not None else int.from_bytes(name.encode(), "big")
        self.picture(number, **options).save(path)
        return name

    def table(self, rows: Sequence[Mapping[str, str]], name: str = "products.csv") -> Path:
        """Write a CSV table whose columns are the keys of the first row."""
        path = self.directory / name
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    def products(self, leaves: Mapping[str, int], **more: str) -> list[dict[str, str]]:
        """Draw photos of some products of every leaf and return their rows. A leaf may be a path, as `Tops/Shirts`."""
        rows: list[dict[str, str]] = []
        for path, count in leaves.items():
            for i in range(count):
                number = str(len(rows))
                root, _, leaf = path.rpartition("/")
                levels = {"root": root, "leaf": leaf} if root else {"leaf": leaf}
                title = f"{leaf} item{i % 3} shop"
                rows.append({"id": number, "image": self.photo(f"{number}.png"), "title": title, **levels, **more})
        return rows

    def prepare(
        self, *tables: Path, out: str = "dataset", columns: ColumnNames | None = None, **options: Any
    ) -> Dataset:
        """Prepare a dataset and open it. Without tables, the folders of the photos are the categories."""
        path = self.directory / out
        prepare_options = PrepareOptions(columns=columns or ColumnNames(), **options)
        prepare_dataset(tables, images=self.photos, out=path, options=prepare_options, workers=1, force=True)
        return open_dataset(path)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """An empty shop. No plot is drawn, which would take half of the time for so small a dataset."""
    monkeypatch.setattr("prodrec.core.data.prepare.write.plot_long_tail", lambda *_, **__: None)
    (tmp_path / "photos").mkdir()
    return Shop(tmp_path)


@dataclass
class Export:
    """What a shop exports: photos in photos/ and a file. `train` goes from there to a trained model."""

    shop: Shop
    prodrec: Callable[[str], Result]

    def photos(self, *names: str) -> None:
        for name in names:
            self.shop.photo(name)

    def csv(
        self, header: str, rows: Sequence[Mapping[str, str]], name: str = "products.csv", *, above: str = ""
    ) -> str:
        """Write a table with all columns of `header`, of which `rows` contain some, below lines; return its name."""
        separator = "\t" if name.endswith("tsv") else next((sign for sign in ";\t" if sign in header), ",")
        columns = next(csv.reader([header], delimiter="," if name.endswith("tsv") else separator))
        with (self.shop.directory / name).open("w", encoding="utf-8", newline="") as stream:
            stream.write(above)
            writer = csv.DictWriter(stream, columns, restval="", delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)
        return name

    def json_lines(self, records: Sequence[Mapping[str, Any]], name: str = "products.jsonl") -> str:
        text = "".join(json.dumps(record) + "\n" for record in records)
        (self.shop.directory / name).write_text(text, "utf-8")
        return name

    def run(self, line: str) -> str:
        """Run a command line that succeeds, and return what it printed."""
        result = self.prodrec(line)
        assert result.exit_code == 0, f"{line}: {result.output}{result.exception!r}"
        return result.output

    def prepare(self, files: str, images: str = "photos", out: str = "dataset") -> Dataset:
        """Prepare a dataset with no option but --images, and return it."""
        self.run(f"prodrec prepare {files} --images {images}" + ("" if out == "dataset" else f" --out {out}"))
        dataset = open_dataset(self.shop.directory / out)
        splits = {(int(product), int(split)) for product, split in zip(dataset.product_N, dataset.split_N, strict=True)}
        assert len(splits) == dataset.product_count, "a product is in two splits"
        return dataset

    def train(self, files: str, images: str = "photos") -> Dataset:
        """Prepare a dataset, train a model for one epoch, and return the dataset."""
        dataset = self.prepare(files, images)
        self.run("prodrec train visual")
        assert list(self.shop.directory.glob("runs/*/model.safetensors"))
        return dataset

    def measure(self) -> str:
        """Score the test photos with the trained model, and return the report."""
        self.run("prodrec score")
        return self.run("prodrec report")

    def paths(self, dataset: Dataset) -> set[tuple[str, ...]]:
        """Return the category paths of the rows; a path that ends early is shorter."""
        return {
            tuple(names[code] for names, code in zip(dataset.taxonomy.names, row, strict=True) if code >= 0)
            for row in dataset.labels_NL.tolist()
        }

    def rejected(self) -> list[tuple[str, str]]:
        """Return the row number and the reason of every rejected row."""
        with (self.shop.directory / "dataset" / "rejected.csv").open(encoding="utf-8", newline="") as stream:
            return [(row["row"], row["reason"]) for row in csv.DictReader(stream)]


@pytest.fixture
def export(
    shop: Shop, prodrec: Callable[[str], Result], small_families: Callable[[Path], AbstractContextManager[None]]
) -> Iterator[Export]:
    """An empty export, in a working directory where models train in a second."""
    with small_families(shop.directory):
        yield Export(shop, prodrec)
