"""Whether a training fits, and that it fits with what the advice names."""

from __future__ import annotations

import re
from typing import Any

import pytest

from prodrec.core.training.state_memory import StateMemory
from prodrec.models.families import Recipe, make_recipe
from prodrec.models.memory_advice import USABLE_SHARE, largest_batch, memory_advice

from .drawn_machine import GIB, DrawnMachine


def advice_for(recipe: Recipe, machine: DrawnMachine, gib: float, *, ranks: int = 1) -> str | None:
    cost = machine.photo_cost(recipe)
    return memory_advice(
        recipe, machine.state_memory(recipe), cost.memory_bytes, memory_bytes=int(gib * GIB), ranks=ranks, gpu=False
    )


@pytest.mark.parametrize("ranks", [1, 4])
@pytest.mark.parametrize(("classes", "gib"), [(100, 4.0), (10**6, 6.0), (10**6, 14.0), (10**5, 2.5)])
def test_the_advice_is_enough(classes: int, gib: float, ranks: int) -> None:
    machine, settings = DrawnMachine(1e6, classes), {"backbone": "mobilenet_v2", "batch_size": "1024"}
    for _ in range(3):
        advice = advice_for(make_recipe("visual", settings), machine, gib, ranks=ranks)
        if advice is None:
            break
        assert advice.startswith("the training needs about ") and advice.endswith(".")
        assert ("on each rank" in advice) == (ranks > 1) and f"this machine has {gib:.1f} GiB free" in advice
        settings |= dict(re.findall(r"(embed|batch_size)=(\d+)", advice))
    assert advice is None and len(settings) > 2 - (settings["batch_size"] != "1024")


def test_the_boundary_is_the_usable_share() -> None:
    recipe, state = make_recipe("visual", {"batch_size": "10"}), StateMemory(50, 0, 20, 30, 0, 0)
    needed = 100 + 10 * 7

    def advice(memory_bytes: float, **others: Any) -> str | None:
        return memory_advice(
            recipe, state, 7.0, memory_bytes=round(memory_bytes), **{"ranks": 1, "gpu": True, **others}
        )

    assert advice(needed / USABLE_SHARE + 1) is None
    assert "the GPU has" in str(advice(needed / USABLE_SHARE - 1))
    assert advice((100 + 5 * 7) / USABLE_SHARE + 1, ranks=2) is None


def test_the_largest_batch() -> None:
    state = StateMemory(50, 0, 20, 30, 0, 0)
    batch = largest_batch(state, 7.0, memory_bytes=250, ranks=1)
    assert 100 + 7 * batch <= USABLE_SHARE * 250 < 100 + 7 * (batch + 1)
    assert largest_batch(state, 7.0, memory_bytes=250, ranks=3) == 3 * batch
    assert largest_batch(state, 7.0, memory_bytes=120, ranks=1) == 0
    assert largest_batch(state, 0.0, memory_bytes=250, ranks=1) == 2**30


def test_a_large_backbone_without_room() -> None:
    recipe = make_recipe("visual", {"optimizer": "adamw"})
    advice = advice_for(recipe, DrawnMachine(1e6), 0.3)
    assert advice is not None and "set backbone=mobilenet_v2 and optimizer=sgd" in advice
    small = make_recipe("visual", {"backbone": "mobilenet_v2", "optimizer": "sgd", "batch_size": "2"})
    assert advice_for(small, DrawnMachine(1e6), 0.3) is None
