"""The files of an export beside the graph, for clients and servers.

    NAME/config.pbtxt          inputs and outputs, which Triton Inference Server reads
    NAME/1/model.onnx          the graph, or model.xml and model.bin for OpenVINO; 1 is the version of the model, which
                               Triton and OpenVINO Model Server both expect as a directory
    NAME/labels.json           classes, attributes, temperature and thresholds
    NAME/export.json           what the export was made from, and how it was checked

Triton takes the name of the model from the directory, and both servers ignore files that they do not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prodrec.core.base.engine_names import ONNX, OPENVINO
from prodrec.inference.export.graphs import ATTRIBUTE, INPUT, PROBABILITIES, SCORES, output_name
from prodrec.inference.neighbours.operating_points import OperatingPoint

if TYPE_CHECKING:
    from prodrec.core.base.taxonomy import Attribute, Taxonomy
    from prodrec.core.data.photos.config import PhotoConfig
    from prodrec.inference.calibration import Calibration

VERSION = "1"
TRITON_BACKENDS = {ONNX: "onnxruntime", OPENVINO: "openvino"}
MAX_BATCH = 64
"""Photos that Triton joins to one batch, at most. A larger one makes hardly more photos per second on a CPU."""
PRECISIONS = (0.9, 0.95, 0.99)
"""The shares of right answers for which labels.json has the thresholds; any others are in the run."""


def triton_config(engine: str, *, height: int, width: int, outputs: Mapping[str, Sequence[int]]) -> str:
    """Return the content of config.pbtxt (Triton's `ModelConfig`, in the text format of protocol buffers)."""
    lines = [f'backend: "{TRITON_BACKENDS[engine]}"', f"max_batch_size: {MAX_BATCH}", "input [", "  {"]
    lines += [f'    name: "{INPUT}"', "    data_type: TYPE_UINT8", f"    dims: [ 3, {height}, {width} ]", "  }", "]"]
    lines.append("output [")
    for number, (name, shape) in enumerate(outputs.items(), start=1):
        dims = ", ".join(map(str, shape))
        end = "  }," if number < len(outputs) else "  }"
        lines += ["  {", f'    name: "{name}"', "    data_type: TYPE_FP32", f"    dims: [ {dims} ]", end]
    lines += ["]", "dynamic_batching { }", ""]
    return "\n".join(lines)


def labels(
    taxonomy: Taxonomy,
    attributes: Sequence[Attribute],
    photos: PhotoConfig,
    *,
    outputs: Mapping[str, Sequence[int]],
    point: OperatingPoint,
    calibration: Calibration | None,
) -> dict[str, Any]:
    """Return the content of labels.json: what the numbers of the outputs mean."""
    levels = []
    for depth, level in enumerate(taxonomy.levels):
        names = {kind: output_name(kind, level, depth) for kind in (SCORES, PROBABILITIES)}
        predicted = {kind: name for kind, name in names.items() if name in outputs}
        if not predicted:
            continue
        parent_C = taxonomy.parents[depth].tolist()
        classes = [
            {"name": name, "parent": parent if parent >= 0 else None, "path": list(taxonomy.path(index, level))}
            for index, (name, parent) in enumerate(zip(taxonomy.names[depth], parent_C, strict=True))
        ]
        levels.append({"name": level, "outputs": predicted, "classes": classes})
    named = [(output_name(ATTRIBUTE, attribute.name, i), attribute) for i, attribute in enumerate(attributes)]
    states = [
        {"name": attribute.name, "output": name, "states": list(attribute.states)}
        for name, attribute in named
        if name in outputs
    ]
    thresholds = {}
    if calibration is not None:
        thresholds = {f"{precision:g}": calibration.thresholds(precision) for precision in PRECISIONS}
    return {
        "input": {
            "name": INPUT,
            "type": "uint8",
            "shape": ["photos", 3, photos.height, photos.width],
            "channels": "RGB",
        },
        "outputs": {name: ["photos", *shape] for name, shape in outputs.items()},
        "levels": levels,
        "attributes": states,
        "operating_point": point.as_json(),
        "temperature": None if calibration is None else calibration.temperature,
        "thresholds": thresholds,
    }
