"""A loss that is not finite raises an error on every rank before weights, momentum or moving average change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prodrec.core.base import dist
from prodrec.core.base.errors import ProdrecError
from prodrec.core.data.batches import Batch
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.loop import Position, train_steps
from prodrec.core.training.train_state import TrainState, make_train_state
from prodrec.models.classifier.classifier import Classifier

from .conftest import TinyLosses

ROWS, CLASSES, GOOD_BATCHES = 6, 5, 4

CASES: dict[str, dict[str, Any]] = {
    "fused": {"sharded": True},
    "fused, adamw": {"sharded": True, "optimizer": "adamw"},
    "not fused": {"sharded": True, "fused_update": "no"},
    "not fused, adamw": {"sharded": True, "fused_update": "no", "optimizer": "adamw"},
    "not sharded": {"sharded": False},
    "accumulated": {"sharded": False, "accumulate": 2},
    "clipped": {"sharded": True, "clip_norm": 0.1},
}
FUSED_ON_ONE_RANK = {"fused", "fused, adamw", "not sharded"}
FUSED_ON_RANKS = {"fused", "fused, adamw"}


class Linear(nn.Module):
    """A linear layer and a classifier that can be updated within backward."""

    def __init__(self, *, sharded: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embed = nn.Linear(3, 4)
        self.classifier = Classifier(4, CLASSES, sharded=sharded)
        self.is_fused = False

    def loss(self, batch: Batch) -> TinyLosses:
        weights_B = torch.full((len(batch),), 1 / batch.global_size)
        total, loss_B = self.classifier.loss(self.embed(batch.inputs), batch.labels_BL[:, 0], weights_B=weights_B)
        return TinyLosses(total, {"visual": loss_B.sum() / batch.global_size})

    def shards(self) -> dict[str, dist.Shard]:
        shard = self.classifier.shard
        return {} if shard is None else dict.fromkeys(("classifier.weight", "classifier.bias"), shard)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"all": list(self.parameters())}

    def update_in_backward(self, optimizer: torch.optim.Optimizer) -> None:
        if self.classifier.can_update_in_backward:
            self.classifier.update_in_backward(optimizer)
            self.is_fused = True


def load_epoch(_epoch: int, skip: int) -> Iterator[Batch]:
    """Yield this rank's rows of the batches. The fifth batch has a NaN, in a row of the last rank."""
    local = dist.shard_slice(ROWS)
    for number in range(skip, GOOD_BATCHES + 2):
        generator = torch.Generator().manual_seed(number)
        inputs = torch.randn(ROWS, 3, generator=generator)
        if number == GOOD_BATCHES:
            inputs[-1, 0] = torch.nan
        labels_BL = torch.randint(CLASSES, (ROWS, 1), generator=generator)
        rows_B = torch.arange(ROWS)[local]
        empty = torch.zeros(len(rows_B), 0, dtype=torch.int64)
        yield Batch(rows_B, inputs[local], labels_BL[local], empty, empty, global_size=ROWS)


def copy_tensors(train_state: TrainState) -> list[Tensor]:
    """Return copies of all tensors that a step changes: weights, state of the optimizer, moving average."""
    assert isinstance(train_state.network, nn.Module) and train_state.average is not None
    optimizer_state = [value for state in train_state.optimizer.state.values() for value in state.values()]
    tensors = [*train_state.network.state_dict().values(), *optimizer_state, *train_state.average.state_dict().values()]
    return [tensor.detach().clone() for tensor in tensors]


def train_until_the_error(name: str) -> dict[str, Any]:
    settings = {"ema": 0.9, "lr": 0.1, "schedule": "constant", "epochs": 1.0, **CASES[name]}
    network = Linear(sharded=settings.pop("sharded"))
    train_state = make_train_state(network, TrainingConfig(**settings), torch.device("cpu"))  # type: ignore[arg-type]
    steps = train_steps(train_state, load_epoch, batches_per_epoch=GOOD_BATCHES + 2, position=Position())
    losses = [next(steps).losses for _ in range(GOOD_BATCHES // train_state.config.accumulate)]
    before = copy_tensors(train_state)
    assert any(tensor.abs().sum() > 0 for tensor in before)
    with pytest.raises(ProdrecError) as caught:
        next(steps)
    after = copy_tensors(train_state)
    unchanged = len(before) == len(after) and all(map(torch.equal, before, after))
    return {"losses": losses, "error": str(caught.value), "unchanged": unchanged, "fused": network.is_fused}


def train_all_cases() -> dict[str, dict[str, Any]]:
    return {name: train_until_the_error(name) for name in CASES}


ERROR = "the loss became nan at learning rate 0.1; try a lower lr, or warmup_epochs."


def test_an_infinite_loss_changes_nothing_on_one_rank() -> None:
    results = train_all_cases()
    assert {name for name, result in results.items() if result["fused"]} == FUSED_ON_ONE_RANK
    for name, result in results.items():
        assert result["unchanged"], name
        assert result["error"] == ERROR, name


def test_an_infinite_loss_on_one_of_two_ranks_is_an_error_of_both_and_changes_nothing(
    on_ranks: Callable[..., list[Any]],
) -> None:
    for results in on_ranks(2, train_all_cases):
        assert {name for name, result in results.items() if result["fused"]} == FUSED_ON_RANKS
        for name, result in results.items():
            assert result["unchanged"], name
            assert result["error"] == ERROR, name


@pytest.mark.parametrize("optimizer", ["", ", adamw"])
def test_losses_of_fused_and_plain_updates_agree(optimizer: str) -> None:
    fused, plain = train_until_the_error(f"fused{optimizer}"), train_until_the_error(f"not fused{optimizer}")
    assert fused["fused"] and not plain["fused"]
    for step, other in zip(fused["losses"], plain["losses"], strict=True):
        assert step == pytest.approx(other, rel=1e-5)
