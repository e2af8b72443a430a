"""Checkpoints: what is saved comes back, damaged files are passed over, other runs are refused."""

from __future__ import annotations

import pytest
import torch

from prodrec.core.errors import BadArtefact, Mismatch
from prodrec.core.training.checkpoint import load_checkpoint, save_checkpoint
from prodrec.core.training.loop import Position

from .test_loop import run_through


def test_round_trip_of_weights_optimiser_average_position_and_random_numbers(tmp_path, prepared, trainee_of):
    trainee = trainee_of(epochs=1, ema=0.9)
    run_through(trainee, prepared)
    position = Position(epoch=1, batch=2, step=9, sums={"loss": 1.5}, count=2)
    save_checkpoint(tmp_path, trainee, position, run="me", extra={"history": [{"epoch": 1}]})
    drawn = torch.rand(3)

    fresh = trainee_of(epochs=1, ema=0.9)
    found = load_checkpoint(tmp_path, fresh, run="me")
    assert found == (position, {"history": [{"epoch": 1}]})
    assert torch.equal(torch.rand(3), drawn)
    for a, b in zip(trainee.network.state_dict().values(), fresh.network.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(trainee.to_keep.state_dict().values(), fresh.to_keep.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    momenta = [[s["momentum_buffer"] for s in t.optimizer.state_dict()["state"].values()] for t in (trainee, fresh)]
    assert all(torch.equal(a, b) for a, b in zip(*momenta, strict=True))


def test_two_newest_are_kept_and_a_damaged_one_is_passed_over(tmp_path, trainee_of, capsys):
    trainee = trainee_of()
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, trainee, Position(step=step), run="me", extra={})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002.pt", "step-00000003.pt"]
    newest = tmp_path / "step-00000003.pt"
    newest.write_bytes(newest.read_bytes()[:-200])
    found = load_checkpoint(tmp_path, trainee, run="me")
    assert found is not None and found[0].step == 2
    assert "step-00000003.pt does not load" in capsys.readouterr().err
    for path in tmp_path.glob("step-*.pt"):
        path.write_bytes(b"no checkpoint")
    with pytest.raises(BadArtefact, match="none of the 2 checkpoints"):
        load_checkpoint(tmp_path, trainee, run="me")


def test_no_checkpoint_is_a_fresh_start(tmp_path, trainee_of):
    assert load_checkpoint(tmp_path, trainee_of(), run="me") is None


def test_a_checkpoint_of_another_run_is_refused(tmp_path, trainee_of):
    save_checkpoint(tmp_path, trainee_of(), Position(step=1), run="you", extra={})
    with pytest.raises(Mismatch, match="belongs to another run"):
        load_checkpoint(tmp_path, trainee_of(), run="me")
