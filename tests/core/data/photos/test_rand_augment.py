"""RandAugment: each operation against its definition, and the random numbers of the caller alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from prodrec.core.data.photos.rand_augment import OPERATIONS, apply_operation, rand_augment


@pytest.fixture
def view() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(40, 220, (3, 20, 30), dtype=torch.uint8, generator=generator)


def test_operations_of_pixels_follow_their_definitions(view: Tensor) -> None:
    def change(name: str, strength: float = 0.5, sign: float = 1.0) -> Tensor:
        return apply_operation(functional, name, view, strength, sign)

    assert torch.equal(change("identity"), view)
    values = view.float()
    assert ((change("brightness").float() - (values * 1.45).clamp(max=255)).abs() <= 1).all()
    assert ((change("brightness", sign=-1).float() - values * 0.55).abs() <= 1).all()
    assert torch.equal(change("posterize"), view & 0b11111100)
    assert torch.equal(change("solarize"), torch.where(view >= 127.5, 255 - view, view))
    low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
    assert ((change("auto_contrast").float() - (values - low) / (high - low) * 255).abs() <= 1).all()
    mean = functional.rgb_to_grayscale(view).float().mean()
    assert ((change("contrast").float() - (1.45 * values - 0.45 * mean).clamp(0, 255)).abs() <= 2).all()


def test_moves_and_rotations_go_the_given_way(view: Tensor) -> None:
    right = apply_operation(functional, "translate_x", view, 0.5, 1.0)
    pixels = round(150 / 331 * 0.5 * 30)
    assert torch.equal(right[:, :, pixels:], view[:, :, :-pixels]) and (right[:, :, :pixels] == 128).all()
    up = apply_operation(functional, "translate_y", view, 0.5, -1.0)
    pixels = round(150 / 331 * 0.5 * 20)
    assert torch.equal(up[:, :-pixels], view[:, pixels:]) and (up[:, -pixels:] == 128).all()
    ramp = torch.arange(30, dtype=torch.uint8).mul(5).repeat(3, 20, 1)
    for name in ("rotate", "shear_x", "shear_y"):
        both = [apply_operation(functional, name, ramp, 0.5, sign) for sign in (1.0, -1.0)]
        assert not torch.equal(*both) and all(not torch.equal(one, ramp) for one in both)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_keeps_the_shape_at_the_largest_strength(name: str, view: Tensor) -> None:
    for sign in (1.0, -1.0):
        changed = apply_operation(functional, name, view, 1.0, sign)
        assert changed.shape == view.shape and changed.dtype == torch.uint8


def test_all_random_numbers_come_from_the_caller(view: Tensor) -> None:
    before = torch.get_rng_state()
    changed = [rand_augment(view, 9.0, np.random.default_rng(i)) for i in range(30)]
    again = [rand_augment(view, 9.0, np.random.default_rng(i)) for i in range(30)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one, other) for one, other in zip(changed, again, strict=True))
    assert len({tuple(one.flatten().tolist()) for one in changed}) > 20
