"""Training a run: the same bits after an interruption at any moment, the history, and the weights that are kept."""

from __future__ import annotations

import csv
import os
import signal
from dataclasses import replace

import pytest
import torch

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.errors import Interrupted, ProdrecError
from prodrec.core.training import train as train_module
from prodrec.core.training.run import open_run
from prodrec.core.training.train import train
from tests.conftest import PowerCut

from .conftest import PHOTOS


def weights_of(run):
    return {name: tensor for name, tensor in run.weights().items() if tensor.is_floating_point()}


@pytest.fixture(scope="module")
def uninterrupted():
    """Weights and history of the trainings that were not interrupted, by their settings."""
    return {}


@pytest.mark.parametrize("steps_until_cut", [1, 4, 7, 8, 9])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ema": 0.9, "keep": "best"},
        {"optimizer": "adamw", "lr": 0.01, "head_epochs": 0.7},
        {"sampler": "classes", "mixup": 0.4, "cutmix": 1.0},
    ],
)
def test_resumed_equals_uninterrupted_bit_for_bit(
    prepared, new_train_state, new_run, power_cut, uninterrupted, steps_until_cut, settings
):
    settings = {"epochs": 2, "checkpoint_minutes": 1e-9, **settings}
    if str(settings) not in uninterrupted:
        straight = train(new_run("straight"), prepared, new_train_state(**settings), PHOTOS)
        uninterrupted[str(settings)] = weights_of(straight), (straight.path / "history.csv").read_text()
    weights, history = uninterrupted[str(settings)]

    cut = new_run("cut")
    with power_cut(lambda step: step.step == steps_until_cut):
        train(cut, prepared, new_train_state(**settings), PHOTOS)
    torch.manual_seed(99)  # another process has other random numbers
    resumed = train(open_run(cut.path), prepared, new_train_state(**settings), PHOTOS, workers=0)

    assert weights_of(resumed).keys() == weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, weights_of(resumed)[name]), name
    assert (resumed.path / "history.csv").read_text() == history


def test_a_run_killed_before_its_first_step_continues_from_its_initial_weights(
    prepared, new_train_state, new_run, monkeypatch
):
    straight = train(new_run("straight"), prepared, new_train_state(epochs=1), PHOTOS)
    cut = new_run("cut")

    def cut_at_once(*_args, **_kwargs):
        raise PowerCut
        yield

    with monkeypatch.context() as patched, pytest.raises(PowerCut):
        patched.setattr(train_module, "train_steps", cut_at_once)
        train(cut, prepared, new_train_state(epochs=1), PHOTOS)
    empty = new_train_state(epochs=1)
    with torch.no_grad():
        for parameter in empty.network.parameters():
            parameter.zero_()
    resumed = train(open_run(cut.path), prepared, empty, PHOTOS)
    for name, tensor in weights_of(straight).items():
        assert torch.equal(tensor, weights_of(resumed)[name]), name


def test_workers_do_not_change_the_result(prepared, new_train_state, new_run):
    alone = train(new_run("alone"), prepared, new_train_state(epochs=1), PHOTOS, workers=0)
    with_workers = train(new_run("with-workers"), prepared, new_train_state(epochs=1), PHOTOS, workers=2)
    for name, tensor in weights_of(alone).items():
        assert torch.equal(tensor, weights_of(with_workers)[name]), name


def test_ctrl_c_saves_after_the_step_and_names_the_command_to_continue(prepared, new_train_state, new_run, monkeypatch):
    straight = train(new_run("straight"), prepared, new_train_state(epochs=2), PHOTOS)
    run = new_run("stopped")
    real = train_module.train_steps

    def press_ctrl_c(*args, **kwargs):
        for step in real(*args, **kwargs):
            if step.step == 3:
                os.kill(os.getpid(), signal.SIGINT)
            yield step

    monkeypatch.setattr(train_module, "train_steps", press_ctrl_c)
    with pytest.raises(Interrupted, match=r"stopped after step 3 of \d+; .*--out .*stopped --resume"):
        train(run, prepared, new_train_state(epochs=2), PHOTOS)
    monkeypatch.setattr(train_module, "train_steps", real)
    resumed = train(open_run(run.path), prepared, new_train_state(epochs=2), PHOTOS)
    for name, tensor in weights_of(straight).items():
        assert torch.equal(tensor, weights_of(resumed)[name]), name


def test_history_has_a_row_an_epoch_and_checkpoints_are_gone(prepared, new_train_state, new_run):
    run = train(new_run(), prepared, new_train_state(epochs=2), PHOTOS)
    with (run.path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert 0 <= float(rows[-1]["validation_top1"]) <= 1 and float(rows[-1]["loss_visual"]) > 0
    assert run.finished and not run.checkpoints.exists() and (run.path / "curves.svg").stat().st_size > 1000
    assert [epoch["epoch"] for epoch in run.header["result"]["epochs"]] == [1, 2]


def test_keep_best_keeps_the_weights_of_the_best_epoch(prepared, new_train_state, new_run):
    settings = {"epochs": 6, "lr": 0.3, "schedule": "constant"}
    best = train(new_run("best"), prepared, new_train_state(keep="best", **settings), PHOTOS)
    result = best.header["result"]
    top1 = [epoch["validation_top1"] for epoch in result["epochs"]]
    assert result["best_epoch"] == top1.index(max(top1)) + 1
    shorter = new_train_state(keep="last", **{**settings, "epochs": float(result["best_epoch"])})
    same = train(new_run("same"), prepared, shorter, PHOTOS)
    for name, tensor in weights_of(best).items():
        assert torch.equal(tensor, weights_of(same)[name]), name


@pytest.mark.parametrize("validation", [True, False])
def test_a_training_that_diverges_in_its_last_step_is_not_finished(
    prepared, new_train_state, new_run, monkeypatch, capsys, validation
):
    """Its last loss is finite, as it was computed before the update."""
    data = prepared if validation else replace(prepared, split_N=prepared.split_N * 0 + SPLITS.index("train"))
    real = train_module.train_steps

    def diverging_steps(train_state, *arguments, **options):
        for step in real(train_state, *arguments, **options):
            if step.epoch == 2 and step.ends_epoch:
                with torch.no_grad():
                    train_state.network.classifier.weight.fill_(3e38)
            yield step

    monkeypatch.setattr(train_module, "train_steps", diverging_steps)
    run = new_run()
    with pytest.raises(ProdrecError, match="of the network are no longer finite; try a lower lr"):
        train(run, data, new_train_state(epochs=2), PHOTOS)
    assert not open_run(run.path).finished and "epoch 2" not in capsys.readouterr().err
