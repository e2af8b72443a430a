"""Batches: the view of a photo depends only on seed, epoch and row; sizes, padding, loading, normalisation."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.ragged import Ragged
from prodrec.core.data import batches
from prodrec.core.data.batches import RowBatches, load_batches, sequential_order, shuffled_order
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.data.photos.views import read_stored_photo, scoring_views

PHOTOS = PhotoConfig(image_size="24x18")


class Store:
    """Photos in memory: encoded as `kind`."""

    def __init__(self, count: int, kind: str = "JPEG", *, all_jpeg: bool = True) -> None:
        random = np.random.default_rng(0)
        self.pixels = [random.integers(0, 256, (30 + i % 5, 20 + i % 7, 3), dtype=np.uint8) for i in range(count)]
        self.kind, self.all_jpeg = kind, all_jpeg

    def read(self, row: int) -> bytes:
        data = io.BytesIO()
        Image.fromarray(self.pixels[row]).save(data, self.kind, quality=95)
        return data.getvalue()

    def decode(self, row: int) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.read(row))).convert("RGB")).transpose(2, 0, 1).copy()


def ragged_of(*rows: object) -> Ragged:
    return Ragged.from_lengths(
        np.concatenate([np.array(row, np.int32) for row in rows]), np.array(list(map(len, rows)))
    )


def dataset_of(count: int = 20, **store: object) -> SimpleNamespace:
    return SimpleNamespace(
        photos=Store(count, **store),
        features_ND=None,
        require_inputs=lambda: None,
        labels_NL=np.stack([np.arange(count) % 2, np.arange(count)], axis=1).astype(np.int32),
        attributes_NA=np.arange(count, dtype=np.int32)[:, None] % 3,
        tokens=ragged_of(*(range(1, 1 + i % 4) for i in range(count))),
    )


def test_a_batch_contains_its_rows():
    batch = RowBatches(dataset_of(), PHOTOS, augment=False).batch(np.array([4, 2, 7]))
    assert len(batch) == 3 and batch.rows_B.tolist() == [4, 2, 7]
    assert batch.inputs.shape == (3, 3, 24, 18) and batch.inputs.dtype == torch.uint8
    assert batch.labels_BL.tolist() == [[0, 4], [0, 2], [1, 7]] and batch.attributes_BA.tolist() == [[1], [2], [1]]
    assert batch.tokens_BT.tolist() == [[0, 0, 0], [1, 2, 0], [1, 2, 3]]


def test_the_global_size_is_the_number_of_rows_unless_the_batch_is_a_shard():
    batch = RowBatches(dataset_of(), PHOTOS, augment=False).batch(np.array([4, 2, 7]))
    assert batch.global_size == 3
    shard = replace(batch, global_size=12)
    assert shard.global_size == 12 == shard.to_device(torch.device("cpu"), PHOTOS).global_size
    empty = RowBatches(dataset_of(), PHOTOS, augment=False).batch(np.array([], np.int64))
    assert empty.global_size == 0 and replace(empty, global_size=12).global_size == 12


def test_the_progress_is_zero_outside_a_training_and_stays_with_the_batch():
    batch = RowBatches(dataset_of(), PHOTOS, augment=False).batch(np.array([4, 2, 7]))
    assert batch.progress == 0
    assert replace(batch, progress=0.25).to_device(torch.device("cpu"), PHOTOS).progress == 0.25


def test_an_augmented_photo_depends_only_on_seed_epoch_and_row():
    data = dataset_of()

    def photo(row, *, among, **of):
        batch = RowBatches(data, PHOTOS, augment=True, **of).batch(np.array(among))
        return batch.inputs[among.index(row)]

    one = photo(5, among=[5], seed=1, epoch=2)
    assert torch.equal(one, photo(5, among=[3, 9, 5], seed=1, epoch=2))
    assert not torch.equal(one, photo(5, among=[5], seed=1, epoch=3))
    assert not torch.equal(one, photo(5, among=[5], seed=2, epoch=2))


@pytest.fixture
def always_workers(monkeypatch):
    monkeypatch.setattr(batches, "FEW_PHOTOS", 0)


def test_workers_load_the_same_batches_in_order(always_workers):
    data, order = dataset_of(), sequential_order(np.arange(20), batch_size=6)
    source = RowBatches(data, PHOTOS, augment=True, seed=3, epoch=1)
    single, parallel = list(load_batches(source, order, workers=0)), list(load_batches(source, order, workers=2))
    assert [len(batch) for batch in single] == [6, 6, 6, 2]
    for a, b in zip(single, parallel, strict=True):
        assert torch.equal(a.rows_B, b.rows_B) and torch.equal(a.inputs, b.inputs)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_cannot_be_read_raises_one_sentence_even_from_a_worker(always_workers, workers):
    data = dataset_of()

    def decode_missing(row):
        raise BadArtefact(f"photo of row {row} is missing; prepare the dataset again.")

    data.photos.all_jpeg, data.photos.decode = False, decode_missing
    source = RowBatches(data, PHOTOS, augment=False)
    with pytest.raises(BadArtefact) as caught:
        list(load_batches(source, sequential_order(np.arange(4), batch_size=2), workers=workers))
    assert str(caught.value) == "photo of row 0 is missing; prepare the dataset again."


@pytest.mark.parametrize(("rows", "workers"), [(19, 0), (20, 2)])
def test_few_photos_are_loaded_without_a_worker(monkeypatch, rows, workers):
    requested = []
    monkeypatch.setattr(batches, "FEW_PHOTOS", 19)
    monkeypatch.setattr(batches, "DataLoader", lambda *_, num_workers, **__: requested.append(num_workers) or [])
    source = RowBatches(dataset_of(), PHOTOS, augment=False)
    assert list(load_batches(source, sequential_order(np.arange(rows), batch_size=6), workers=2)) == []
    assert requested == [workers]


@pytest.mark.parametrize(
    ("views", "free", "workers"), [("centre", 38_880, 2), ("centre", 38_879, 0), ("flip", 38_880, 0)]
)
def test_without_shared_memory_this_process_loads(always_workers, monkeypatch, capsys, views, free, workers):
    """Five batches of six photos are needed: one in use, and two that each of two processes has loaded in advance."""
    requested = []
    monkeypatch.setattr(batches, "DataLoader", lambda *_, num_workers, **__: requested.append(num_workers) or [])
    monkeypatch.setattr(batches.memory, "shared_available", lambda: free)
    source = RowBatches(dataset_of(), PHOTOS, augment=False, views=views)
    batches._report_small_shared_memory.cache_clear()
    for _ in range(2):
        assert list(load_batches(source, sequential_order(np.arange(20), batch_size=6), workers=2)) == []
    assert requested == [workers, workers]
    remarks = " ".join(capsys.readouterr().err.split()).count("this process loads them. In Docker, --shm-size=2g")
    assert remarks == (workers == 0)


def test_a_photo_that_the_fast_decoder_refuses_is_decoded_by_pillow():
    data = dataset_of()
    whole = data.photos.read(0)
    data.photos.read = lambda row: b"no JPEG"
    data.photos.decode = lambda row: np.asarray(Image.open(io.BytesIO(whole))).transpose(2, 0, 1).copy()
    expected = RowBatches(dataset_of(), PHOTOS, augment=False).batch(np.array([0]))
    batch = RowBatches(data, PHOTOS, augment=False).batch(np.array([0]))
    assert torch.equal(batch.inputs, expected.inputs)


def test_loading_draws_nothing_from_the_global_generator():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    source = RowBatches(dataset_of(), PHOTOS, augment=True)
    list(load_batches(source, sequential_order(np.arange(4), batch_size=2), workers=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_shuffled_order_contains_every_row_once_in_batches_of_almost_equal_size():
    rows = np.arange(100, 203)
    order = shuffled_order(rows, batch_size=10, seed=0, epoch=0)
    assert sorted(np.concatenate(order)) == rows.tolist()
    assert {len(batch) for batch in order} == {9, 10}
    again, other = (shuffled_order(rows, batch_size=10, seed=0, epoch=e) for e in (0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(order, again, strict=True))
    assert not np.array_equal(np.concatenate(order), np.concatenate(other))


def test_both_decoders_give_the_same_pixels_for_a_stored_jpeg():
    fast = RowBatches(dataset_of(), PHOTOS, augment=False).batch(np.arange(5)).inputs
    general = RowBatches(dataset_of(all_jpeg=False), PHOTOS, augment=False).batch(np.arange(5)).inputs
    assert torch.equal(fast, general)
    png = RowBatches(dataset_of(kind="PNG", all_jpeg=False), PHOTOS, augment=False).batch(np.arange(5)).inputs
    assert (png.float() - fast.float()).abs().mean() < 25  # the same noise, apart from JPEG's loss


def test_to_device_normalises():
    batch = RowBatches(dataset_of(), PHOTOS, augment=False).batch(np.arange(3))
    photos = PhotoConfig(image_size="24x18", mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))
    ready = batch.to_device(torch.device("cpu"), photos, channels_last=True)
    expected = (batch.inputs.float() / 255 - torch.tensor(photos.mean).view(3, 1, 1)) / torch.tensor(photos.std).view(
        3, 1, 1
    )
    torch.testing.assert_close(ready.inputs, expected)
    assert ready.inputs.is_contiguous(memory_format=torch.channels_last)
    assert batch.inputs.dtype == torch.uint8  # the loaded batch is unchanged


def test_titles_are_padded_to_the_longest_and_to_one_word_at_least():
    assert ragged_of([3, 1], []).padded([0, 1]).tolist() == [[3, 1], [0, 0]]
    assert ragged_of([]).padded([0]).tolist() == [[0]]


@pytest.mark.parametrize(("views", "count"), [("centre", 1), ("flip", 2), ("five-crop", 5)])
def test_a_batch_has_the_views_of_all_photos_one_after_the_other(views, count):
    data, rows = dataset_of(), np.array([4, 2, 7])
    batch = RowBatches(data, PHOTOS, augment=False, views=views).batch(rows)
    assert batch.views == count and len(batch) == 3 and batch.inputs.shape == (3 * count, 3, 24, 18)
    for at, row in enumerate(rows.tolist()):
        expected = scoring_views(read_stored_photo(data.photos, row), PHOTOS, views)
        assert all(torch.equal(batch.inputs[view * 3 + at], expected[view]) for view in range(count))
    assert batch.to_device(torch.device("cpu"), PHOTOS).views == count
    assert RowBatches(data, PHOTOS, augment=False, views=views).batch(rows[:0]).views == 1
