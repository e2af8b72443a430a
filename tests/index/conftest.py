"""Small indices with drawn vectors.

Shapes: R photos, d numbers of a vector.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prodrec.core.data.titles.tokenizer import choose_tokenizer
from prodrec.index.header import IndexHeader
from prodrec.index.product_index import ProductIndex
from prodrec.index.table import PhotoRows
from prodrec.index.writer import fill

WIDTH = 8


def thumbnail(colour: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (6, 4), (colour, colour, colour)).save(stream, "JPEG")
    return stream.getvalue()


def draw_rows(products: Sequence[tuple[str, int]], *, seed: int = 0, title: str = "title") -> PhotoRows:
    """Rows of products, each an id and a number of photos, with random vectors of length 1."""
    skus = [sku for sku, photos in products for _ in range(photos)]
    vector_Rd = np.random.default_rng(seed).normal(size=(len(skus), WIDTH))
    vector_Rd /= np.linalg.norm(vector_Rd, axis=1, keepdims=True)
    return PhotoRows(
        sku=skus,
        photo=[number for _, photos in products for number in range(photos)],
        vector_Rd=vector_Rd.astype(np.float16),
        thumbnail=[thumbnail(number % 256) for number in range(len(skus))],
        title=[f"{title} {sku}" for sku in skus],
        tags=[["red", sku] for sku in skus],
        path=[["Shoes", f"Leaf {len(sku) % 3}"] for sku in skus],
        predicted=[False] * len(skus),
        photos=[photos for _, photos in products for _ in range(photos)],
        photo_hash=[f"{seed}-{number}" for number in range(len(skus))],
        text_hash=[f"{title}-{sku}" for sku in skus],
        words=[
            "" if number else f"{title} {sku} red shoes".lower() for sku, photos in products for number in range(photos)
        ],
    )


TOKENIZER = (choose_tokenizer().name, choose_tokenizer().version)
HEADER = IndexHeader(
    run_name="visual",
    run_path="../runs/visual",
    run_fingerprint="r1",
    dataset_fingerprint="d1",
    level="leaf",
    width=WIDTH,
    splits=("train",),
    options={},
    tokenizer=TOKENIZER,
)

MakeIndex = Callable[[Sequence[tuple[str, int]]], ProductIndex]


@pytest.fixture
def make_index(tmp_path: Path) -> MakeIndex:
    """`make_index([("P1", 2)])`: an index of a product with two photos, in tmp_path/index."""

    def make(products: Sequence[tuple[str, int]]) -> ProductIndex:
        directory = tmp_path / "index"
        directory.mkdir()
        return fill(directory, replace(HEADER, build=secrets.token_hex(8)), iter([draw_rows(products)]))

    return make
