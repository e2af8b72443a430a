"""Options of several commands that recognise photos by a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

OnePoint: TypeAlias = Annotated[
    str | None, typer.Option(help="natural, balanced or plain. [default: natural]", show_default=False)
]
Engine: TypeAlias = Annotated[
    str, typer.Option(help="torch, onnx or openvino (faster on a CPU), or the directory of an export.")
]
NoNeighbours: TypeAlias = Annotated[
    bool, typer.Option("--no-neighbours", help="Do not let the nearest training photos vote.")
]
ByOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="With an index: classes (the classifier alone), products (the nearest products alone) or both. "
        "[default: both]",
        show_default=False,
    ),
]
RunOfIndex: TypeAlias = Annotated[
    Path | None,
    typer.Option("--run", help="With an index: its run. [default: where the index names it]", show_default=False),
]
