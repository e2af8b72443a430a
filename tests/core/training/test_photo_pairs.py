"""Mixup and cutmix: what is drawn, the mixed photos and their labels, and the same on several ranks.

Shapes: A rows of all ranks, B of this rank.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from prodrec.core.base import dist
from prodrec.core.data.batches import Batch
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.photo_pairs import Pairing, draw_pairing, pair_photos
from prodrec.core.training.training_batches import TrainingBatches

from .conftest import PHOTOS

A = 7
PHOTO = (20, 30)


def batch_of(rows: slice = slice(None), *, features: bool = False) -> Batch:
    """Return some rows of a batch of A rows."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn((A, 5) if features else (A, 3, *PHOTO), generator=generator)
    if not features:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    return Batch(
        rows_B=torch.arange(A)[rows],
        inputs=inputs[rows],
        labels_BL=torch.stack([torch.arange(A) % 2, torch.arange(A) - 1], dim=1)[rows],
        attributes_BA=(torch.arange(A) % 3).unsqueeze(1)[rows],
        tokens_BT=_titles(rows),
        global_size=A,
    )


def _titles(rows: slice) -> torch.Tensor:
    """Return titles of 1 to A words, padded to the longest of `rows`."""
    tokens_AT = torch.ones(A, A, dtype=torch.int64).tril() * torch.arange(1, A + 1)
    tokens_BT = tokens_AT[rows]
    return tokens_BT[:, : int((tokens_BT != 0).sum(1).max())]


def config(**settings: Any) -> TrainingConfig:
    return TrainingConfig(**settings)


def draw(number: int, **settings: Any) -> Pairing | None:
    return draw_pairing(config(**settings), A, PHOTO, epoch=2, number=number)


def test_without_settings_nothing_is_mixed() -> None:
    assert all(draw(number) is None for number in range(50))


def test_batches_are_mixed_with_the_probability_that_is_set() -> None:
    drawn = [draw(number, mixup=0.4, cutmix=1.0, pair_probability=0.6) for number in range(1000)]
    mixed = [pairing for pairing in drawn if pairing is not None]
    assert len(mixed) / 1000 == pytest.approx(0.6, abs=0.05)
    assert sum(pairing.rectangle is None for pairing in mixed) / len(mixed) == pytest.approx(0.5, abs=0.06)
    assert all(sorted(pairing.partner_A.tolist()) == list(range(A)) for pairing in mixed)
    assert all(draw(number, cutmix=1.0, pair_probability=1.0).rectangle is not None for number in range(20))  # type: ignore[union-attr]
    assert all(draw(number, mixup=1.0, pair_probability=1.0).rectangle is None for number in range(20))  # type: ignore[union-attr]


def test_shares_have_the_beta_distribution() -> None:
    for alpha in (0.4, 2.0):
        shares = np.array([draw(number, mixup=alpha, pair_probability=1.0).share for number in range(2000)])  # type: ignore[union-attr]
        assert shares.mean() == pytest.approx(0.5, abs=0.03)
        assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_a_rectangle_has_the_share_of_the_partner() -> None:
    inside = []
    for number in range(500):
        pairing = draw(number, cutmix=1.0, pair_probability=1.0)
        assert pairing is not None and pairing.rectangle is not None
        rows, columns = pairing.rectangle
        assert 0 <= rows.start <= rows.stop <= 20 and 0 <= columns.start <= columns.stop <= 30
        height, width = rows.stop - rows.start, columns.stop - columns.start
        assert pairing.share == pytest.approx(1 - height * width / 600)
        if min(rows.start, columns.start) > 0 and rows.stop < 20 and columns.stop < 30:
            inside.append(abs(height / 20 - width / 30))
    assert len(inside) > 50 and max(inside) < 0.1  # both sides shrink by √(1 − λ)


def test_a_draw_depends_on_seed_epoch_and_number_alone() -> None:
    def shares(seed: int, epoch: int) -> list[float]:
        settings = config(mixup=1.0, pair_probability=1.0, seed=seed)
        drawn = [draw_pairing(settings, A, PHOTO, epoch=epoch, number=number) for number in range(3)]
        return [pairing.share for pairing in drawn if pairing is not None]

    assert shares(1, 2) == shares(1, 2) and len(set(shares(1, 2) + shares(1, 3) + shares(2, 2))) == 9


@pytest.mark.parametrize("features", [False, True])
def test_mixup_is_the_weighted_mean_of_two_rows(features: bool) -> None:
    batch = batch_of(features=features)
    pairing = Pairing(torch.tensor([2, 0, 1, 3, 6, 4, 5]), 0.3)
    mixed = pair_photos(batch, pairing)
    for row, partner in enumerate(pairing.partner_A.tolist()):
        torch.testing.assert_close(mixed.inputs[row], 0.3 * batch.inputs[row] + 0.7 * batch.inputs[partner])
        assert mixed.partners is not None
        assert torch.equal(mixed.partners.labels_BL[row], batch.labels_BL[partner])
        assert torch.equal(mixed.partners.attributes_BA[row], batch.attributes_BA[partner])
        assert torch.equal(mixed.partners.tokens_BT[row], batch.tokens_BT[partner])
    assert mixed.partners is not None and mixed.partners.own_share_B.tolist() == pytest.approx([0.3] * A)
    assert torch.equal(mixed.labels_BL, batch.labels_BL) and torch.equal(mixed.tokens_BT, batch.tokens_BT)
    assert features or mixed.inputs.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch.inputs, batch_of(features=features).inputs), "the batch itself is unchanged"


def test_cutmix_replaces_a_rectangle() -> None:
    batch, rectangle = batch_of(), (slice(4, 9), slice(0, 12))
    partner_A = torch.tensor([2, 0, 1, 3, 6, 4, 5])
    mixed = pair_photos(batch, Pairing(partner_A, 0.9, rectangle)).inputs
    for row, partner in enumerate(partner_A.tolist()):
        for y in range(20):
            for x in (0, 11, 12, 29):
                origin = partner if 4 <= y < 9 and x < 12 else row
                assert torch.equal(mixed[row, :, y, x], batch.inputs[origin, :, y, x])


PAIRINGS = (
    Pairing(torch.tensor([2, 0, 1, 3, 6, 4, 5]), 0.3),
    Pairing(torch.tensor([6, 5, 4, 3, 2, 1, 0]), 0.9, (slice(4, 9), slice(0, 12))),
)


def mixed_shards() -> list[list[np.ndarray]]:
    results = []
    for pairing in PAIRINGS:
        mixed = pair_photos(batch_of(dist.shard_slice(A)), pairing)
        assert mixed.partners is not None
        results.append([mixed.inputs.numpy(), mixed.partners.labels_BL.numpy(), mixed.partners.attributes_BA.numpy()])
        results[-1].append(mixed.partners.tokens_BT.numpy())
    return results


def test_ranks_mix_the_same_photos(on_ranks: Callable[..., list[Any]]) -> None:
    alone = mixed_shards()
    results_of_ranks = on_ranks(2, mixed_shards)
    for number, expected in enumerate(alone):
        for part, values in enumerate(expected):
            together = np.concatenate([results[number][part] for results in results_of_ranks])
            np.testing.assert_array_equal(together, values)


def test_training_batches_are_mixed_also_after_a_resume(prepared, new_train_state):  # type: ignore[no-untyped-def]
    state = new_train_state(mixup=0.5, cutmix=1.0)
    batches = TrainingBatches(prepared, PHOTOS, state, workers=0)
    whole, resumed = list(batches(1, 0)), list(batches(1, 2))
    assert {batch.partners is None for batch in list(batches(0, 0)) + whole} == {True, False}
    plain = list(TrainingBatches(prepared, PHOTOS, new_train_state(), workers=0)(1, 0))
    for batch, again in zip(whole[2:], resumed, strict=True):
        assert torch.equal(batch.inputs, again.inputs) and (batch.partners is None) == (again.partners is None)
    for batch, unmixed in zip(whole, plain, strict=True):
        assert torch.equal(batch.rows_B, unmixed.rows_B) and batch.global_size == unmixed.global_size
        assert torch.equal(batch.inputs, unmixed.inputs) == (batch.partners is None)
        assert torch.equal(batch.tokens_BT, unmixed.tokens_BT)


def test_a_mixed_batch_keeps_its_progress() -> None:
    assert pair_photos(replace(batch_of(), progress=0.5), PAIRINGS[0]).progress == 0.5
