"""An index with its run: three ways to recognise, the newest version on request, and what cannot be opened."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import prodrec
from prodrec.core.base.errors import BadOption, NotFound
from prodrec.pipeline.index_update import update_index
from prodrec.pipeline.load import load
from prodrec.pipeline.load_index import index_of, refreshed, with_products
from prodrec.pipeline.predict import predict


@pytest.fixture(scope="module")
def place(indexed: Path) -> Path:
    return indexed


@pytest.fixture(scope="module")
def photos(drawn: Any) -> list[Path]:
    return sorted(drawn.photos.glob("*.jpg"))[5:9]


def test_the_classifier_alone_is_that_of_the_run(folder: Path, photos: list[Path]) -> None:
    expected = replace(load("visual", no_neighbours=True), calibration=None)
    recogniser = replace(prodrec.load_index("index", by="classes"), calibration=None)
    for one, other in zip(recogniser.predict(photos), expected.predict(photos), strict=True):
        assert one.levels["leaf"][0].name == other.levels["leaf"][0].name
        assert one.products is not None and len(one.products) == 5 and other.products is None
        assert [product.cosine for product in one.products] == sorted(product.cosine for product in one.products)[::-1]


def test_photos_of_the_index_find_their_products(folder: Path, photos: list[Path]) -> None:
    recogniser = prodrec.load_index("index", by="products", products=3)
    for photo, result in zip(photos, recogniser.predict(photos), strict=True):
        assert result.products is not None and len(result.products) == 3
        assert result.products[0].cosine > 0.999 and photo.stem in {one.sku for one in result.products}
        assert result.as_json()["products"][0]["sku"] == result.products[0].sku
    assert len((with_products(recogniser, 7).predict(photos[0])[0]).products or ()) == 7
    (pooled,) = recogniser.predict(photos[:2], pool=True)
    skus = [product.sku for product in pooled.products or ()]
    assert len(set(skus)) == 3 and pooled.products and pooled.products[0].cosine > 0.999


def test_the_newest_version_is_taken_up_on_request(folder: Path, photos: list[Path]) -> None:
    recogniser = prodrec.load_index("index")
    assert refreshed(recogniser) is recogniser
    sku = (recogniser.predict(photos[0])[0].products or [])[0].sku
    update_index("index", remove=[sku])
    newest, before = refreshed(recogniser), index_of(recogniser)
    assert before is not None and (index_of(newest) or before).version > before.version
    assert sku in {one.sku for one in recogniser.predict(photos[0])[0].products or ()}
    assert sku not in {one.sku for one in newest.predict(photos[0])[0].products or ()}
    run = load("visual")
    assert index_of(run) is None and refreshed(run) is run and with_products(run, 3) is run


def test_what_cannot_be_opened(folder: Path, photos: list[Path]) -> None:
    for options, message in (
        ({"by": "words"}, "--by words: expected classes, products or both"),
        ({"operating_point": "plain"}, "--operating-point plain: expected natural or balanced"),
        ({"no_neighbours": True}, "--by classes lets no product vote"),
        ({"products": 0}, "products=0 must be at least 1"),
    ):
        with pytest.raises(BadOption, match=message):
            list(predict("index", photos, **options))
    for options in ({"by": "both"}, {"run_of_index": "runs/visual"}):
        with pytest.raises(BadOption, match=r"needs an index, and visual is none; make one with `prodrec index build`"):
            list(predict("visual", photos, **options))
    shutil.move("runs/visual", "moved")
    with pytest.raises(NotFound, match=r"which is not at runs/visual; name its place with --run"):
        list(predict("index", photos))
    assert len(list(predict("index", photos, run_of_index="moved"))) == len(photos)
