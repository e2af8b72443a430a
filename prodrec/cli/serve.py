"""The command `prodrec serve`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.cli.run_options import ByOption, Engine, NoNeighbours, OnePoint, RunOfIndex
from prodrec.core.base import console
from prodrec.core.base.engine_names import TORCH
from prodrec.serve.limits import Limits

EXAMPLES = """
Examples:

- `prodrec serve sicot` recognises at http://127.0.0.1:8000, where a page takes photos from a browser
- `prodrec serve sicot --engine openvino` answers faster on most CPUs
- `prodrec serve sicot --corrections corrections.csv` keeps the corrections of people for the next `prodrec prepare`
- `prodrec serve index` names the nearest products of photos too, of the newest version of an index
- `prodrec serve sicot --host 0.0.0.0 --api-key-file keys.txt --rate 20` serves other machines, with keys and a limit

`curl --data-binary @shoe.jpg -H "Content-Type: image/jpeg" http://127.0.0.1:8000/v1/recognise` recognises a photo, and
`/openapi.json` describes all routes. Each request is a line of JSON on standard error. SIGTERM or Ctrl-C end the
service after the requests that it is answering.
"""


@command("serve", options=(Limits,), epilog=EXAMPLES)
def serve_command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN|INDEX", help="Run directory, its name in runs/, or an index of products.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 is every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 chooses a free one.")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with a name and a key in each line; clients must send one of the keys.")
    ] = None,
    corrections: Annotated[
        Path | None, typer.Option(help="CSV file to which corrections are added, with photos in a folder beside it.")
    ] = None,
    by: ByOption = None,
    run_of_index: RunOfIndex = None,
    operating_point: OnePoint = None,
    no_neighbours: NoNeighbours = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    engine: Engine = TORCH,
    **options: Any,
) -> Iterator[dict[str, Any]]:
    """Recognise photos over HTTP, and on a page for a browser.

    Photos of requests that arrive together are recognised together. With --json, a line is printed when the service
    listens, and another one when it has ended.
    """
    from dataclasses import asdict

    from prodrec.pipeline.serve import serve

    for serving in serve(
        run,
        host=host,
        port=port,
        api_key_file=api_key_file,
        corrections=corrections,
        by=by,
        run_of_index=run_of_index,
        operating_point=operating_point,
        no_neighbours=no_neighbours,
        device=device,
        engine=engine,
        **options,
    ):
        if not serving.ended:
            console.print(f"{serving.run['name']} is served at {serving.url}; Ctrl-C ends it.")
            if host not in ("127.0.0.1", "localhost", "::1") and not serving.keys:
                console.warn("anyone who can reach this address can use it; add --api-key-file to require a key.")
        else:
            console.info(f"ended after {serving.seconds:,.0f} s and {serving.photos:,} photos")
        yield asdict(serving)
