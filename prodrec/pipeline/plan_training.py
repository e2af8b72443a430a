"""`prodrec train --plan`: the memory and time of a training, and what to set if memory is not enough."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base import dist
from prodrec.core.base.errors import BadOption
from prodrec.models.memory_advice import memory_advice
from prodrec.pipeline.build_train_state import build_train_state, count_streams, untrained_memory
from prodrec.pipeline.choose_settings import choose_recipe
from prodrec.pipeline.word_vectors import load_word_vectors_of, stand_in_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.plan import Plan
    from prodrec.models.families import Recipe
    from prodrec.models.situation import Budget


def plan_recipe(
    recipe: Recipe,
    *,
    explicit: Collection[str] = (),
    budget: Budget | None = None,
    dataset: Path | Dataset,
    embeddings: Path | None = None,
    device: str = "auto",
    workers: int | None = None,
) -> tuple[Recipe, Plan, str | None]:
    """Return the recipe with the settings chosen, the cost of its training, and what to set if memory is not enough.

    Write nothing. See `train_recipe` for the arguments. Raise BadOption if weights and optimizer alone do not fit,
    so that nothing can be measured.
    """
    from prodrec.core.base.device import available_memory, choose_device, choose_workers
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training.plan import plan
    from prodrec.core.training.training_batches import refuse_tiny_batches
    from prodrec.core.training.validate import require_validation

    data = open_dataset(dataset) if isinstance(dataset, Path) else dataset
    require_validation(data, recipe.training)
    recipe = choose_recipe(data, recipe, explicit, device=device, budget=budget, workers=workers, warns=False)
    refuse_tiny_batches(data, recipe.training)
    target = choose_device(device)
    available_bytes = min(dist.all_gather(available_memory(target)))
    is_gpu, ranks = target.type == "cuda", dist.world_size()
    advise = partial(memory_advice, recipe, memory_bytes=available_bytes, ranks=ranks, gpu=is_gpu)
    vectors_VE = _word_vectors(recipe, data, embeddings)
    advice = advise(untrained_memory(recipe, data, vectors_VE), 0.0)
    if advice is not None:
        raise BadOption(advice)
    train_state = build_train_state(recipe, data, vectors_VE, device)
    cost = plan(
        train_state,
        data,
        recipe.photos,
        streams=count_streams(recipe),
        workers=choose_workers(workers, target, photos=data.photos is not None),
        available_bytes=available_bytes,
    )
    photo_bytes = (cost.activations_bytes + cost.scores_bytes) / cost.photos_per_rank
    return recipe, cost, advise(cost.state, photo_bytes)


def _word_vectors(recipe: Recipe, data: Dataset, embeddings: Path | None) -> NDArray[np.float32] | None:
    """Return the word vectors. A plan pretrains none: vectors of ones take the same time and memory."""
    from prodrec.core.data.titles.embeddings import EMBEDDINGS_FILE
    from prodrec.core.data.titles.word2vec import DEFAULT_DIMENSION

    if embeddings is None and not (data.path / EMBEDDINGS_FILE).exists():
        return stand_in_vectors(recipe, data, DEFAULT_DIMENSION)
    word_vectors = load_word_vectors_of(recipe, data, embeddings)
    return word_vectors.vectors_VE if word_vectors else None
