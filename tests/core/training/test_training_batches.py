"""The batches of training: their order with a sampler."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from prodrec.core.base.errors import BadOption
from prodrec.core.training.sampler import group_of_rows
from prodrec.core.training.training_batches import TrainingBatches, refuse_single_photos

from .conftest import PHOTOS


def rows_of(batches, epoch):
    return torch.cat([batch.rows_B for batch in batches(epoch, 0)]).numpy()


def test_without_a_sampler_every_photo_is_once_in_an_epoch(prepared, new_train_state):
    batches = TrainingBatches(prepared, PHOTOS, new_train_state(), workers=0)
    assert sorted(rows_of(batches, 0)) == prepared.rows("train").tolist()


@pytest.mark.parametrize("sampler", ["sqrt", "classes"])
def test_a_sampler_repeats_photos_of_rare_classes(prepared, new_train_state, sampler):
    batches = TrainingBatches(prepared, PHOTOS, new_train_state(sampler=sampler), workers=0)
    rows, own = rows_of(batches, 1), prepared.rows("train")
    assert len(rows) == len(own) and set(rows) <= set(own.tolist())
    group_R = group_of_rows(prepared.labels_NL[own])
    counts = np.bincount(group_R[np.searchsorted(own, rows)])
    images = np.bincount(group_R)
    expected = images ** (0.5 if sampler == "sqrt" else 0.0)
    assert images.max() > images.min() + 2
    assert (np.abs(counts - len(own) * expected / expected.sum()) < 1).all()
    skipped = torch.cat([batch.rows_B for batch in batches(1, 2)]).numpy()
    assert np.array_equal(skipped, rows[-len(skipped) :]) and batches.per_epoch * 16 >= len(rows)


@pytest.mark.parametrize("map_side", [1, 2])
def test_a_single_photo_is_refused_where_a_batch_norm_needs_several(prepared, new_train_state, map_side):
    train_state = new_train_state(batch_size=1)
    pool = torch.nn.AdaptiveAvgPool2d(map_side)
    train_state.network.backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), pool, torch.nn.BatchNorm2d(8))
    if map_side == 1:
        with pytest.raises(
            BadOption, match=r"a batch has one photo .*; set freeze_batch_norm=true, or a larger batch_"
        ):
            refuse_single_photos(prepared, PHOTOS, train_state)
    refuse_single_photos(prepared, PHOTOS, new_train_state(batch_size=2))
    if map_side == 2:  # its statistics are those of four cells
        refuse_single_photos(prepared, PHOTOS, train_state)
        assert train_state.network.training
