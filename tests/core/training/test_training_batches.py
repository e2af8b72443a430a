"""The batches of training: their order with a sampler."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from prodrec.core.training.sampler import group_of_rows
from prodrec.core.training.training_batches import TrainingBatches

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
