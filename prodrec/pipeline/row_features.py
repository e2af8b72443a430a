"""The features of rows of a dataset, by which its photos are compared: those of a run, or its own vectors.

Shapes: R rows, D numbers of a feature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base.errors import BadOption, Mismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.pipeline.scoring_network import ScoringNetwork


def load_for_features(
    data: Dataset,
    run: str | Path | None,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
) -> ScoringNetwork | None:
    """Load the network that computes the features of a dataset; None if the features are its own vectors.

    run: run directory, or its name in `runs/`; None is the only finished run in `runs/`, and for a dataset of feature
         vectors these vectors

    Raise NotFound, BadArtefact, BadOption if the run cannot be used, and Mismatch if it has other inputs.
    """
    from prodrec.core.base.device import choose_device
    from prodrec.core.training.run import open_run
    from prodrec.pipeline.scoring_network import ScoringNetwork
    from prodrec.pipeline.scoring_targets import find_run

    if run is None and data.features_ND is not None:
        return None
    opened = _only_run() if run is None else open_run(find_run(Path(run)))
    opened.require_finished()
    if (opened.feature_width is None) != (data.features_ND is None) or (
        data.features_ND is not None and opened.feature_width != data.feature_width
    ):
        raise Mismatch(f"{opened.path} was not trained on {data.inputs} like those of {data.path}; name another run.")
    loaded = ScoringNetwork.load(opened, data, device=choose_device(device), batch_size=batch_size, workers=workers)
    if loaded.level is None:
        raise BadOption(f"{opened.path} predicts attributes alone; name a run that predicts classes.")
    return loaded


def _only_run() -> Run:
    """Return the only finished run in `runs/`. Raise NotFound without one, BadOption for several."""
    from prodrec.core.training.run import finished_runs

    finished = finished_runs(Path("runs"))
    if len(finished) > 1:
        raise BadOption(f"runs/ has {', '.join(run.path.name for run in finished)}; name one with --run.")
    return finished[0]


@contextmanager
def row_features(
    loaded: ScoringNetwork | None, data: Dataset, rows: NDArray[np.int64], *, place: Path
) -> Iterator[NDArray[np.floating]]:
    """Yield the features of at least one row, of any length: [R, D], float32 of a run or float16 of the dataset.

    loaded: the result of `load_for_features`
    place:  beside it the features of a run are in a temporary file meanwhile
    """
    from prodrec.core.base.outputs import scratch_file
    from prodrec.pipeline.frozen_features import write_features

    if loaded is None:
        assert data.features_ND is not None
        yield data.features_ND[rows]
        return
    with scratch_file(place.with_name(f"{place.name}.features")) as path:
        write_features(loaded, data, rows, path)
        yield np.load(path, mmap_mode="r")[:, 0]
