"""The word vectors that a training starts from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base import console, dist
from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.data.titles.embeddings import WordVectors
    from prodrec.models.families import Recipe


def stand_in_vectors(recipe: Recipe, data: Dataset, width: int) -> NDArray[np.float32] | None:
    """Return vectors of ones, which take the time and memory of those the recipe starts from; None if it uses none."""
    import numpy as np

    return np.ones((len(data.vocabulary), width), np.float32) if recipe.network.needs_word_vectors else None


def load_word_vectors_of(recipe: Recipe, data: Dataset, path: Path | None) -> WordVectors | None:
    """Return the word vectors that the recipe starts from, or None if it uses none.

    If the dataset has none yet, rank 0 pretrains them first. Raise BadOption if `path` is set and the recipe uses none.
    """
    from prodrec.core.data.titles.embeddings import EMBEDDINGS_FILE, load_word_vectors
    from prodrec.pipeline.pretrain_embeddings import pretrain_embeddings

    if not recipe.network.needs_word_vectors:
        if path is not None:
            raise BadOption(f"--embeddings {path} does nothing here: this recipe uses no pretrained word vectors.")
        return None
    file = path or data.path / EMBEDDINGS_FILE
    if path is None and not dist.broadcast(file.exists()):
        console.info(f"{file} does not exist; pretraining word vectors on the training titles first.")
        if dist.is_main():
            pretrain_embeddings(data, deterministic=True)
        dist.barrier()
    return load_word_vectors(file, dataset_fingerprint=data.fingerprint)
