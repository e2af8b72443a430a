"""ONNX Runtime, on the CPU.

Shapes: B photos, C=3 channels, H×W the size of the network's input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadArtefact
from prodrec.inference.export.graphs import INPUT
from prodrec.inference.export.libraries import require_libraries

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEVERITY_ERROR = 3


@dataclass(frozen=True)
class OnnxEngine:
    """A session of ONNX Runtime, which several threads may use.

    outputs: the outputs to compute
    """

    session: Any
    outputs: tuple[str, ...]

    @classmethod
    def open(cls, file: Path, *, outputs: Sequence[str] | None, threads: int) -> OnnxEngine:
        """Open an ONNX file; see `engines.open_engine`."""
        require_libraries("onnxruntime")
        import onnxruntime

        onnxruntime.disable_telemetry_events()  # which only Windows has
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = SEVERITY_ERROR
        try:
            session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            names = tuple(output.name for output in session.get_outputs())
        except Exception as error:  # it has a type of its own for each of its errors
            raise BadArtefact(f"{file} cannot be read by ONNX Runtime; export the run again.") from error
        wanted = names if outputs is None else tuple(outputs)
        if not set(wanted) <= set(names):
            raise BadArtefact(f"{file} has no output {' and '.join(wanted)}; export the run again.")
        return cls(session, wanted)

    def run(self, photos_BCHW: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return the outputs of photos by name. What only other outputs need is not computed."""
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.only_execute_path_to_fetches = True
        return dict(zip(self.outputs, self.session.run(self.outputs, {INPUT: photos_BCHW}, options), strict=True))
