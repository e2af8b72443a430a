"""A small shop, drawn by each test: photos and a table of products."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.pipeline.prepare import prepare_dataset


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
