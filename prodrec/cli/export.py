"""The command `prodrec export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.cli.run_options import NoNeighbours, OnePoint
from prodrec.core.base import console
from prodrec.core.base.engine_names import ONNX

EXAMPLES = """
Examples:

- `prodrec export visual` writes `exports/visual-onnx`, for ONNX Runtime and Triton Inference Server
- `prodrec export visual --to openvino` writes `exports/visual-openvino`, for OpenVINO and OpenVINO Model Server
- `prodrec export visual --to openvino --int8` computes with numbers of 8 bits, and counts what that costs
- `prodrec export runs/visual dataset --operating-point balanced --out models/shop` chooses the scores and the place

Both servers open the directory without changes: `labels.json` has the classes, `export.json` how it was checked.
"""


@command("export", epilog=EXAMPLES)
def export_command(
    run: Annotated[Path, typer.Argument(help="Run directory, or its name in runs/.")],
    dataset: Annotated[
        Path | None,
        typer.Argument(
            help="Dataset of the training, whose photos check the export. [default: dataset, if it is that]",
            show_default=False,
        ),
    ] = None,
    to: Annotated[str, typer.Option(help="onnx or openvino.")] = ONNX,
    out: Annotated[
        Path | None, typer.Option(help="Directory of the export. [default: exports/NAME-onnx]", show_default=False)
    ] = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="For openvino: compute with 8 bits, and count the right answers with and without.",
        ),
    ] = False,
    operating_point: OnePoint = None,
    no_neighbours: NoNeighbours = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an export at --out.")] = False,
) -> dict[str, Any]:
    """Write a run as a graph for ONNX Runtime, OpenVINO and servers, checked on photos.

    The graph takes photos of the network's size, uint8, and returns calibrated probabilities, scores and features. An
    export that gives other results than the run is not written.
    """
    from prodrec.pipeline.export import export

    result = export(
        run,
        dataset,
        to=to,
        out=out,
        int8=int8,
        operating_point=operating_point,
        no_neighbours=no_neighbours,
        force=force,
    )
    console.print(str(result))
    console.print(f"next: `prodrec predict {run} photos/ --engine {result.path}`")
    return result.as_json()
