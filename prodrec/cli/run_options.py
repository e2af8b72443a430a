"""Options of several commands that recognise photos by a run."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

OnePoint: TypeAlias = Annotated[
    str | None, typer.Option(help="natural, balanced or plain. [default: natural]", show_default=False)
]
NoNeighbours: TypeAlias = Annotated[
    bool, typer.Option("--no-neighbours", help="Do not let the nearest training photos vote.")
]
