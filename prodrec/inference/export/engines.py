"""The engines that run a graph on a CPU, and the libraries that they need.

Shapes: B photos, C=3 channels, H×W the size of the network's input, D feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from prodrec.core.base.engine_names import ONNX, OPENVINO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

GRAPH_FILES = {ONNX: "model.onnx", OPENVINO: "model.xml"}
"""The name that servers expect of the file of a graph, by engine."""


class Engine(Protocol):
    """A graph that is ready to run. Several threads may use it.

    run: returns the outputs of photos, uint8 [B, 3, H, W], by name
    """

    def run(self, photos_BCHW: NDArray[np.uint8]) -> dict[str, NDArray[Any]]: ...


def open_engine(
    kind: str, file: Path, *, outputs: Sequence[str] | None = None, threads: int, bfloat16: bool = False
) -> Engine:
    """Open the file of a graph.

    kind:     ONNX or OPENVINO. OpenVINO reads ONNX files too
    outputs:  the outputs to compute; None is all
    threads:  threads that compute
    bfloat16: let the engine compute in bfloat16 where the processor can; only OpenVINO does

    Raise BadOption if the library is not installed, BadArtefact if the file is damaged.
    """
    if kind == ONNX:
        from prodrec.inference.export.onnx_engine import OnnxEngine

        return OnnxEngine.open(file, outputs=outputs, threads=threads)
    from prodrec.inference.export.openvino_engine import OpenvinoEngine

    return OpenvinoEngine.open(file, outputs=outputs, threads=threads, bfloat16=bfloat16)


@dataclass(frozen=True)
class PhotoFeatures:
    """The visual features of photos by an engine, in place of the backbone of a network.

    output: the output of the graph that has them
    """

    engine: Engine
    output: str

    def __call__(self, photos_BCHW: Tensor) -> Tensor:
        """Return the features, float32 [B, D], of photos, uint8 [B, 3, H, W]."""
        import torch

        return torch.from_numpy(self.engine.run(photos_BCHW.contiguous().numpy())[self.output])
