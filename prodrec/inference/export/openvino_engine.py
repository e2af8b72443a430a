"""OpenVINO, on the CPU.

Shapes: B photos, C=3 channels, H×W the size of the network's input.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base.errors import DAMAGE, BadArtefact
from prodrec.inference.export.libraries import forbid_usage_reports, require_libraries

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class OpenvinoEngine:
    """A compiled graph. Each thread has its own request, because a request runs once at a time."""

    compiled: Any
    outputs: tuple[str, ...]
    _requests: threading.local = field(default_factory=threading.local)

    @classmethod
    def open(cls, file: Path, *, outputs: Sequence[str] | None, threads: int, bfloat16: bool) -> OpenvinoEngine:
        """Compile a graph in OpenVINO's format or in an ONNX file; see `engines.open_engine`."""
        openvino = _openvino()
        core = openvino.Core()
        try:
            model = core.read_model(file)
            if outputs is not None:  # what only other outputs need is not compiled
                model = openvino.Model([model.output(name) for name in outputs], model.get_parameters())
        except DAMAGE as error:
            raise BadArtefact(f"{file} cannot be read by OpenVINO; export the run again.") from error
        names = tuple(output.get_any_name() for output in model.outputs)
        # On a processor with bfloat16, OpenVINO would otherwise compute in it by itself.
        precision = "bf16" if bfloat16 else "f32"
        settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        return cls(core.compile_model(model, "CPU", settings), names)

    def run(self, photos_BCHW: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return the outputs of photos by name."""
        if not hasattr(self._requests, "own"):
            self._requests.own = self.compiled.create_infer_request()
        results = self._requests.own.infer([photos_BCHW], share_inputs=True)
        return {name: np.array(results[number]) for number, name in enumerate(self.outputs)}


def read_model(file: Path) -> Any:
    """Return the model in an ONNX file, in OpenVINO's form."""
    return _openvino().Core().read_model(file)


def write_model(model: Any, file: Path) -> None:
    """Write a model in OpenVINO's format: `file`, whose name ends with .xml, and the numbers beside it."""
    _openvino().save_model(model, file, compress_to_fp16=False)


def _openvino() -> Any:
    require_libraries("openvino")
    forbid_usage_reports()
    import openvino

    return openvino
