"""Checkpoints load on any number of ranks. Damaged ones are skipped, and those of another run are refused."""

from __future__ import annotations

import json
import pickle
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from prodrec.core.base import dist, memory
from prodrec.core.base.errors import BadArtefact, Mismatch, ProdrecError
from prodrec.core.training.checkpoint import Checkpoints
from prodrec.core.training.checkpoint_files import CheckpointWriter, has_checkpoint
from prodrec.core.training.checkpoint_tensors import checkpoint_tensors
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.loop import Position
from prodrec.core.training.train_state import TrainState, make_train_state

CLASSES = 7


class Shared(nn.Module):
    """A convolution, batch norm, and a classifier of which rank r stores the classes from cuts[r] to cuts[r + 1]."""

    def __init__(self, cuts: Sequence[int] | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        first, last = (0, CLASSES) if cuts is None else (cuts[dist.rank()], cuts[dist.rank() + 1])
        self.first = None if cuts is None else first
        self.weight, self.bias = nn.Parameter(torch.zeros(last - first, 5)), nn.Parameter(torch.zeros(last - first))

    def shards(self) -> dict[str, dist.Shard]:
        return {} if self.first is None else dict.fromkeys(("weight", "bias"), dist.Shard(self.first, CLASSES))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"all": list(self.parameters())}

    def update_in_backward(self, optimizer: torch.optim.SGD) -> None:
        pass


def new_train_state(cuts: Sequence[int] | None = None, **settings: Any) -> TrainState:
    return make_train_state(Shared(cuts), TrainingConfig(**{"ema": 0.9, **settings}), torch.device("cpu"))  # type: ignore[arg-type]


def fill(train_state: TrainState, number: int) -> dict[str, torch.Tensor]:
    """Set every tensor to its values for `number`, and return weights to save as the best ones."""
    best = {name: torch.empty_like(tensor) for name, tensor in train_state.network_to_save.state_dict().items()}
    for name, (tensor, values) in tensors_and_values(train_state, best, number).items():
        assert tensor.shape == values.shape, name
        tensor.copy_(values)
    return best


def tensors_and_values(
    train_state: TrainState, best: dict[str, torch.Tensor], number: int
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return every tensor with its values for `number`, which do not depend on the sharding."""
    pairs = {}
    tensors, shards = checkpoint_tensors(train_state, best)
    for i, (name, tensor) in enumerate(tensors.items()):
        shape = torch.Size([CLASSES, *tensor.shape[1:]]) if name in shards else tensor.shape
        values = (torch.arange(float(shape.numel())) + 1000 * number + 0.1 * i).reshape(shape).to(tensor.dtype)
        if name in shards:
            values = values[shards[name].first : shards[name].first + len(tensor)]
        pairs[name] = tensor, values
    return pairs


def assert_filled(train_state: TrainState, best: dict[str, torch.Tensor], number: int) -> None:
    for name, (tensor, values) in tensors_and_values(train_state, best, number).items():
        assert torch.equal(tensor, values), name


def save(place: Path, step: int, train_state: TrainState | None = None, *, run: str = "me") -> None:
    """Save a checkpoint of `step` with the values for the number `step`."""
    train_state = train_state or new_train_state()
    best = fill(train_state, step)
    checkpoints = Checkpoints(place, run=run)
    checkpoints.save(train_state, Position(step=step), extra={"step": step}, best_weights=best)
    checkpoints.wait()


def test_a_checkpoint_restores_tensors_position_and_values(tmp_path: Path) -> None:
    train_state, position = new_train_state(), Position(epoch=1, batch=2, step=9, sums={"loss": 0.1 + 0.2}, count=2)
    best = fill(train_state, 1)
    checkpoints = Checkpoints(tmp_path / "checkpoints", run="me")
    assert checkpoints.load(new_train_state()) is None and not has_checkpoint(tmp_path / "checkpoints")
    extra = {"history": [{"loss": 1 / 3, "top1": None}]}
    checkpoints.save(train_state, position, extra=extra, best_weights=best)
    fill(train_state, 2)  # training continues while the files are written
    extra["history"][0]["loss"] = 0.0
    extra["history"].append({"loss": 2.0})
    checkpoints.wait()

    fresh = new_train_state()
    loaded = Checkpoints(tmp_path / "checkpoints", run="me").load(fresh)
    assert loaded is not None and (loaded.position, loaded.extra) == (
        position,
        {"history": [{"loss": 1 / 3, "top1": None}]},
    )
    assert_filled(fresh, loaded.best_weights, 1)
    assert {"network.body.1.running_var", "average.module.weight", "average.n_averaged", "best.bias"} < set(
        tensors_and_values(fresh, loaded.best_weights, 1)
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_initial_optimizer_state_changes_no_step(optimizer: str) -> None:
    def train(*, initialize: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        train_state = new_train_state(optimizer=optimizer, ema=0.0, lr=0.1)
        if initialize:
            checkpoint_tensors(train_state, {})
        for _ in range(4):
            for parameter in train_state.network.parameters():
                parameter.grad = torch.randn_like(parameter)
            train_state.optimizer.step()
        return list(train_state.network.parameters())

    assert all(torch.equal(a, b) for a, b in zip(train(initialize=False), train(initialize=True), strict=True))


def test_a_parameter_may_wait_for_its_first_gradient() -> None:
    """A parameter of the titles does. torch's fused SGD (2.15) fails if only some parameters have momentum."""
    train_state = new_train_state(ema=0.0)
    plain = {name: p.detach().clone().requires_grad_() for name, p in train_state.network.named_parameters()}  # type: ignore[attr-defined]
    oracle = torch.optim.SGD([{"params": [p], "weight_decay": 1e-4 * (p.ndim > 1)} for p in plain.values()], 0.1, 0.9)
    checkpoint_tensors(train_state, {})
    for step in range(3):
        for number, (name, parameter) in enumerate(train_state.network.named_parameters()):  # type: ignore[attr-defined]
            parameter.grad = plain[name].grad = torch.ones_like(parameter) if step or number % 2 else None
        train_state.optimizer.step()
        oracle.step()
    for name, parameter in train_state.network.named_parameters():  # type: ignore[attr-defined]
        torch.testing.assert_close(parameter, plain[name])


# --- ranks


def write_on_two(place: Path) -> None:
    save(place / "two", 2, new_train_state([0, 5, 7]))


def read_on_three(place: Path) -> list[str]:
    for name, number, cuts in (("two", 2, [0, 0, 3, 7]), ("one", 1, [0, 3, 3, 7]), ("two", 2, None)):
        train_state = new_train_state(cuts)
        loaded = Checkpoints(place / name, run="me").load(train_state)
        assert loaded is not None
        assert_filled(train_state, loaded.best_weights, number)
    save(place / "three", 3, new_train_state([0, 3, 3, 7], optimizer="adamw"))
    messages = []
    for problem in (OSError(28, "No space left on device"), KeyboardInterrupt()):
        if dist.rank() == 1:
            CheckpointWriter.write_data = lambda *_, problem=problem: (_ for _ in ()).throw(problem)  # type: ignore[method-assign]
        try:
            save(place / "three", 4, new_train_state([0, 3, 3, 7], optimizer="adamw"))
        except (ProdrecError, KeyboardInterrupt) as error:
            messages.append(repr(error))
        dist.barrier()
    return [*messages, *sorted(path.name for path in (place / "three").iterdir())]


def test_any_number_of_ranks_loads_the_checkpoint_of_any_other(tmp_path: Path, on_ranks: Any) -> None:
    save(tmp_path / "one", 1)
    on_ranks(2, write_on_two, tmp_path)
    for message, interrupted, *left in on_ranks(3, read_on_three, tmp_path):
        assert "step-00000004 could not be written (rank 1: OSError: [Errno 28] No space left on device)" in message
        assert "the one before it is complete" in message and interrupted == "KeyboardInterrupt()"
        assert left == ["step-00000003"] or left == [".step-00000004.partial", "step-00000003"]
    for name, number, settings in (("two", 2, {}), ("three", 3, {"optimizer": "adamw"})):
        train_state = new_train_state(**settings)
        loaded = Checkpoints(tmp_path / name, run="me").load(train_state)
        assert loaded is not None
        assert_filled(train_state, loaded.best_weights, number)
    header = json.loads((tmp_path / "three/step-00000003/checkpoint.json").read_text())
    assert header["ranks"] == 3 and header["made_by"]["torch"] == torch.__version__


# --- errors


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def remove(path: Path) -> None:
    path.unlink()


def garble(path: Path) -> None:
    path.write_bytes(b"no checkpoint")


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("code of a checkpoint was run",))


def set_trap(path: Path) -> None:
    path.write_bytes(pickle.dumps(Trap()))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("__0_0.distcp", truncate),
        ("__0_0.distcp", remove),
        (".metadata", remove),
        (".metadata", garble),
        (".metadata", set_trap),
        ("checkpoint.json", remove),
        ("checkpoint.json", garble),
    ],
)
def test_a_damaged_checkpoint_is_skipped(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, damage: Any
) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    damage(tmp_path / "step-00000003" / name)
    train_state = new_train_state()
    capfd.readouterr()
    loaded = Checkpoints(tmp_path, run="me").load(train_state)
    assert loaded is not None and loaded.position.step == 2
    assert_filled(train_state, loaded.best_weights, 2)
    messages = capfd.readouterr().err.strip().splitlines()
    assert (
        len(messages) == 1 and "step-00000003 does not load (" in messages[0] and "trying the one before" in messages[0]
    )
    save(tmp_path, 3)  # training reaches this step again
    assert Checkpoints(tmp_path, run="me").load(train_state).position.step == 3  # type: ignore[union-attr]


def test_a_damaged_checkpoint_of_a_later_step_is_removed_before_an_intact_one(tmp_path: Path) -> None:
    for step in (1, 2, 9):
        save(tmp_path, step)
    remove(tmp_path / "step-00000009/.metadata")
    train_state = new_train_state()
    Checkpoints(tmp_path, run="me").load(train_state)
    save(tmp_path, 3, train_state)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]


def test_the_error_of_no_readable_checkpoint_names_the_versions_of_torch(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, step)
        remove(tmp_path / f"step-{step:08d}/.metadata")
        header = tmp_path / f"step-{step:08d}/checkpoint.json"
        content = json.loads(header.read_text())
        header.write_text(json.dumps({**content, "made_by": {"torch": "9.9.0"}}))
    with pytest.raises(BadArtefact, match=rf"torch {torch.__version__[:4]}.*; torch 9\.9\.0 wrote the last: resume"):
        Checkpoints(tmp_path, run="me").load(new_train_state())


def test_another_network_or_another_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, 1)
    with pytest.raises(BadArtefact, match="none of the 1 checkpoints"):
        Checkpoints(tmp_path, run="me").load(new_train_state(optimizer="adamw"))
    assert "it contains nothing as optimizer." in capsys.readouterr().err
    with pytest.raises(Mismatch, match="belongs to another run"):
        Checkpoints(tmp_path, run="you").load(new_train_state())


@contextmanager
def full_disk() -> Iterator[None]:
    """Limit the size of files to a kilobyte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("free_memory", [0, 2**40])
def test_a_full_disk_is_an_error_and_the_checkpoint_before_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_memory: int
) -> None:
    """Checkpoints are written in the background, or at once if there is no memory for a copy."""
    monkeypatch.setattr(memory, "available", lambda: free_memory)
    (tmp_path / ".step-00000000.partial").mkdir()  # left by a process that was killed
    train_state = new_train_state()
    checkpoints = Checkpoints(tmp_path, run="me")
    assert checkpoints.load(train_state) is None and not list(tmp_path.iterdir())
    with full_disk(), pytest.raises(ProdrecError, match=r"step-00000001 could not be written.*there is none before it"):
        save(tmp_path, 1)
    save(tmp_path, 2)
    with full_disk():
        if free_memory:
            checkpoints.save(train_state, Position(step=3), extra={})
        with pytest.raises(
            ProdrecError, match=r"step-0000000\d could not be written \(.*\); the one before it is complete"
        ):
            checkpoints.save(train_state, Position(step=4), extra={})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]
    loaded = checkpoints.load(train_state)
    assert loaded is not None and loaded.position.step == 2


def test_without_moving_average_and_best(tmp_path: Path) -> None:
    train_state = new_train_state(ema=0.0)
    checkpoints = Checkpoints(tmp_path, run="me")
    checkpoints.save(train_state, Position(step=1), extra={})
    checkpoints.wait()
    loaded = checkpoints.load(replace(train_state))
    assert loaded is not None and loaded.best_weights == {}
