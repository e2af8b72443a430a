"""A loaded run recognises photos in every form, in batches and from several threads. Errors name what it cannot use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from prodrec.core.base.errors import BadArtefact, BadOption, BadPhoto, NotFound
from prodrec.core.data.dataset import open_dataset
from prodrec.core.training.run import open_run
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.inference.recognise import Recogniser
from prodrec.inference.results import Recognised
from prodrec.models.families import make_recipe
from prodrec.models.network import RecognitionNetwork
from prodrec.pipeline.build_train_state import build_train_state
from prodrec.pipeline.load import load, load_network
from prodrec.pipeline.prepare import prepare_dataset
from prodrec.pipeline.train import train_recipe

SETTINGS = {"backbone": "squeezenet1_1", "weights": "none", "word_vectors": "random", "image_size": "32"}
SETTINGS |= {"epochs": "0.2", "batch_size": "4", "lr": "0.001", "precision": "fp32", "word_dropout": "0"}


@pytest.fixture(scope="module")
def dataset(drawn_dozen: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("load") / "dataset"
    prepare_dataset([drawn_dozen.table], images=drawn_dozen.photos, out=out)
    return out


@pytest.fixture(scope="module")
def runs(dataset: Path) -> dict[str, Path]:
    """Two runs of a few steps, with and without titles."""
    paths = {family: dataset.with_name(family) for family in ("sicot", "visual")}
    for family, path in paths.items():
        settings = {key: value for key, value in SETTINGS.items() if family == "sicot" or "word" not in key}
        train_recipe(make_recipe(family, settings), dataset=dataset, out=path, workers=0)
    return paths


@pytest.fixture
def recogniser(runs: dict[str, Path]) -> Recogniser:
    return load(runs["sicot"], device="cpu")


def photo_files(drawn: DrawnCatalogue) -> list[Path]:
    return sorted(path for path in drawn.photos.rglob("*") if path.is_file())[:7]


def probabilities(results: list[Recognised]) -> list[dict[str, dict[tuple[str, ...], float]]]:
    """Return the probabilities of every photo, by level and by class."""
    return [{level: {p.path: p.confidence for p in best} for level, best in r.levels.items()} for r in results]


def assert_close(results: list[Recognised], expected: list[Recognised]) -> None:
    for actual, wanted in zip(probabilities(results), probabilities(expected), strict=True):
        assert actual.keys() == wanted.keys()
        for level, classes in wanted.items():
            assert actual[level] == pytest.approx(classes, rel=1e-4), level


def test_every_form_of_a_photo_gives_the_same_result(
    recogniser: Recogniser, drawn_dozen: DrawnCatalogue, tmp_path: Path
) -> None:
    jpeg = photo_files(drawn_dozen)[0]
    image = Image.open(jpeg).convert("RGB")
    png = tmp_path / "photo.png"
    image.save(png)
    for path, other_forms in ((png, [image, np.asarray(image)]), (jpeg, [])):
        (expected,) = recogniser.predict(path)
        for photo in (str(path), path.read_bytes(), *other_forms):
            assert recogniser.predict(photo)[0].as_json() == expected.as_json()


def test_a_batch_equals_single_photos(recogniser: Recogniser, drawn_dozen: DrawnCatalogue) -> None:
    photos: list[Any] = list(photo_files(drawn_dozen))
    singles = [recogniser.predict(photo)[0] for photo in photos]
    for batch_size in (1, 3, 32):
        assert_close(recogniser.predict(photos, batch_size=batch_size), singles)
    assert [len(best) for best in recogniser.predict(photos[0], top=1)[0].levels.values()] == [1] * len(
        singles[0].levels
    )


def test_titles_are_weighed_per_photo(recogniser: Recogniser, drawn_dozen: DrawnCatalogue) -> None:
    photos: list[Any] = list(photo_files(drawn_dozen)[:2])
    titles = [" ".join(recogniser.run.vocabulary.words[:3]), "zzzz"]
    plain, titled = recogniser.predict(photos), recogniser.predict(photos, titles=titles)
    assert_close(titled, plain)
    assert all(result.words is None for result in plain)
    words = titled[0].words
    assert words is not None and sum(word.weight is not None for word in words) == 3
    assert [word.weight for word in titled[1].words or ()] == [None]
    (single,) = recogniser.predict(photos[0], titles=titles[0], with_titles=True)
    assert_close([single], recogniser.predict(photos, titles=titles, with_titles=True)[:1])


def test_several_threads_share_a_recogniser(recogniser: Recogniser, drawn_dozen: DrawnCatalogue) -> None:
    photos = photo_files(drawn_dozen)
    expected = [recogniser.predict(photo)[0] for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda photo: recogniser.predict(photo)[0], photos * 3))
    assert_close(results, expected * 3)


def test_unusable_photos_and_options_are_named(
    recogniser: Recogniser, runs: dict[str, Path], drawn_dozen: DrawnCatalogue, tmp_path: Path
) -> None:
    photo: Any = photo_files(drawn_dozen)[0]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    with pytest.raises(NotFound, match=r"absent\.jpg does not exist"):
        recogniser.predict([photo, tmp_path / "absent.jpg"])
    with pytest.raises(BadPhoto, match=r"broken\.jpg: "):
        recogniser.predict([photo, broken])
    with pytest.raises(BadPhoto, match=r"photo 1 \(from 0\): "):
        recogniser.predict([photo, b"no photo"], batch_size=1)
    with pytest.raises(BadOption, match="1 titles for 2 photos"):
        recogniser.predict([photo, photo], titles="shoe")
    with pytest.raises(BadOption, match="with_titles needs titles"):
        recogniser.predict(photo, with_titles=True)
    for options in ({"top": 0}, {"batch_size": 0}):
        with pytest.raises(BadOption, match="must be at least 1"):
            recogniser.predict(photo, **options)
    assert recogniser.predict([]) == []
    with pytest.raises(BadOption, match="this one was trained on photos alone"):
        load(runs["visual"], device="cpu").predict(photo, titles="shoe")


def test_what_cannot_be_loaded_is_named(runs: dict[str, Path], tmp_path: Path) -> None:
    assert isinstance(load(str(runs["visual"]), device="cpu"), Recogniser)
    with pytest.raises(BadOption, match=r"--title: .*omit --title"):
        load(runs["visual"], titles=True)
    with pytest.raises(NotFound):
        load(tmp_path / "absent")
    assert open_run(runs["visual"]).finished
    header = (runs["visual"] / "run.json").read_text("utf-8")
    (runs["visual"] / "run.json").write_text(header.replace('"finished"', '"training"'), "utf-8")
    try:
        with pytest.raises(BadArtefact, match=r"is not finished; continue it with .*--resume"):
            load(runs["visual"])
    finally:
        (runs["visual"] / "run.json").write_text(header, "utf-8")


def test_a_loaded_network_knows_the_shares_of_the_sampler(runs: dict[str, Path], dataset: Path) -> None:
    recipe = make_recipe("visual", {"backbone": "squeezenet1_1", "weights": "none", "sampler": "classes"})
    data, run = open_dataset(dataset), open_run(runs["visual"])
    in_training = build_train_state(recipe, data, None, "cpu").network
    loaded = load_network(run, recipe, torch.device("cpu"))
    assert isinstance(in_training, RecognitionNetwork)
    for trained, head in zip(in_training.level_heads, loaded.level_heads, strict=True):
        expected, frequencies = trained.classifier.frequencies, head.classifier.frequencies
        for name in ("log_prior_N", "log_sampled_N"):
            assert torch.equal(getattr(frequencies, name), getattr(expected, name))
        torch.testing.assert_close(frequencies.log_sampled_N.exp(), torch.full((2,), 0.5))  # two classes
