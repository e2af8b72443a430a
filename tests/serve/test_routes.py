"""The routes: every form of photos, the index, corrections; each mistake is refused with one sentence."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.serve.conftest import DrawnIndex, Serve


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def answers(response: Any) -> list[str]:
    assert response.status_code == 200, response.text
    return [result["answer"]["path"][0] for result in response.json()["results"]]


def test_every_form_of_photos(serve: Serve) -> None:
    served = serve()
    files = [("photos", ("../../etc/passwd", b"one", "image/png")), ("any", ("C:\\b.jpg", b"two", "image/jpeg"))]
    assert answers(served.photo("boot")) == ["boot"]
    assert answers(served.client.post("/v1/recognise", files=files)) == ["one", "two"]
    photos = {"photos": [b64("three"), "data:image/jpeg;base64," + b64("four")]}
    assert answers(served.client.post("/v1/recognise", json=photos)) == ["three", "four"]
    assert answers(served.client.post("/v1/recognise?pool=true", json=photos)) == ["three"]


def test_an_answer_has_run_index_and_timing(serve: Serve) -> None:
    answer = serve(index=DrawnIndex(version=7)).photo(query="?min_confidence=0.25&box=0,.5,1,1.0").json()
    assert answer["run"] == {"name": "echo", "fingerprint": "f1"} and answer["index"] == {"version": 7}
    assert answer["results"][0]["answer"]["confidences"] == [0.25]
    assert answer["results"][0]["box"] == [0.0, 0.5, 1.0, 1.0]
    assert set(answer["timing"]) == {"decode_ms", "network_ms", "total_ms"}
    assert serve().photo().json()["index"] is None


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("?top=0", 422, "top: input should be greater than or equal to 1"),
        ("?top=x", 422, "top: "),
        ("?min_confidence=nan", 422, "min_confidence: "),
        ("?min_confidence=2", 422, "less than or equal to 1"),
        ("?precision=0.9", 400, "Precision 0.9 needs thresholds; give min_confidence"),
        ("?box=0,0,1", 422, "box: "),
        ("?box=0.5,0,0.5,1", 400, "expected left < right"),
        ("?pool=perhaps", 422, "pool: "),
    ],
)
def test_wrong_parameters(serve: Serve, query: str, status: int, words: str) -> None:
    served = serve()
    assert words in served.error(served.photo(query=query), status)


JSON = "application/json"
FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("kind", "body", "status", "words"),
    [
        ("image/jpeg", b"", 400, "has no photo"),
        ("image/jpeg", b"broken", 400, "Photo 0 (from 0): the photo cannot be used"),
        ("", b"boot", 415, "content type (none) cannot be read"),
        ("text/html", b"boot", 415, "content type text/html"),
        (JSON, b"{", 400, "is not JSON"),
        (JSON, b"[" * 100_000, 400, "is not JSON"),
        (JSON, b"\xff", 400, "is not JSON"),
        (JSON, b"[]", 400, "no JSON object"),
        (JSON, b"{}", 400, 'no list "photos"'),
        (JSON, b'{"photos": [1]}', 400, 'no list "photos"'),
        (JSON, b'{"photos": []}', 400, "has no photo"),
        (JSON, b'{"photos": ["%%%"]}', 400, "Photo 0 (from 0) is not base64"),
        (JSON, '{"photos": ["é"]}'.encode(), 400, "is not base64"),
        (JSON, json.dumps({"photos": ["Ym9vdA=="] * 17}).encode(), 400, "17 photos, more than 16"),
        (FORM, b"", 400, "has no photo"),
        ("multipart/form-data", b"--x--", 400, "The form cannot be read"),
        (FORM, b"--y\r\n", 400, "The form cannot be read"),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n', 400, "has no photo"),
    ],
)
def test_wrong_bodies(serve: Serve, kind: str, body: bytes, status: int, words: str) -> None:
    served = serve()
    response = served.client.post("/v1/recognise", content=body, headers={"Content-Type": kind})
    assert words in served.error(response, status)
    assert served.log[-1]["problem"] == response.json()["error"] and served.log[-1]["status"] == status


def test_ten_thousand_files(serve: Serve) -> None:
    served = serve()
    files = [("photos", ("a.jpg", b"x"))] * 10_000
    assert "more than 16 photos" in served.error(served.client.post("/v1/recognise", files=files), 400)
    fields = {f"f{i}": "x" for i in range(100)}
    assert "cannot be read" in served.error(served.client.post("/v1/recognise", files=files[:1], data=fields), 400)


def test_a_broken_photo_among_others_is_named(serve: Serve) -> None:
    served = serve()
    response = served.client.post("/v1/recognise", json={"photos": [b64("boot"), b64("broken")]})
    assert "Photo 1 (from 0)" in served.error(response, 400)


def test_unknown_routes_and_methods(serve: Serve) -> None:
    served = serve()
    assert "no such route" in served.error(served.client.get("/v2/recognise"), 404)
    assert "does not take GET" in served.error(served.client.get("/v1/recognise"), 405)


# --- the index


def test_products(serve: Serve) -> None:
    served = serve(index=DrawnIndex())
    get = served.client.get
    assert get("/v1/products/a%2F1").json() == {
        "sku": "a/1",
        "title": "A boot",
        "path": ["Shoes", "Boots"],
        "tags": ["red"],
        "photos": 1,
    }
    photo = get("/v1/products/a%2F1/photo")
    assert photo.content.startswith(b"\xff\xd8") and photo.headers["content-type"] == "image/jpeg"
    assert get("/v1/products/%C3%BC%3F").json()["title"] == "C boot"
    similar = get("/v1/similar/b?top=1").json()
    assert [hit["sku"] for hit in similar["products"]] == ["a/1"] and similar["index"] == {"version": 1}
    found = served.client.post("/v1/search?top=2", content=b"boot", headers={"Content-Type": "image/jpeg"}).json()
    assert [hit["sku"] for hit in found["results"][0]] == ["a/1", "b"]


def test_products_that_words_describe(serve: Serve) -> None:
    served = serve(index=DrawnIndex())
    found = served.client.post("/v1/search?top=2", json={"words": "boot B"}).json()
    assert [(hit["sku"], hit["score"]) for hit in found["results"][0]] == [("a/1", 1.0), ("b", 2.0)]
    assert found["results"][0][0]["photo"] == 0 and found["index"] == {"version": 1} and found["run"]["name"] == "echo"
    assert served.client.post("/v1/search", json={"words": "hat"}).json()["results"] == [[]]
    for content, problem in (
        ({"words": ""}, "no text of 1 to 500 characters"),
        ({"words": ["boot"]}, "no text of 1 to 500 characters"),
        ({"words": "x" * 501}, "no text of 1 to 500 characters"),
        ({"words": "boot", "photos": []}, "search by words or by photos"),
    ):
        assert problem in served.error(served.client.post("/v1/search", json=content), 400)
    assert "is about photos" in served.error(served.client.post("/v1/search?box=0,0,1,1", json={"words": "boot"}), 400)
    assert "no such route" in served.error(serve().client.post("/v1/search", json={"words": "boot"}), 404)


def test_unknown_products(serve: Serve) -> None:
    served = serve(index=DrawnIndex())
    for route in ("products/none", "products/..%2F..%2Fetc%2Fpasswd", "similar/none"):
        assert "no product" in served.error(served.client.get(f"/v1/{route}"), 404)
    assert "no photo 9 of product 'b'" in served.error(served.client.get("/v1/products/b/photo?photo=9"), 404)


@pytest.mark.parametrize("route", ["products/b", "products/b/photo", "similar/b"])
def test_routes_of_an_index_without_one(serve: Serve, route: str) -> None:
    served = serve()
    assert "no such route" in served.error(served.client.get(f"/v1/{route}"), 404)
    assert "no such route" in served.error(served.client.post("/v1/search", content=b"boot"), 404)
    assert not any("{sku}" in path for path in served.client.get("/openapi.json").json()["paths"])


# --- corrections


def test_classes(serve: Serve) -> None:
    served = serve()
    assert served.client.get("/v1/classes?words=SNEAK").json() == {"paths": [["Shoes", "Sneakers"]]}
    assert len(served.client.get("/v1/classes?top=2").json()["paths"]) == 2


def test_a_correction_is_kept(serve: Serve, tmp_path: Path) -> None:
    served = serve(corrections=tmp_path / "c.csv")
    form = {"path": "Shoes / Sneakers", "title": " Red\n sneaker ", "box": "0,0,.5,1"}
    response = served.client.post("/v1/corrections", data=form, files={"photo": ("../x", b"boot")})
    assert response.status_code == 201
    (row,) = csv.DictReader((tmp_path / "c.csv").open(newline=""))
    assert row["id"] == response.json()["id"] and row["title"] == "Red sneaker" and row["leaf"] == "Sneakers"
    assert (tmp_path / row["image"]).read_bytes() == b"jpeg of boot"


@pytest.mark.parametrize(
    ("form", "photo", "words"),
    [
        ({"path": "Shoes / Tables"}, b"boot", "no class 'Shoes / Tables'"),
        ({"path": "Boots"}, b"boot", "no class"),
        ({"path": ""}, b"boot", "lacks"),
        ({}, b"boot", "lacks"),
        ({"path": "Shoes"}, b"", "lacks"),
        ({"path": "Shoes"}, b"broken", "cannot be used"),
        ({"path": "Shoes", "box": "1,2"}, b"boot", "box is not"),
        ({"path": "Shoes", "box": "1,0,0,1"}, b"boot", "is empty"),
    ],
)
def test_wrong_corrections(serve: Serve, tmp_path: Path, form: dict[str, str], photo: bytes, words: str) -> None:
    served = serve(corrections=tmp_path / "c.csv")
    response = served.client.post("/v1/corrections", data=form, files={"photo": photo})
    assert words in served.error(response, 400) and not list(tmp_path.iterdir())


def test_corrections_that_are_not_kept(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    response = served.client.post("/v1/corrections", data={"path": "Shoes"}, files={"photo": b"boot"})
    assert "start it with --corrections" in served.error(response, 404)
    served = serve(corrections=tmp_path / "c.csv")
    assert "multipart/form-data" in served.error(served.client.post("/v1/corrections", json={}), 415)
