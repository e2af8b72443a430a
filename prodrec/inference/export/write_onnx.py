"""A graph as an ONNX file.

Shapes: B photos, C=3 channels, H×W the size of the network's input.
"""

from __future__ import annotations

from pathlib import Path

import torch

from prodrec.core.base.errors import ProdrecError
from prodrec.inference.export.graphs import INPUT, FeatureGraph
from prodrec.inference.export.libraries import require_libraries
from prodrec.inference.export.quiet import quiet

EXAMPLES = 2
"""Photos with which a graph is traced. With 1, torch would take the number as a constant."""
LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def write_onnx(graph: FeatureGraph, path: Path, *, height: int, width: int) -> dict[str, tuple[int, ...]]:
    """Write `graph`, in evaluation mode on the CPU, as an ONNX file for any number of photos.

    Return the numbers of a photo in each output, by the names of the outputs in their order.

    Raise BadOption if a library is missing, ProdrecError if torch cannot export the network.
    """
    require_libraries("onnx", "onnxscript")
    photos_BCHW = torch.zeros((EXAMPLES, 3, height, width), dtype=torch.uint8)
    with torch.no_grad(), quiet(*LOGGERS):
        outputs = graph.named_outputs(photos_BCHW)
        try:
            program = torch.onnx.export(
                graph,
                (photos_BCHW,),
                dynamo=True,
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("photos", min=1, max=2**16)},),
            )
        except Exception as error:  # whatever torch raises for an operation that it cannot export
            raise ProdrecError(
                f"the network cannot be exported to ONNX by torch {torch.__version__}: {_first_line(error)}; use it "
                "with --engine torch, or train another backbone."
            ) from error
        assert program is not None  # with dynamo=True
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()  # stack traces, with paths of this machine
        program.save(path)
    return {name: tuple(values.shape[1:]) for name, values in outputs.items()}


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None:  # torch wraps the reason in long instructions
        error = error.__cause__
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)
