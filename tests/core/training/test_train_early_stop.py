"""Early stopping: the epoch at which training ends, the weights that are kept, and the same bits after a kill."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from prodrec.core.training import train as train_module
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.loop import Position
from prodrec.core.training.progress import BestEpoch, Progress
from prodrec.core.training.run import open_run
from prodrec.core.training.train import train

from .conftest import PHOTOS

NOISY = {"epochs": 7.5, "lr": 0.3, "schedule": "constant"}
CASES: list[dict[str, Any]] = [
    {"stop_after": 1},
    {"stop_after": 2, "best_measure": "macc"},
    {"stop_after": 1, "ema": 0.5},
    {"stop_after": 1, "head_epochs": 0.5},
    {"stop_after": 1, "head_epochs": 1.5},
    {"stop_after": 2, "keep": "last"},
]


class PowerCut(BaseException):
    """Ends training as kill -9 does: no code catches it or saves anything."""


def expected_epochs(values: list[float], *, stop_after: int, head_epochs: float = 0.0) -> tuple[int, int]:
    """Return the number of epochs and the best one, by counting the epochs in a row that are no better."""
    best, best_value, in_a_row = 0, -1.0, 0
    for epoch, value in enumerate(values, start=1):
        in_a_row += 1
        if value > best_value:
            best, best_value, in_a_row = epoch, value, 0
        if epoch - 1 < head_epochs:
            in_a_row = 0
        if in_a_row == stop_after:
            return epoch, best
    return len(values), best


@pytest.mark.parametrize("settings", CASES)
def test_training_stops_when_no_epoch_is_better_and_keeps_the_best_one(
    prepared: Any, new_train_state: Any, new_run: Any, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    others = {key: value for key, value in settings.items() if key in ("ema", "head_epochs")}
    whole = train(new_run("whole"), prepared, new_train_state(**NOISY, **others), PHOTOS)
    rows = whole.header["result"]["epochs"]
    values = [row[f"validation_{settings.get('best_measure', 'top1')}"] for row in rows]
    epochs, best = expected_epochs(
        values, stop_after=settings["stop_after"], head_epochs=settings.get("head_epochs", 0)
    )
    assert best < epochs < len(values), "the case must stop early"

    capsys.readouterr()
    stopped = train(new_run("stopped"), prepared, new_train_state(**NOISY, **settings), PHOTOS)
    kept = epochs if settings.get("keep") == "last" else best
    result = stopped.header["result"]
    assert result["epochs"] == rows[:epochs] and (result["best_epoch"], result["kept_epoch"]) == (best, kept)
    assert stopped.kept_row == rows[kept - 1] and result["steps"] == rows[epochs - 1]["step"]
    message = capsys.readouterr().err
    assert f"stopped after epoch {epochs} of 7.5" in message and f"has the weights of epoch {kept}." in message

    if kept <= settings.get("head_epochs", 0):
        return  # a training of the first stage alone has other settings
    shorter = new_train_state(**{**NOISY, **others, "epochs": float(kept)})
    same = train(new_run("same"), prepared, shorter, PHOTOS)
    assert same.header["result"]["kept_epoch"] == kept
    for name, tensor in stopped.weights().items():
        assert torch.equal(tensor, same.weights()[name]), name


@pytest.mark.parametrize("cut_at", ["middle", "before the last epoch", "last step", "finish"])
@pytest.mark.parametrize("settings", [{}, {"ema": 0.5}])
def test_a_killed_training_stops_at_the_same_epoch_with_the_same_bits(
    prepared: Any, new_train_state: Any, new_run: Any, monkeypatch: pytest.MonkeyPatch, cut_at: str, settings: Any
) -> None:
    settings = {**NOISY, "stop_after": 1, "checkpoint_minutes": 1e-9, **settings}
    straight = train(new_run("straight"), prepared, new_train_state(**settings), PHOTOS)
    rows = straight.header["result"]["epochs"]
    steps = {"middle": rows[-1]["step"] - 2, "before the last epoch": rows[-2]["step"], "last step": rows[-1]["step"]}
    cut = new_run("cut")
    real = train_module.train_steps

    def with_power_cut(*args: Any, **kwargs: Any) -> Any:
        for step in real(*args, **kwargs):
            if step.step == steps.get(cut_at):
                raise PowerCut
            yield step

    def no_finish(*_args: Any, **_kwargs: Any) -> Any:
        raise PowerCut

    with monkeypatch.context() as patched, pytest.raises(PowerCut):
        patched.setattr(train_module, "train_steps", with_power_cut)
        patched.setattr(train_module, "finish_run", no_finish)
        train(cut, prepared, new_train_state(**settings), PHOTOS)
    assert not open_run(cut.path).finished
    torch.manual_seed(99)
    resumed = train(open_run(cut.path), prepared, new_train_state(**settings), PHOTOS)
    for name, tensor in straight.weights().items():
        assert torch.equal(tensor, resumed.weights()[name]), name
    assert resumed.header["result"] == straight.header["result"]


def test_without_a_validated_epoch_nothing_stops() -> None:
    config = TrainingConfig(stop_after=1)
    assert not Progress(Position(epoch=9)).stops_early(config)
    assert Progress(Position(epoch=9), best=BestEpoch(8)).stops_early(config)
    assert not Progress(Position(epoch=9), best=BestEpoch(9)).stops_early(config)
    assert not Progress(Position(epoch=9), best=BestEpoch(2)).stops_early(TrainingConfig())


def test_the_weights_are_those_of_the_best_epoch_unless_keep_is_set() -> None:
    assert TrainingConfig(stop_after=2).keeps_best and TrainingConfig(keep="best").keeps_best
    assert not TrainingConfig().keeps_best and not TrainingConfig(stop_after=2, keep="last").keeps_best
    with pytest.raises(ValueError, match="best_measure=macc does nothing here; set keep=best or stop_after=5 too"):
        TrainingConfig(best_measure="macc")
    assert TrainingConfig(best_measure="macc", stop_after=5, keep="last").best_measure == "macc"


def test_a_run_of_an_older_version_has_the_weights_of_its_last_epoch(
    prepared: Any, new_train_state: Any, new_run: Any
) -> None:
    run = train(new_run(), prepared, new_train_state(epochs=2), PHOTOS)
    header = json.loads((run.path / "run.json").read_text("utf-8"))
    del header["result"]["kept_epoch"]
    (run.path / "run.json").write_text(json.dumps(header), "utf-8")
    assert open_run(run.path).kept_row["epoch"] == 2
    assert new_run("empty").kept_row == {}
