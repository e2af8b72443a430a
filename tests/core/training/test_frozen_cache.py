from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from prodrec.core.base.errors import ProdrecError
from prodrec.core.data.batches import Batch, RowBatches
from prodrec.core.data.dataset import Dataset
from prodrec.core.training.frozen_cache import CACHE_FILE, frozen_cache
from prodrec.core.training.train_state import TrainState, make_train_state
from prodrec.core.training.training_batches import TrainingBatches
from tests.core.training.conftest import PHOTOS, TRAINING, TinyNetwork

VIEWS = dataclasses.replace(PHOTOS, views=2)


class HalfFrozenNetwork(TinyNetwork):
    """A tiny network whose convolution is frozen."""

    frozen_stage = "0"

    def frozen_maps(self, images_BCHW: Tensor) -> Tensor:
        return self.backbone[0](images_BCHW)


@pytest.fixture
def state(prepared: Dataset) -> TrainState:
    torch.manual_seed(0)
    network = HalfFrozenNetwork(prepared.taxonomy.count("leaf"), "leaf")
    return make_train_state(network, TRAINING, torch.device("cpu"))


def batches(data: Dataset, state: TrainState, cache: Any, epoch: int) -> list[Batch]:
    return list(TrainingBatches(data, VIEWS, state, workers=0, cache=cache)(epoch, 0))


def test_batches_have_the_output_of_the_frozen_stages(prepared: Dataset, state: TrainState, tmp_path: Path) -> None:
    with frozen_cache(tmp_path, prepared, VIEWS, state, epochs=5, workers=0) as cache:
        assert cache is not None and (tmp_path / CACHE_FILE).is_file()
        for epoch in (0, 1, 4):
            for photos, cached in zip(
                batches(prepared, state, None, epoch), batches(prepared, state, cache, epoch), strict=True
            ):
                assert photos.stage is None and cached.stage == "0"
                assert torch.equal(photos.rows_B, cached.rows_B) and cached.global_size == photos.global_size
                with torch.no_grad():
                    expected = state.network.frozen_maps(photos.inputs)
                torch.testing.assert_close(cached.inputs, expected, rtol=1e-3, atol=1e-3)
    assert not list(tmp_path.iterdir())


def test_views_take_turns(prepared: Dataset) -> None:
    def inputs(epoch: int, views: int | None) -> Tensor:
        photos = dataclasses.replace(PHOTOS, views=views)
        return RowBatches(prepared, photos, augment=True, epoch=epoch).batch(np.arange(8)).inputs

    assert torch.equal(inputs(0, 2), inputs(2, 2)) and torch.equal(inputs(1, 2), inputs(3, 2))
    assert not torch.equal(inputs(0, 2), inputs(1, 2)) and not torch.equal(inputs(0, None), inputs(2, None))
    assert torch.equal(inputs(1, 2), inputs(1, None))


@pytest.mark.parametrize("why", ["no views", "no frozen stage", "cache_frozen=no", "photos in pairs", "few epochs"])
def test_no_cache(why: str, prepared: Dataset, state: TrainState, tmp_path: Path) -> None:
    photos = PHOTOS if why == "no views" else VIEWS
    if why == "no frozen stage":
        state.network.frozen_stage = None  # type: ignore[misc]
    if why == "cache_frozen=no":
        state.config = dataclasses.replace(TRAINING, cache_frozen="no")
    if why == "photos in pairs":
        state.config = dataclasses.replace(TRAINING, mixup=0.2)
    epochs = 2 if why == "few epochs" else 5
    with frozen_cache(tmp_path, prepared, photos, state, epochs=epochs, workers=0) as cache:
        assert cache is None and not list(tmp_path.iterdir())


class Usage(NamedTuple):
    free: int


def test_small_disk(
    prepared: Dataset,
    state: TrainState,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(1000))
    with frozen_cache(tmp_path, prepared, VIEWS, state, epochs=5, workers=0) as cache:
        assert cache is None
    assert "it is computed in every step instead" in " ".join(capsys.readouterr().err.split())


def test_values_beyond_float16(prepared: Dataset, state: TrainState, tmp_path: Path) -> None:
    with torch.no_grad():
        state.network.backbone[0].weight.mul_(1e6)  # type: ignore[attr-defined]
    with pytest.raises(ProdrecError, match="add --set cache_frozen=no"):
        frozen_cache(tmp_path, prepared, VIEWS, state, epochs=5, workers=0).__enter__()
    assert not list(tmp_path.iterdir())


def test_interrupted_training_removes_the_file(prepared: Dataset, state: TrainState, tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        frozen_cache(tmp_path, prepared, VIEWS, state, epochs=5, workers=0),
    ):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
