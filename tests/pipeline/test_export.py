"""An export has the results of its run, is refused where it has not, and runs by --engine."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch, OutputExists, ProdrecError
from prodrec.core.scores.reader import open_scores
from prodrec.inference.export import engines as engines_module
from prodrec.inference.export import write_onnx
from prodrec.inference.export.engines import open_engine
from prodrec.inference.neighbours.fused import PointNetwork
from prodrec.pipeline import export_checks
from prodrec.pipeline.export import ExportResult, export
from prodrec.pipeline.export_checks import RightAnswers
from prodrec.pipeline.load import load
from prodrec.pipeline.predict import predict
from prodrec.pipeline.score import score
from prodrec.pipeline.serve import serve
from prodrec.pipeline.serving_engine import RunEngine
from prodrec.serve.engine import Job, Question

pytestmark = pytest.mark.usefixtures("export_libraries")


@pytest.fixture(scope="module")
def place(export_libraries: None, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained folder, with an export of its run for both engines."""
    folder = tmp_path_factory.mktemp("exported") / "folder"
    shutil.copytree(trained, folder)
    options = {"run": folder / "runs/visual", "dataset": folder / "dataset"}
    export(**options, to="onnx", out=folder / "exports/visual-onnx")
    with graph_of(folder / "exports/visual-onnx"):
        export(**options, to="openvino", out=folder / "exports/visual-openvino")
    return folder


@contextmanager
def graph_of(exported: Path) -> Iterator[None]:
    """Take the graph of an export where one is made, which takes seconds."""

    def copy(graph: Any, path: Path, *, height: int, width: int) -> dict[str, list[int]]:
        shutil.copy(exported / "1/model.onnx", path)
        outputs: dict[str, list[int]] = json.loads((exported / "export.json").read_text("utf-8"))["outputs"]
        return outputs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_onnx, "write_onnx", copy)
        yield


@pytest.fixture
def photos(drawn: Any) -> list[Path]:
    return sorted(path for path in drawn.photos.rglob("*") if path.is_file())[:7]


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_an_export_recognises_as_its_run(folder: Path, to: str, photos: list[Path]) -> None:
    """Photos of the size of the network are what a client of a server sends; `labels.json` names the numbers."""
    engine = open_engine(to, next((folder / f"exports/visual-{to}/1").glob("model.[ox][nm][nl]*")), threads=1)
    labels = json.loads((folder / f"exports/visual-{to}/labels.json").read_text("utf-8"))
    recogniser = load("visual", device="cpu")
    expected = [result.recognised for result in predict("visual", photos, device="cpu", workers=0, batch_size=7)]
    views = np.stack([_view(recogniser, photo) for photo in photos])
    outputs = engine.run(views)
    assert list(outputs) == list(labels["outputs"])
    *_, leaf = labels["levels"]
    p_BC = outputs[leaf["outputs"]["probabilities"]]
    for row, recognised in enumerate(expected):
        assert recognised is not None and recognised.answer is not None
        assert leaf["classes"][p_BC[row].argmax()]["path"] == list(recognised.answer.path)
        for level, confidence in zip(labels["levels"], recognised.answer.confidences, strict=True):
            assert outputs[level["outputs"]["probabilities"]][row].max() >= confidence - 1e-4
        assert p_BC[row].max() == pytest.approx(recognised.answer.confidence, abs=1e-4)


def _view(recogniser: Any, photo: Path) -> np.ndarray[Any, Any]:
    from prodrec.core.data.photos.views import centre_view, read_photo

    return centre_view(
        read_photo(photo.read_bytes(), stored_side=recogniser.run.stored_side), recogniser.photos
    ).numpy()


def test_export_json_describes_what_was_checked(folder: Path) -> None:
    header = json.loads((folder / "exports/visual-onnx/export.json").read_text("utf-8"))
    run = json.loads((folder / "runs/visual/run.json").read_text("utf-8"))
    assert header["made_from"] == {"run": run["fingerprint"]} and header["engine"] == "onnx" and not header["int8"]
    assert header["parity"]["origin"] == "validation photos" and header["parity"]["photos"] > 1
    assert header["parity"]["largest_difference"] < 1e-4 and set(header["parity"]["same_best"].values()) == {1.0}
    assert sys.modules["openvino_telemetry"] is None, "OpenVINO reports its use"
    assert b".py" not in (folder / "exports/visual-onnx/1/model.onnx").read_bytes(), "it has paths of this machine"
    assert header["operating_point"]["name"] == "natural" and header["operating_point"]["beta"] > 0


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_an_export_runs_as_an_engine(folder: Path, to: str, photos: list[Path]) -> None:
    engine = f"exports/visual-{to}"
    for options in ({}, {"views": "flip"}, {"operating_point": "balanced", "no_neighbours": True}):
        by_torch, by_engine = (
            [r.recognised for r in predict("visual", photos, device="cpu", workers=0, engine=name, top=3, **options)]
            for name in ("torch", engine)
        )
        for found, expected in zip(by_engine, by_torch, strict=True):
            assert found is not None and expected is not None
            for level, best in expected.levels.items():
                confidences = [prediction.confidence for prediction in best]
                assert [prediction.confidence for prediction in found.levels[level]] == pytest.approx(
                    confidences, abs=1e-4
                )


def test_torch_shows_where_the_network_looks_beside_an_engine(
    folder: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the same normalised photo as without an engine. (The network has a map of one cell, which is patched.)"""
    monkeypatch.setattr(PointNetwork, "class_activation", lambda self, images_BCHW, class_B: images_BCHW.mean(1))
    data = photos[0].read_bytes()
    expected, found = (
        load("visual", engine=name, device="cpu").recognise(data, saliency=True).saliency
        for name in ("torch", "exports/visual-openvino")
    )
    assert expected is not None and found is not None and found.method == expected.method
    np.testing.assert_array_equal(found.weights_hw, expected.weights_hw)
    assert found.weights_hw.shape == (32, 32) and found.weights_hw.min() < 0


def test_the_service_answers_by_an_engine(folder: Path, photos: list[Path]) -> None:
    by_torch, by_engine = (
        RunEngine(load("visual", engine=name, device="cpu")) for name in ("torch", "exports/visual-openvino")
    )
    answers = []
    for engine in (by_torch, by_engine):
        jobs = [Job((engine.prepare(photo.read_bytes(), None),), Question()) for photo in photos]
        answers.append([answered.results[0]["answer"] for answered in engine.answer(jobs)])
    for expected, found in zip(*answers, strict=True):
        assert found["path"] == expected["path"]
        assert found["confidences"] == pytest.approx(expected["confidences"], abs=1e-4)
    with pytest.raises(BadOption, match="--engine tensorrt"):
        next(serve("visual", port=0, engine="tensorrt"))


def test_an_engine_finds_the_same_products_in_an_index(folder: Path, indexed: Path, photos: list[Path]) -> None:
    by_torch, by_engine = (
        [result.recognised for result in predict(indexed / "index", photos, device="cpu", workers=0, engine=name)]
        for name in ("torch", "exports/visual-onnx")
    )
    for found, expected in zip(by_engine, by_torch, strict=True):
        assert found is not None and expected is not None and found.products and expected.products
        assert [one.sku for one in found.products] == [one.sku for one in expected.products]
        for name in ("cosine", "share"):
            values = [getattr(one, name) for one in expected.products]
            assert [getattr(one, name) for one in found.products] == pytest.approx(values, abs=1e-3)
        assert found.answer is not None and expected.answer is not None and found.answer.path == expected.answer.path


def test_scores_of_an_engine_have_a_file_of_their_own(folder: Path) -> None:
    plain = score("visual", operating_point="natural", device="cpu", workers=0)
    by_engine = score("visual", operating_point="natural", workers=0, engine="exports/visual-openvino")
    assert [file.name for file in by_engine.files] == ["visual-openvino.h5"]
    with open_scores(plain.files[0]) as expected, open_scores(by_engine.files[0]) as found:
        assert found.origin.engine == "openvino" and found.origin.variant == "openvino"
        assert expected.origin.engine == "torch" and "engine" not in expected.header
        for here, there in zip(found.chunks(), expected.chunks(), strict=True):
            for level, scores in there.scores.items():
                np.testing.assert_allclose(here.scores[level], scores, atol=0.02)  # float16
    again = score("visual", operating_point="natural", workers=0, engine="exports/visual-openvino")
    assert not again.scored and again.up_to_date == by_engine.files
    with pytest.raises(OutputExists, match="was scored by the engine openvino"):
        score("visual", out=by_engine.files[0], device="cpu", workers=0)


def test_another_run_and_an_incomplete_export_are_refused(folder: Path, photos: list[Path]) -> None:
    header = folder / "exports/visual-onnx/export.json"
    content = json.loads(header.read_text("utf-8"))
    (folder / "exports/visual-onnx/1/model.onnx").rename(folder / "model.onnx")
    with pytest.raises(BadArtefact, match=r"has no 1/model\.onnx; export the run again"):
        load("visual", engine="exports/visual-onnx")
    (folder / "exports/visual-onnx/1/model.onnx").write_bytes(b"damaged")
    with pytest.raises(BadArtefact, match="cannot be read by ONNX Runtime"):
        load("visual", engine="exports/visual-onnx")
    (folder / "exports/visual-openvino/1/model.xml").write_bytes(b"damaged")
    with pytest.raises(BadArtefact, match="cannot be read by OpenVINO"):
        load("visual", engine="exports/visual-openvino")
    with pytest.raises(BadArtefact, match="cannot be read by OpenVINO"):
        open_engine("openvino", folder / "model.onnx", outputs=["absent"], threads=1)
    with pytest.raises(BadArtefact, match="has no output absent; export the run again"):
        open_engine("onnx", folder / "model.onnx", outputs=["absent"], threads=1)
    header.write_text(json.dumps({**content, "made_from": {"run": "other"}}), "utf-8")
    with pytest.raises(Mismatch, match=r"is the export of another run .*`prodrec export runs/visual --to onnx`"):
        load("visual", engine="exports/visual-onnx")
    header.write_text(json.dumps({**content, "engine": "tensorrt"}), "utf-8")
    with pytest.raises(BadArtefact, match=r"export\.json is damaged: engine is 'tensorrt'"):
        load("visual", engine="exports/visual-onnx")


def test_wrong_options_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadOption, match="--to tensorrt: expected onnx or openvino"):
        export("visual", to="tensorrt")
    with pytest.raises(BadOption, match="--engine tensorrt: expected torch, onnx, openvino, or the directory"):
        load("visual", engine="tensorrt")
    with pytest.raises(BadOption, match="--device cuda: engines other than torch run on the CPU"):
        load("visual", engine="exports/visual-onnx", device="cuda")
    with pytest.raises(BadOption, match=r"--precision bf16: ONNX Runtime computes in float32 .*; omit it, or"):
        score("visual", engine="exports/visual-onnx", precision="bf16")
    with pytest.raises(OutputExists, match="add --force to replace it"):
        export("visual")
    shutil.move("dataset", "elsewhere")
    with pytest.raises(BadOption, match="--int8 needs photos of the dataset"):
        export("visual", to="openvino", int8=True)
    with pytest.raises(BadOption, match=r"--int8 is for OpenVINO, .*; add --to openvino"):
        export("visual", int8=True)
    monkeypatch.setattr("prodrec.inference.export.vote_graph.MAX_VECTOR_BYTES", 10)
    with pytest.raises(BadOption, match=r"training vectors vote, .*: add --no-neighbours"):
        export("visual", out="other")
    assert not Path("other").exists()


def test_a_missing_library_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for fail in (lambda: export("visual", out="other"), lambda: load("visual", engine="onnx")):
        with pytest.raises(BadOption, match=r"onnx is not installed, .*pip install 'prodrec\[export\]'"):
            fail()


def test_a_graph_is_compared_in_float32_and_runs_in_bfloat16(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = engines_module.open_engine

    def recording(*words: Any, bfloat16: bool, **options: Any) -> Any:
        opened.append(bfloat16)
        engine = real(*words, bfloat16=False, **options)
        return Wrong(engine) if bfloat16 else engine

    monkeypatch.setattr(engines_module, "open_engine", recording)
    with graph_of(Path("exports/visual-onnx")):
        result = score("visual", operating_point="natural", workers=0, engine="openvino", precision="bf16")
    assert opened == [False, True] and result.scored


def test_eight_bits_may_lose_five_points_and_two_standard_errors() -> None:
    """The standard error of 0.8 on 400 labelled photos is 0.02: 0.71 is refused as 0.8 - 0.09 is, and 0.715 is not."""
    labelled = {"scores_leaf": 400, "attribute_colour": 4}
    right = {
        "float32": {"scores_leaf": 320, "attribute_colour": 3},
        "int8": {"scores_leaf": 286, "attribute_colour": 2},
    }
    counted = RightAnswers(500, labelled, right)
    assert counted.shares("int8") == {"scores_leaf": 0.715, "attribute_colour": 0.5}
    counted.refuse_if_lossy()
    right["int8"]["scores_leaf"] = 283
    with pytest.raises(ProdrecError, match=r"right for 70\.8% .* 80\.0%; nothing was written\. Export without --int8"):
        counted.refuse_if_lossy()


class Engine:
    """Answers with `outputs` for the photos that it gets."""

    def __init__(self, **outputs: list[int]) -> None:
        self.outputs = outputs

    def run(self, photos_BCHW: Any) -> dict[str, Any]:
        return {name: np.eye(5)[best] for name, best in self.outputs.items()}


def test_right_answers_are_counted_among_labelled_photos() -> None:
    labels = {
        "scores_leaf": np.array([3, -1, 0]),
        "attribute_colour": np.array([-1, -1, -1]),
        "scores_root": np.zeros(3),
    }
    photos: Any = SimpleNamespace(
        rows=lambda split: np.arange(3),
        batches=lambda rows, most: [(rows, torch.zeros(3, 3, 2, 2))],
        labels=lambda rows_B: labels,
    )
    one, two = (
        Engine(scores_leaf=best, attribute_colour=[0, 0, 0], feature=[0, 0, 0]) for best in ([3, 3, 3], [0, 0, 0])
    )
    counted = export_checks.count_right({"float32": one, "int8": two}, photos)
    assert counted == RightAnswers(3, {"scores_leaf": 2}, {"float32": {"scores_leaf": 1}, "int8": {"scores_leaf": 1}})


class Wrong:
    """An engine whose features are those of the graph, and a little more."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def run(self, photos_BCHW: Any) -> dict[str, Any]:
        return {name: values + 0.01 * np.abs(values).max() for name, values in self.engine.run(photos_BCHW).items()}


def test_a_graph_with_other_results_is_not_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, photos: list[Path]
) -> None:
    """Without the dataset, drawn photos show it too, in the graph of an export and in that of --engine."""
    shutil.move("dataset", "elsewhere")
    with graph_of(Path("exports/visual-onnx")):
        right = export("visual", out="other/right")
        assert right.header["parity"]["origin"] == "drawn photos" and right.header["parity"]["photos"] == 32
        real = engines_module.open_engine
        monkeypatch.setattr(engines_module, "open_engine", lambda *words, **options: Wrong(real(*words, **options)))
        with pytest.raises(ProdrecError, match=r"gives other results than the run: .* nothing was written"):
            export("visual", out="other/wrong")
        assert [path.name for path in Path("other").iterdir()] == ["right"]
        with pytest.raises(ProdrecError, match="the engine computes other features than torch"):
            load("visual", engine="onnx")


def test_a_named_engine_makes_its_own_graph(folder: Path, photos: list[Path]) -> None:
    with graph_of(Path("exports/visual-onnx")):
        expected, found = (
            load("visual", engine=name, device="cpu").predict(photos[0])[0] for name in ("torch", "openvino")
        )
    assert found.answer is not None and expected.answer is not None
    assert found.answer.path == expected.answer.path
    assert found.answer.confidences == pytest.approx(expected.answer.confidences, abs=1e-4)


@pytest.mark.exhaustive
def test_eight_bits_are_counted_against_float32(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export_checks, "LARGEST_LOSS", 1.0)
    with graph_of(Path("exports/visual-onnx")):
        result = export("visual", to="openvino", int8=True)
    assert result.path == Path("exports/visual-openvino-int8") and "8 bits" in str(result)
    accuracy = result.header["accuracy"]
    with open_scores(score("visual", operating_point="natural", workers=0).files[0]) as scores:
        (chunk,) = scores.chunks("validation")
        labels_B = chunk.labels_RL[:, -1]
        right = float((chunk.scores["leaf"].argmax(1) == labels_B)[labels_B >= 0].mean())
    assert accuracy["float32"]["scores_leaf"] == pytest.approx(right, abs=1e-6)
    assert set(accuracy["int8"]) == {"scores_root", "scores_leaf"} and accuracy["photos"] == len(labels_B)
    assert result.size < 0.6 * Path("exports/visual-onnx/1/model.onnx").stat().st_size
    assert result.header["parity"]["largest_difference"] > 1e-3, "it computes in float32"
    assert not load("visual", engine=str(result.path)).normalise
    printed = capfd.readouterr()
    assert not printed.out and "Statistics" not in printed.err and sys.modules["openvino_telemetry"] is None


def test_the_result_is_printed_and_json(place: Path) -> None:
    header = json.loads((place / "exports/visual-onnx/export.json").read_text("utf-8"))
    result = ExportResult(Path("exports/visual-onnx"), header, 2**20)
    assert str(result).startswith("exports/visual-onnx: onnx, 1.0 MiB\n  outputs: feature, vector, scores_root,")
    assert result.as_json()["bytes"] == 2**20 and result.as_json()["parity"] == header["parity"]
