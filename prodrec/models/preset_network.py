"""Presets: the network that a machine trains in the time and in its memory, how much of it, and on which photos.

This module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prodrec.core.base.errors import BadOption
from prodrec.core.base.memory import format_bytes
from prodrec.core.data.photos.config import format_size
from prodrec.core.training.photo_cost import PhotoCost
from prodrec.core.training.state_memory import StateMemory
from prodrec.models.memory_advice import largest_batch, memory_advice
from prodrec.models.situation import Chooser, Machine, Situation

LARGE_BACKBONE, SMALL_BACKBONE = "resnet50", "mobilenet_v2"
LARGE_PIXELS, SMALL_PIXELS = 224 * 224, 128 * 128
"""Pixels of a photo, at most, on a large machine and on a small one."""
MANY_CORES = 16
"""Cores of a machine without a GPU from which it is a large one. On fewer, measuring a large network takes as long as
training a small one for an epoch."""
PRETRAINED_PIXELS, MOST_ENLARGED = 128 * 96, 2.0
"""Smaller photos are enlarged to these pixels for a pretrained network, by this factor of a side at most: its filters
were trained on larger ones. On a fashion catalogue whose photos have 80x60 pixels, a network trained on 128x96 was
better on validation photos than one of 80x60 that was trained as long (examples/LOG.md)."""
SMALLEST_SIDE = 48
FEWEST_PIXELS = 64 * 64
"""Photos of less than twice these pixels are not made smaller to save time."""
FROZEN = {SMALL_BACKBONE: ("features.10", "features.14")}
"""Last stages that are frozen to save time, by backbone, each faster than the one before. Their output is cached."""
VIEWS, FEWEST_VIEWS = 3, 2
"""Views of a photo that are cached: each takes the time of half an epoch or more."""
SCALES = {LARGE_BACKBONE: (1.0, 0.75), SMALL_BACKBONE: (1.0, 0.75, 0.5)}
"""Sides that are tried, as shares of the first one. That a small network on large photos is better than a large network
on photos of half the side is a guess."""
SAME_ASPECT = 1.03
"""Largest quotient of aspect ratios that count as the same one."""
STATE_SHARE = 0.5
"""Share of the free memory that weights and optimizer may take before the classifier is made smaller."""
WIDTHS = (512, 256, 128, 64)
"""Lengths of the feature of a smaller classifier."""
FEWEST_PER_BATCH = 8


@dataclass(frozen=True)
class _Candidate:
    """A backbone, the side of a photo as a share of the largest one, and the reasons.

    backbone: None if there is nothing to choose
    frozen:   the last stage of it that is frozen, or None
    views:    the views of a photo for which their output is cached
    """

    backbone: str | None
    scale: float
    reason: str
    frozen: str | None = None
    views: int = FEWEST_VIEWS


def choose_network(
    choose: Chooser, situation: Situation, machine: Machine, is_fast_enough: Callable[[PhotoCost], bool]
) -> PhotoCost:
    """Choose backbone, frozen stages and photo size, and return the cost of a photo.

    The candidates are tried from the most accurate one on, until one is fast enough. The last one is chosen if none is.
    Raise BadOption if memory has no room for it.
    """
    cost = PhotoCost(math.inf)
    for candidate in _candidates(choose, situation):
        if candidate.backbone is not None:
            choose(candidate.reason, backbone=candidate.backbone)
        if candidate.frozen is not None:
            choose(
                "saves more time than a smaller photo, which would cost more accuracy", freeze_until=candidate.frozen
            )
            choose("the output of the frozen stages is cached for each of them", views=candidate.views)
        if situation.photo_size is not None and choose.is_free("image_size"):
            size, reason = _image_size(choose, situation, scale=candidate.scale)
            if candidate.scale < 1 and size == choose.recipe.photos.image_size:
                continue
            choose(reason, image_size=size)
        _fit_classifier(choose, situation, machine)
        cost = machine.photo_cost(choose.recipe)
        if is_fast_enough(cost):
            break
    if math.isinf(cost.seconds):
        size, backbone = choose.recipe.photos.image_size, choose.recipe.network.backbone
        raise BadOption(
            f"a few photos of {size} pixels do not fit into the {free_memory(situation)} of free memory with "
            f"backbone={backbone}; set image_size=64, or --device cpu."
        )
    return cost


def choose_batch_size(choose: Chooser, situation: Situation, machine: Machine, cost: PhotoCost) -> None:
    """Make the batch smaller if memory has no room for it."""
    batch_size = choose.recipe.training.batch_size
    state = machine.state_memory(choose.recipe)
    fits = largest_batch(state, cost.memory_bytes, memory_bytes=situation.memory_bytes, ranks=situation.ranks)
    smaller = batch_size
    while smaller > max(fits, FEWEST_PER_BATCH):
        smaller //= 2
    if smaller < batch_size:
        choose(f"what fits into {free_memory(situation)} of free memory", batch_size=smaller)


def advise(choose: Chooser, situation: Situation, state: StateMemory, *, photo_bytes: float) -> str | None:
    """Return a sentence if memory is not enough, see `memory_advice`."""
    return memory_advice(
        choose.recipe,
        state,
        photo_bytes,
        memory_bytes=situation.memory_bytes,
        ranks=situation.ranks,
        gpu=situation.gpu,
    )


def free_memory(situation: Situation) -> str:
    """Return the free memory as text."""
    return format_bytes(situation.memory_bytes)


def _candidates(choose: Chooser, situation: Situation) -> Iterator[_Candidate]:
    """Yield the candidates from the most accurate one on."""
    if situation.photo_size is None:
        yield _Candidate(None, 1.0, "")
        return
    reasons = {SMALL_BACKBONE: "the most accurate network measured that a CPU trains in minutes"}
    if is_large(situation):
        kind = "a GPU" if situation.gpu else f"{situation.cores} cores"
        reasons = {LARGE_BACKBONE: f"accurate, and {kind} can train it in the time"}
        if not _has_own_weights(choose):
            reasons[SMALL_BACKBONE] = f"{LARGE_BACKBONE} has too few epochs in the time on this machine"
    if situation.weights_of is not None:
        reasons = {situation.weights_of: "the weights are of this network"}
    elif not choose.is_free("backbone"):
        reasons = {choose.recipe.network.backbone: ""}
    for backbone, reason in reasons.items():
        scales = SCALES.get(backbone, SCALES[SMALL_BACKBONE]) if choose.is_free("image_size") else (1.0,)
        frozen = FROZEN.get(backbone, ()) if _can_freeze(choose, situation) else ()
        if not frozen:
            yield from (_Candidate(backbone, scale, reason) for scale in scales)
            continue
        yield _Candidate(backbone, 1.0, reason)
        yield _Candidate(backbone, 1.0, reason, frozen[0], VIEWS)
        yield from (_Candidate(backbone, 1.0, reason, last) for last in frozen)
        yield from (_Candidate(backbone, scale, reason, frozen[-1]) for scale in scales[1:])


def _can_freeze(choose: Chooser, situation: Situation) -> bool:
    """Return whether stages may be frozen and their output cached to save time."""
    return (
        not is_large(situation)
        and situation.ranks == 1
        and choose.recipe.network.weights is not None
        and choose.is_free("freeze_until")
        and choose.is_free("views")
    )


def is_large(situation: Situation) -> bool:
    """Return whether the machine can train large networks."""
    return situation.gpu or situation.cores >= MANY_CORES


def _has_own_weights(choose: Chooser) -> bool:
    """Return whether the user has given weights of one network, which is not known."""
    return not choose.is_free("weights") and choose.recipe.network.weights not in (None, "imagenet")


def _image_size(choose: Chooser, situation: Situation, *, scale: float) -> tuple[str, str]:
    """Return the size of photos, and the reason.

    scale: a factor of the largest size
    """
    assert situation.photo_size is not None
    height, width = situation.photo_size
    if not situation.same_aspect:
        height = width = min(height, width)
    pixels = height * width
    largest = min(1.0, math.sqrt((LARGE_PIXELS if is_large(situation) else SMALL_PIXELS) / pixels))
    reason = "the size of the photos" if situation.same_aspect else "a square of the size of the photos"
    if choose.recipe.network.weights is not None and pixels < PRETRAINED_PIXELS:
        largest = min(MOST_ENLARGED, math.sqrt(PRETRAINED_PIXELS / pixels))
        reason = f"photos of {format_size(height, width)} enlarged: the backbone was pretrained on larger ones"
    if pixels * largest**2 < 2 * FEWEST_PIXELS:
        scale = 1.0
    if scale < 1:
        reason = "a smaller photo, for enough epochs in the time"
    factor = max(largest * scale, SMALLEST_SIDE / min(height, width))
    return format_size(round(height * factor), round(width * factor)), reason


def _fit_classifier(choose: Chooser, situation: Situation, machine: Machine) -> None:
    """Make the feature shorter if weights and optimizer take too much of the memory because of very many classes.

    Raise BadOption if they do not fit at all.
    """
    state = machine.state_memory(choose.recipe)
    limit = STATE_SHARE * situation.memory_bytes
    if state.total > limit and state.classifier > state.total / 2 and choose.is_free("embed"):
        for width in WIDTHS:
            if width >= state.classifier_width:
                continue
            reason = f"the classifier of a longer feature would not fit into {free_memory(situation)} of free memory"
            choose(reason, embed=width)
            state = machine.state_memory(choose.recipe)
            if state.total <= limit:
                break
    advice = advise(choose, situation, state, photo_bytes=0.0)
    if advice is not None:
        raise BadOption(advice)
