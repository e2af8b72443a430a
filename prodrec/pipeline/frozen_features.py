"""The features of rows of a dataset, from which classifiers of a finished run are fitted.

Shapes: R rows, V views, D numbers of a feature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base import dist

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.models.second_stage.features import FrozenFeatures
    from prodrec.pipeline.scoring_network import ScoringNetwork


def write_features(
    loaded: ScoringNetwork, data: Dataset, rows: NDArray[np.int64], path: Path, *, mirror: bool = False
) -> None:
    """Write the features of rows of the dataset to a `.npy` file: float32 [R, V, D]. All ranks must call this.

    mirror: also those of the mirror images
    """
    from prodrec.inference.frozen_features import write_frozen_features

    batches, own_batches = loaded.batches(data, rows)
    write_frozen_features(
        path,
        loaded.network,
        batches,
        own_batches=own_batches,
        photos=len(rows),
        mirror=mirror,
        autocast=loaded.autocast(),
    )


@contextmanager
def frozen_features(
    loaded: ScoringNetwork, data: Dataset, rows: NDArray[np.int64], place: Path, *, mirror: bool = False
) -> Iterator[FrozenFeatures | None]:
    """Yield the features of rows of the dataset, or None for no rows. All ranks must call this.

    mirror: also of the mirror images

    They are in a temporary file beside `place`, which all ranks must see.
    """
    from prodrec.core.base.outputs import scratch_file
    from prodrec.models.second_stage.features import FrozenFeatures

    if not len(rows):
        yield None
        return
    level = loaded.level
    assert level is not None
    scratch: AbstractContextManager[Path | None] = scratch_file(place) if dist.is_main() else nullcontext()
    with scratch as own_path:
        path = dist.broadcast(own_path)
        assert path is not None
        write_features(loaded, data, rows, path, mirror=mirror)
        yield FrozenFeatures.open(path, data.labels_NL[rows, data.taxonomy.levels.index(level)].astype(np.int64))
        dist.barrier()  # no rank reads the file any more
