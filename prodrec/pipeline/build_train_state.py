"""Build what a training updates: the network and its optimizer, from a recipe and a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodrec.core.base import dist

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.precision import Precision
    from prodrec.core.training.state_memory import StateMemory
    from prodrec.core.training.train_state import TrainState
    from prodrec.models.families import Recipe
    from prodrec.models.network import RecognitionNetwork


def build_train_state(
    recipe: Recipe,
    data: Dataset,
    vectors_VE: NDArray[np.float32] | None,
    device: str,
    *,
    precision: Precision | None = None,
) -> TrainState:
    """Return the network and its optimizer on the device, before the first step.

    precision: precision of the run that is resumed; None for a new run. The weights of a resumed run come from a
               checkpoint, so no file of pretrained weights is read.
    """
    import torch

    from prodrec.core.base.device import choose_device
    from prodrec.core.training.sampler import sampled_images
    from prodrec.core.training.train_state import make_train_state
    from prodrec.models.sync_batch_norm import convert_sync_batch_norm

    torch.manual_seed(recipe.training.seed)
    network = build_untrained(recipe, data, vectors_VE, load_weights=precision is None)
    if (sampler := recipe.training.sampler) != "images":
        images = data.train_images_by_level
        network.set_train_images(images, sampled_images(images, data.taxonomy, sampler))
    target = choose_device(device)
    if dist.world_size() > 1:
        convert_sync_batch_norm(network, target)
    pixels = recipe.photos.height * recipe.photos.width if data.feature_width is None else 0
    return make_train_state(network, recipe.training, target, pixels=pixels, precision=precision)


def build_untrained(
    recipe: Recipe, data: Dataset, vectors_VE: NDArray[np.float32] | None, *, load_weights: bool
) -> RecognitionNetwork:
    """Return the network of a recipe for a dataset, on torch's default device.

    load_weights: False reads no file of pretrained weights
    """
    from prodrec.models.assemble import TitleCounts, build_network
    from prodrec.models.settings.heads import WORDS
    from prodrec.models.word_targets import choose_word_targets

    counts = None
    if recipe.network.titles == "tfidf":
        counts = TitleCounts(data.train_titles_with_word, len(data.rows("train")))
    return build_network(
        recipe.network,
        taxonomy=data.taxonomy,
        attributes=data.attributes,
        words=len(data.vocabulary),
        word_vectors_VE=vectors_VE,
        word_targets=choose_word_targets(recipe.network, data) if WORDS in recipe.network.heads else None,
        title_counts=counts,
        train_images=data.train_images_by_level,
        load_weights=load_weights,
        photo_size=(recipe.photos.height, recipe.photos.width),
        feature_width=data.feature_width,
    )


def untrained_memory(recipe: Recipe, data: Dataset, vectors_VE: NDArray[np.float32] | None) -> StateMemory:
    """Return the memory of a training from step to step, from shapes alone: no memory is needed for it."""
    import torch

    from prodrec.core.training.state_memory import state_memory

    with torch.device("meta"):  # shapes without memory
        return state_memory(build_untrained(recipe, data, vectors_VE, load_weights=False), recipe.training)


def count_streams(recipe: Recipe) -> int:
    """Return how many vectors the deepest classifier sees for a photo: 2 with titles or photos in pairs."""
    from prodrec.core.training.photo_pairs import pairs_photos

    return 2 if recipe.network.titles or pairs_photos(recipe.training) else 1
