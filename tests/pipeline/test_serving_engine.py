"""A run as an engine: the service answers what `predict` answers, for any mixture of questions in a batch."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import prodrec
from prodrec.core.base.errors import BadOption, BadPhoto
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.inference.results import Saliency
from prodrec.pipeline.serving_engine import RunEngine, part_of, saliency_values
from prodrec.serve.application import create_app
from prodrec.serve.engine import Job, Question
from prodrec.serve.limits import Limits
from prodrec.serve.service import Service


@pytest.fixture(scope="module")
def engine(trained: Path) -> RunEngine:
    return RunEngine(prodrec.load(trained / "runs/visual"), pixel_limit=1_000_000)


@pytest.fixture(scope="module")
def photos(drawn: DrawnCatalogue) -> list[bytes]:
    return [path.read_bytes() for path in sorted(drawn.photos.glob("*.jpg"))[5:9]]


def job(engine: RunEngine, photos: list[bytes], **question: Any) -> Job:
    return Job(tuple(engine.prepare(photo, None) for photo in photos), Question(**question))


def close(one: Any, other: Any) -> bool:
    """Whether two values are equal but for rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return abs(one - other) < 1e-4 if isinstance(one, float) else bool(one == other)


def test_a_batch_of_different_questions_equals_predict(engine: RunEngine, photos: list[bytes]) -> None:
    jobs = [
        job(engine, photos[:1], top=2),
        job(engine, photos[:3], pool=True),
        job(engine, photos[1:], top=2),
        job(engine, photos[:2], min_confidence=0.99),
        job(engine, photos[:1]),
    ]
    predict = engine.recogniser.predict
    expected = [
        predict(photos[:1], top=2),
        predict(photos[:3], pool=True),
        predict(photos[1:], top=2),
        predict(photos[:2], min_confidence=0.99),
        predict(photos[:1]),
    ]
    for answered, of_predict in zip(engine.answer(jobs), expected, strict=True):
        assert answered.index_version is None
        assert close(answered.results, [one.as_json() for one in of_predict])


def test_the_first_class_has_the_probability_of_the_answer(engine: RunEngine, photos: list[bytes]) -> None:
    assert engine.recogniser.calibration is not None
    (answered,) = engine.answer([job(engine, photos)])
    for result in answered.results:
        assert result["levels"]["leaf"][0]["confidence"] == pytest.approx(result["answer"]["confidences"][-1], abs=1e-4)


def test_a_box_is_a_crop(engine: RunEngine, photos: list[bytes]) -> None:
    with Image.open(io.BytesIO(photos[0])) as image:
        width, height = image.size
        part = image.convert("RGB").crop((round(0.25 * width), 0, width, round(0.5 * height)))
        stream = io.BytesIO()
        part.save(stream, "PNG")
    of_box = engine.prepare(photos[0], (0.25, 0.0, 1.0, 0.5))
    of_crop = engine.prepare(stream.getvalue(), None)
    np.testing.assert_array_equal(of_box.views[0], of_crop.views[0])
    assert of_box.seen == pytest.approx(part_of((0.25, 0.0, 1.0, 0.5), of_crop.seen))
    tiny = engine.prepare(photos[0], (0.5, 0.5, 0.5001, 0.5001))
    assert tiny.views[0].shape == of_box.views[0].shape


def test_the_box_of_a_saliency_has_its_large_cells() -> None:
    weights_hw = np.zeros((4, 5), np.float32)
    weights_hw[1, 2], weights_hw[2, 3], weights_hw[0, 0] = 1.0, 0.5, 0.4
    values = saliency_values(Saliency(weights_hw, "attention", slice(0, 40), slice(10, 60)), (0.5, 0.0, 1.0, 0.8))
    assert values["box"] == pytest.approx([0.7, 0.2, 0.9, 0.6]) and values["seen"] == [0.5, 0.0, 1.0, 0.8]
    assert values["weights"][1] == [0, 0, 1, 0, 0] and values["method"] == "attention"


def test_a_run_that_cannot_show_where_it_looks(engine: RunEngine, photos: list[bytes]) -> None:
    with pytest.raises(BadOption, match="does not show where it looks"):  # photos of 32 pixels give one cell
        engine.answer([job(engine, photos[:2], explain=True)])


def test_what_cannot_be_recognised(engine: RunEngine, photos: list[bytes]) -> None:
    large = io.BytesIO()
    Image.new("L", (2000, 501)).save(large, "PNG")
    for data, words in ((b"", "empty"), (photos[0][:200], "truncated"), (large.getvalue(), "2000 x 501 pixels")):
        with pytest.raises(BadPhoto, match=words):
            engine.prepare(data, None)
        with pytest.raises(BadPhoto, match=words):
            engine.encode(data, None)
    with pytest.raises(BadOption, match="expected a probability"):
        engine.check(Question(min_confidence=2))


def test_classes(engine: RunEngine) -> None:
    taxonomy = engine.recogniser.run.taxonomy
    paths = engine.classes("", 100)
    assert paths == [taxonomy.path(number) for number in range(len(taxonomy.leaves))]
    assert engine.classes(paths[0][-1].upper(), 1) == paths[:1] and engine.classes("", 2) == paths[:2]
    assert all(engine.has_class(path[:depth]) for path in paths for depth in (1, 2, 3))
    assert not any(map(engine.has_class, [(), ("x",), paths[0][1:], (*paths[0], "x"), (paths[0][0], "x", paths[0][2])]))


def test_a_correction_has_no_metadata(engine: RunEngine) -> None:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # rotated
    exif[0x010E] = "a secret place"
    Image.new("RGB", (40, 20), "red").save(stream, "JPEG", exif=exif)
    with Image.open(io.BytesIO(engine.encode(stream.getvalue(), (0, 0, 1, 0.5)))) as kept:
        assert kept.size == (20, 20) and not kept.getexif() and kept.format == "JPEG"


def test_over_http(engine: RunEngine, photos: list[bytes]) -> None:
    expected = [one.as_json() for one in engine.recogniser.predict(photos, top=3)]
    with TestClient(create_app(Service(engine, Limits()), log=None)) as client:
        files = [("photos", photo) for photo in photos]
        response = client.post("/v1/recognise?top=3", files=files)
        assert response.status_code == 200 and close(response.json()["results"], expected)
        assert response.json()["run"]["name"] == "visual"
