"""`prodrec train` with a backbone of timm: its sizes, its licence, and a finished run that is scored."""

from __future__ import annotations

import json
import re

import pytest

from .conftest import prodrec

pytest.importorskip("timm")

SMALL = ["--set", "weights=none", "--set", "batch_size=16", "--set", "epochs=1", "--set", "lr=0.01", "--workers", "0"]
SMALL += ["--preset", "paper"]


def test_a_plan_uses_the_library_s_size_and_prints_the_licence(drawn_dataset, tmp_path):
    words = ["--set", "backbone=timm:test_vit", "--plan", *SMALL]
    printed = re.sub(r"\s+", " ", prodrec("train", "visual", drawn_dataset, "--out", tmp_path / "run", *words).stderr)
    assert "backbone timm:test_vit: licence: apache-2.0; photos of 160 pixels, mean 0.5,0.5,0.5" in printed


def test_a_run_records_what_it_used_and_can_be_scored(drawn_dataset, tmp_path):
    import timm

    run, small = tmp_path / "run", [*SMALL, "--set", "backbone=timm:test_vit", "--set", "image_size=32"]
    printed = re.sub(r"\s+", " ", prodrec("train", "visual", drawn_dataset, "--out", run, *small).stderr)
    assert "licence: apache-2.0; photos of 32 pixels, mean 0.5,0.5,0.5" in printed
    header = json.loads((run / "run.json").read_text())
    assert header["backbone"] == {"weights_from": None, "licence": "apache-2.0"}
    assert header["made_by"]["timm"] == timm.__version__
    assert header["recipe"]["photos"]["image_size"] == "32" and header["recipe"]["photos"]["mean"] == [0.5, 0.5, 0.5]
    prodrec("score", run, drawn_dataset, "--out", tmp_path / "scores.h5", "--workers", "0")
    again = tmp_path / "again"
    prodrec("train", "visual", drawn_dataset, "--out", again, *small, "--set", f"weights={run}")
    refused = prodrec(
        "train", "visual", drawn_dataset, "--out", tmp_path / "no", *small, "--set", "backbone=timm:x", code=2
    )
    assert "backbone=timm:x is no network of timm" in refused.stderr


def test_a_finished_run_with_adapters_has_the_weights_of_the_network_without(drawn_dataset, tmp_path):
    """Also after a kill: the checkpoints have the adapters, which a resumed training continues."""
    from safetensors.torch import load_file

    plain, adapted = tmp_path / "plain", tmp_path / "adapted"
    small = [*SMALL, "--set", "backbone=timm:test_vit", "--set", "image_size=32"]
    prodrec("train", "visual", drawn_dataset, "--out", plain, *small)
    lora = ["--set", "lora_rank=2", "--set", "keep=best", "--set", "ema=0.5", "--set", f"weights={plain}"]
    prodrec("train", "visual", drawn_dataset, "--out", adapted, *small, *lora)
    before, after = load_file(plain / "model.safetensors"), load_file(adapted / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {key for key in before if key.startswith("backbone.") and not before[key].equal(after[key])}
    assert changed and all(".attn.qkv.weight" in key or ".attn.proj.weight" in key for key in changed)
    prodrec("score", adapted, drawn_dataset, "--out", tmp_path / "scores.h5", "--workers", "0")


def test_a_killed_training_with_adapters_and_two_stages_is_resumed(drawn_dataset, tmp_path, power_cut):
    settings = [
        "backbone=timm:test_vit",
        "image_size=32",
        "lora_rank=2",
        "epochs=2",
        "head_epochs=1",
        "optimizer=adamw",
    ]
    words = [*SMALL, *(word for text in [*settings, "checkpoint_minutes=1e-9"] for word in ("--set", text))]
    prodrec("train", "visual", drawn_dataset, "--out", tmp_path / "straight", *words)
    with power_cut(lambda step: step.epoch == 2):
        prodrec("train", "visual", drawn_dataset, "--out", tmp_path / "cut", *words)
    prodrec("train", "visual", drawn_dataset, "--out", tmp_path / "cut", *words, "--resume")
    straight, resumed = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("straight", "cut"))
    assert straight == resumed
