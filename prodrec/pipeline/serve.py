"""`prodrec serve`: recognise photos over HTTP, with a page for people."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.options import read_options, with_options
from prodrec.core.base.workers import choose_processes
from prodrec.serve.limits import Limits

if TYPE_CHECKING:
    from prodrec.pipeline.serving_engine import RunEngine

WARM_UP = 2
"""Photos that are recognised before the service starts, so that the first request is not slower."""


@dataclass(frozen=True)
class Serving:
    """A service at its address, or after its end.

    url:     address of the page
    run:     name and fingerprint of the run
    keys:    whether clients need an API key
    ended:   whether the service has stopped
    photos:  number of photos that it has recognised
    seconds: how long it ran
    """

    url: str
    run: dict[str, str]
    keys: bool
    ended: bool = False
    photos: int = 0
    seconds: float = 0.0


@with_options(Limits)
def serve(
    run: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key_file: Path | None = None,
    corrections: Path | None = None,
    by: str | None = None,
    run_of_index: str | Path | None = None,
    operating_point: str | None = None,
    no_neighbours: bool = False,
    device: str = "auto",
    engine: str = TORCH,
    **options: Any,
) -> Iterator[Serving]:
    """Serve a run or an index until SIGTERM or Ctrl-C: yield its address when it listens, and at the end what it did.

    Args:
        run: run directory, the name of a run in `runs/`, or an index, whose newest version is taken up.
        host: address to listen at. Only this machine reaches 127.0.0.1; 0.0.0.0 is every network of the machine.
        port: port to listen at; 0 chooses a free one.
        api_key_file: file with a name and a key in each line, of which clients must send one.
        corrections: CSV file to which corrections are added; None keeps none.
        by: with an index: classes, products or both, as in `load_index`; None is both.
        run_of_index: with an index: directory of its run, or its name in `runs/`; None is where the index names it.
        operating_point: as in `load`; None is natural.
        no_neighbours: do not let the nearest training photos vote.
        device: auto, cpu, cuda or cuda:N.
        engine: torch, onnx, openvino, or the directory of an export, as in `load`.
        **options: the options below.

    Raises:
        NotFound: if there is no such run or index, or no file of keys.
        BadArtefact: if it is unfinished or damaged.
        BadOption: for values out of range, an address that is taken, or an engine that is unknown or not installed.
        Mismatch: if an export, or the vectors of an index, are those of another run.
    """
    from prodrec.pipeline.load_index import load_run_or_index
    from prodrec.pipeline.serving_engine import RunEngine
    from prodrec.serve.application import create_app
    from prodrec.serve.corrections import Corrections
    from prodrec.serve.limits import ApiKeys
    from prodrec.serve.server import address_of, bind, run_server
    from prodrec.serve.service import Service

    limits = Limits(**read_options([Limits], options, source="serve")[Limits])
    keys = None if api_key_file is None else ApiKeys.read(Path(api_key_file))
    with bind(host, port) as listener:  # before the slow part: a port that is taken is reported at once
        recogniser = load_run_or_index(
            Path(run),
            operating_point=operating_point,
            no_neighbours=no_neighbours,
            by=by,
            run_of_index=run_of_index,
            device=device,
            engine=engine,
        )
        run_engine = RunEngine(recogniser, pixel_limit=limits.pixels)
        kept = None if corrections is None else Corrections(Path(corrections), run_engine.levels)
        _warm_up(run_engine)
        service = Service(run_engine, limits, corrections=kept, decoders=max(2, choose_processes(None, many=True)))
        app = create_app(service, keys=keys)
        url, started = address_of(listener), time.monotonic()
        yield Serving(url, run_engine.run, keys is not None)
        run_server(app, listener, seconds_to_stop=limits.seconds)
    photos, seconds = service.metrics.recognised(), time.monotonic() - started
    yield Serving(url, run_engine.run, keys is not None, ended=True, photos=photos, seconds=round(seconds, 1))


def _warm_up(engine: RunEngine) -> None:
    """Recognise two grey photos, and exempt what is loaded from garbage collection, which would pause requests."""
    import numpy as np

    from prodrec.inference.photo_inputs import encoded_bytes
    from prodrec.serve.engine import Job, Question

    grey = encoded_bytes(np.full((64, 64, 3), 128, np.uint8))
    for _ in range(WARM_UP):
        engine.answer([Job((engine.prepare(grey, None),), Question())])
    gc.collect()
    gc.freeze()
