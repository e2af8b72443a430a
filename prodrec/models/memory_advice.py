"""Whether a training fits into memory, and what to set if it does not. This module does not import torch."""

from __future__ import annotations

from prodrec.core.base.memory import format_bytes
from prodrec.core.training.state_memory import StateMemory
from prodrec.models.families import Recipe

USABLE_SHARE = 0.8
"""Share of the free memory for what is counted. The rest is for gradients of activations, photos and libraries."""
SHORTEST_FEATURE = 32
"""Length of the feature of a photo below which it would distinguish too little."""


def memory_advice(
    recipe: Recipe, state: StateMemory, photo_bytes: float, *, memory_bytes: int, ranks: int, gpu: bool
) -> str | None:
    """Return a sentence about a training that needs more memory than there is, and what to set; None if it fits.

    photo_bytes:  memory of a photo of the batch on its rank
    memory_bytes: free memory of a rank
    """
    needed = state.total + photo_bytes * recipe.training.batch_size / ranks
    if needed <= USABLE_SHARE * memory_bytes:
        return None
    each, where = " on each rank" if ranks > 1 else "", "the GPU" if gpu else "this machine"
    needed_text, free_text = format_bytes(needed), format_bytes(memory_bytes)
    problem = f"the training needs about {needed_text} of memory{each}, and {where} has {free_text} free"
    fits = largest_batch(state, photo_bytes, memory_bytes=memory_bytes, ranks=ranks)
    if fits >= ranks:
        return f"{problem}; set batch_size={2 ** (fits.bit_length() - 1)}."
    width = _fitting_width(state, USABLE_SHARE * memory_bytes)
    if width:
        return (
            f"{problem}, because its weights and optimizer take {format_bytes(state.total)}; set embed={width}, which "
            "makes the classifier smaller."
        )
    if _is_mostly_classifier(state):
        return f"{problem}; start more ranks with torchrun, which divide the classes, or set optimizer=sgd."
    return f"{problem}; set backbone=mobilenet_v2 and optimizer=sgd, or take a machine with more memory."


def largest_batch(state: StateMemory, photo_bytes: float, *, memory_bytes: int, ranks: int) -> int:
    """Return how many photos of all ranks fit into memory besides weights and optimizer, at most 2^30."""
    room = USABLE_SHARE * memory_bytes - state.total
    if room <= 0:
        return 0
    return min(2**30, int(room / photo_bytes) * ranks) if photo_bytes else 2**30


def _fitting_width(state: StateMemory, usable: float) -> int:
    """Return the length of the feature, a power of 2, whose classifier takes half of the usable memory; 0 if none."""
    if not _is_mostly_classifier(state):
        return 0
    room = usable / 2 - (state.total - state.classifier)
    width = int(state.classifier_width * room / state.classifier)
    return 2 ** (width.bit_length() - 1) if width >= SHORTEST_FEATURE else 0


def _is_mostly_classifier(state: StateMemory) -> bool:
    return state.classifier > state.total / 2
