"""A service with a real index: its routes, and new versions that it takes up while it answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from prodrec.core.base.errors import BadOption
from prodrec.index.product_index import ProductIndex
from prodrec.pipeline.index_update import update_index
from prodrec.pipeline.load_index import load_index
from prodrec.pipeline.serve import serve
from prodrec.pipeline.serving_engine import RunEngine
from prodrec.serve.application import create_app
from prodrec.serve.limits import Limits
from prodrec.serve.service import Service

JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def place(indexed: Path) -> Path:
    return indexed


@pytest.fixture(scope="module")
def photo(drawn: Any) -> bytes:
    data: bytes = sorted(drawn.photos.glob("*.jpg"))[5].read_bytes()
    return data


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    service = Service(RunEngine(load_index("index")), Limits(), refresh_seconds=0.05)
    with TestClient(create_app(service, log=None)) as client:
        yield client


def test_routes_of_products(client: TestClient, photo: bytes) -> None:
    index, expected = ProductIndex.open(Path("index")), load_index("index", products=7).predict(photo)[0]
    answer = client.post("/v1/search?top=7", content=photo, headers=JPEG).json()
    assert answer["index"] == {"version": index.version}
    (products,) = answer["results"]
    assert [one["sku"] for one in products] == [one.sku for one in expected.products or ()] and len(products) == 7
    recognised = client.post("/v1/recognise?top=2", content=photo, headers=JPEG).json()["results"][0]
    assert recognised["products"] == products[:2] and recognised["answer"]["path"]
    sku = products[0]["sku"]
    product = client.get(f"/v1/products/{sku}").json()
    assert product == {key: products[0][key] for key in ("sku", "title", "path", "tags")} | {"photos": 1}
    thumbnail = client.get(f"/v1/products/{sku}/photo")
    assert thumbnail.content == index.thumbnail(sku) and thumbnail.headers["content-type"] == "image/jpeg"
    similar = client.get(f"/v1/similar/{sku}?top=3").json()["products"]
    assert [one["sku"] for one in similar] == [hit.product.sku for hit in index.similar(sku, 3)]
    for route in ("products/none", f"products/{sku}/photo?photo=9", "similar/none"):
        assert client.get(f"/v1/{route}").status_code == 404


def test_no_request_is_lost_while_versions_change(client: TestClient, photo: bytes) -> None:
    """Four clients ask while products are removed one by one; each answer is right for the version that it names."""
    index = ProductIndex.open(Path("index"))
    nearest = [hit["sku"] for hit in client.post("/v1/search?top=4", content=photo, headers=JPEG).json()["results"][0]]
    removed_at: dict[int, set[str]] = {index.version: set()}
    answers: list[tuple[int, int, list[str]]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            response = client.post("/v1/search?top=4", content=photo, headers=JPEG)
            found = response.json()
            skus = [one["sku"] for one in found["results"][0]]
            answers.append((response.status_code, found["index"]["version"], skus))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for one in clients:
        one.start()
    try:
        for count, sku in enumerate(nearest, start=1):
            removed_at[update_index("index", remove=[sku]).version] = set(nearest[:count])
        last = max(removed_at)
        for _ in range(500):
            if any(version == last for _, version, _ in answers):
                break
            threading.Event().wait(0.02)
    finally:
        stop.set()
        for one in clients:
            one.join()
    assert {status for status, _, _ in answers} == {200} and any(version == last for _, version, _ in answers)
    for _, version, skus in answers:
        removed = removed_at[max(known for known in removed_at if known <= version)]
        assert set(skus) & set(nearest) == set(nearest) - removed, version
    assert client.get("/health").json()["index"] == {"version": last}
    assert f"prodrec_index_version {float(last)}" in client.get("/metrics").text


def test_classes_of_the_index_can_be_corrected_to(folder: Path, photo: bytes) -> None:
    Path("hat.jpg").write_bytes(photo)
    Path("new.csv").write_text("id,image,root,middle,leaf\nH1,hat.jpg,Hats,Sun,Straw\n", "utf-8")
    engine = RunEngine(load_index("index"))
    assert not engine.has_class(("Hats", "Sun")) and engine.classes("straw", 5) == []
    update_index("index", "new.csv", images=".")
    assert engine.refresh() and not engine.refresh()
    assert engine.has_class(("Hats", "Sun")) and engine.classes("straw", 5) == [("Hats", "Sun", "Straw")]


def test_an_index_is_served_by_its_path(folder: Path) -> None:
    serving = serve("index", port=0)
    started = next(serving)
    assert started.run["name"] == "visual" and started.url.startswith("http://127.0.0.1:")
    serving.close()  # type: ignore[attr-defined]  # a generator
    for options in ({"by": "both"}, {"run_of_index": "runs/visual"}):
        with pytest.raises(BadOption, match="needs an index, and visual is none"):
            next(serve("visual", port=0, **options))
