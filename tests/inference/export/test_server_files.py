"""config.pbtxt and labels.json name what a graph has, in the forms that servers and clients expect."""

from __future__ import annotations

import re

import numpy as np

from prodrec.core.base.engine_names import ONNX, OPENVINO
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.inference.calibration import Calibration
from prodrec.inference.export.graphs import output_name
from prodrec.inference.export.server_files import labels, triton_config
from prodrec.inference.neighbours.operating_points import PLAIN_POINT

TREE = Taxonomy(
    levels=("root", "类 目"),
    names=(("a", "b"), ("p", "q", "r")),
    parents=(np.full(2, -1, dtype=np.int32), np.array([0, 1, 1], dtype=np.int32)),
)
OUTPUTS = {"feature": (4,), "scores_1": (3,), "probabilities_root": (2,), "probabilities_1": (3,), "attribute_1": (2,)}


def test_triton_reads_name_type_and_shape_of_every_output() -> None:
    """The text form of `inference.ModelConfig`: with max_batch_size, the shapes have no dimension for the photos."""
    config = triton_config(ONNX, height=48, width=40, outputs=OUTPUTS)
    assert config.startswith('backend: "onnxruntime"\nmax_batch_size: 64\n')
    assert re.findall(r'name: "(\w+)"\s+data_type: (\w+)\s+dims: \[ ([\d, ]+) \]', config) == [
        ("photos", "TYPE_UINT8", "3, 48, 40"),
        *((name, "TYPE_FP32", str(shape[0])) for name, shape in OUTPUTS.items()),
    ]
    assert config.count("{") == config.count("}") and config.count("[") == config.count("]")
    assert "},\n]" not in config  # protobuf refuses a comma after the last message of a list
    assert 'backend: "openvino"' in triton_config(OPENVINO, height=48, width=40, outputs=OUTPUTS)


def test_an_output_is_named_by_its_number_where_servers_refuse_its_name() -> None:
    assert output_name("scores", "leaf_2", 1) == "scores_leaf_2"
    assert [output_name("scores", name, 7) for name in ("类目", "a b", "a.b", "1", "")] == ["scores_7"] * 5


def test_labels_have_every_class_with_its_path_and_the_thresholds_of_the_run() -> None:
    confidence_ML = np.tile(np.linspace(0.2, 0.99, 400)[:, None], 2)
    calibration = Calibration(1.5, TREE.levels, confidence_ML, confidence_ML > 0.4, 0.2, 0.1)
    found = labels(
        TREE,
        [Attribute("size", ("s",)), Attribute("colour of it", ("red", "blue"))],
        PhotoConfig(image_size="48x40"),
        outputs=OUTPUTS,
        point=PLAIN_POINT,
        calibration=calibration,
    )
    root, leaf = found["levels"]
    assert root["outputs"] == {"probabilities": "probabilities_root"}
    assert leaf["outputs"] == {"scores": "scores_1", "probabilities": "probabilities_1"}
    assert root["classes"][1] == {"name": "b", "parent": None, "path": ["b"]}
    assert leaf["classes"][2] == {"name": "r", "parent": 1, "path": ["b", "r"]}
    assert found["attributes"] == [{"name": "colour of it", "output": "attribute_1", "states": ["red", "blue"]}]
    assert found["input"]["shape"] == ["photos", 3, 48, 40] and found["temperature"] == 1.5
    assert found["thresholds"]["0.95"] == calibration.thresholds(0.95)


def test_a_run_without_calibration_has_no_thresholds() -> None:
    options = {"outputs": OUTPUTS, "point": PLAIN_POINT, "calibration": None}
    found = labels(TREE, [], PhotoConfig(), **options)  # type: ignore[arg-type]
    assert found["thresholds"] == {} and found["temperature"] is None and found["attributes"] == []
