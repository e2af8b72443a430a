"""The run directory is complete and can be moved, and no run is lost."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from prodrec.core.base.errors import BadArtefact, NotFound, OutputExists
from prodrec.core.training.run import finished_runs, open_run
from prodrec.core.training.write_run import finish_run, remove_leftovers


def test_a_run_contains_the_catalogue_and_moves_without_its_dataset(prepared, new_run, tmp_path):
    run = new_run("first", colour="red")
    assert not run.finished and run.recipe["colour"] == "red" and run.dataset_fingerprint == prepared.fingerprint
    done = finish_run(run, {"w": torch.arange(3.0)}, {"steps": 1})
    shutil.move(done.path, tmp_path / "elsewhere")
    moved = open_run(tmp_path / "elsewhere")
    assert moved.finished and moved.name == "elsewhere"
    assert moved.taxonomy.difference(prepared.taxonomy) is None
    assert moved.vocabulary.words == prepared.vocabulary.words
    assert np.array_equal(moved.train_images, prepared.train_images)
    assert torch.equal(moved.weights()["w"], torch.arange(3.0))


def test_a_run_is_shown_in_one_line(new_run, tmp_path):
    run = new_run("first")
    assert repr(run) == f"Run({tmp_path / 'first'}, tiny, training)"
    epochs = [{"epoch": 1}, {"epoch": 2, "validation_top1": 0.5, "validation_macc": 0.25}]
    done = finish_run(run, {"w": torch.zeros(1)}, {"epochs": epochs})
    assert repr(done) == f"Run({done.path}, tiny, finished, 2 epochs, validation top-1 50.00%, MACC 25.00%)"


def test_fingerprint_follows_recipe_and_weights(new_run):
    a, b = new_run("a"), new_run("b", lr=1)
    assert a.identity != b.identity
    one = finish_run(a, {"w": torch.zeros(2)}, {})
    other = finish_run(new_run("a", force=True), {"w": torch.ones(2)}, {})
    assert one.identity == other.identity and one.fingerprint != other.fingerprint


def test_an_existing_run_is_refused_with_the_remedy(new_run):
    run = new_run("first")
    with pytest.raises(OutputExists, match="unfinished run; add --resume"):
        new_run("first")
    finish_run(run, {"w": torch.zeros(1)}, {})
    with pytest.raises(OutputExists, match="finished run; add --force"):
        new_run("first")


def test_force_keeps_the_finished_run_until_the_new_one_is_finished(new_run, tmp_path):
    finish_run(new_run("first"), {"w": torch.zeros(1)}, {})
    new_run("first", force=True)
    new = new_run("first", force=True)  # a second try does not cost the finished run either
    previous = open_run(tmp_path / "first.previous")
    assert previous.finished and torch.equal(previous.weights()["w"], torch.zeros(1))
    with pytest.raises(NotFound, match="no finished run"):
        finished_runs(tmp_path)
    finish_run(new, {"w": torch.ones(1)}, {})
    assert not (tmp_path / "first.previous").exists()
    new.checkpoints.mkdir()  # as after a kill between the last two steps
    remove_leftovers(new)
    assert not new.checkpoints.exists()
    assert [run.name for run in finished_runs(tmp_path)] == ["first"]


def test_what_has_the_name_of_the_previous_run_and_no_mark_is_kept(new_run, tmp_path):
    (tmp_path / "first.previous").mkdir()
    (tmp_path / "first.previous" / "thesis.tex").write_text("years of work")
    finish_run(new_run("first"), {"w": torch.zeros(1)}, {})
    new_run("first", force=True)
    assert open_run(tmp_path / "first.previous-2").finished
    other_recipe = new_run("first", force=True, seed=1)  # a second try with other settings
    finish_run(other_recipe, {"w": torch.ones(1)}, {})
    assert sorted(path.name for path in tmp_path.glob("first*")) == ["first", "first.previous"]
    assert (tmp_path / "first.previous" / "thesis.tex").read_text() == "years of work"


def test_a_damaged_finished_run_can_be_replaced(new_run, tmp_path):
    finish_run(new_run("first"), {"w": torch.zeros(1)}, {})
    (tmp_path / "first" / "catalogue.json").write_text("{")
    assert not new_run("first", force=True).finished
    assert (tmp_path / "first.previous" / "catalogue.json").read_text() == "{"


def test_what_is_not_a_run_is_never_replaced(new_run, tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputExists, match="not a prodrec run"):
        new_run("first", force=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputExists, match="is a file"):
        new_run("file", force=True)


def test_damage_is_named(new_run, tmp_path):
    with pytest.raises(NotFound):
        open_run(tmp_path / "nothing")
    run = finish_run(new_run("first"), {"w": torch.zeros(1000)}, {})
    weights = run.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BadArtefact, match="is damaged"):
        run.weights()
    weights.unlink()
    with pytest.raises(BadArtefact, match=r"has no model\.safetensors"):
        run.weights()
    (run.path / "catalogue.json").unlink()
    with pytest.raises(BadArtefact, match=r"is incomplete: it has no catalogue\.json"):
        open_run(run.path)
    content = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**content, "format_version": 99}))
    with pytest.raises(BadArtefact, match="format version 99"):
        open_run(run.path)
