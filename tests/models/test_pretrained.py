from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from prodrec.core.base.errors import BadArtefact, Mismatch, NotFound
from prodrec.models.pretrained import load_weights_into, read_weights


def network(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, classes))


def assert_read(path: Path, own: dict[str, torch.Tensor]) -> None:
    weights = read_weights(path)
    assert weights.keys() == own.keys() and all(torch.equal(weights[key], own[key]) for key in own)


@pytest.mark.parametrize(
    "wrap", [None, "state_dict", "model", "ema", "model_ema", "state_dict_ema", "model_state_dict"]
)
@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "net.", "module.encoder_q.", "backbone."]
)
def test_reads_state_dicts_in_any_wrapping(tmp_path: Path, wrap: str | None, prefix: str) -> None:
    own = network().state_dict()
    saved = {prefix + key: value for key, value in own.items()}
    torch.save({wrap: saved, "epoch": 3} if wrap else saved, tmp_path / "weights.pth")
    assert_read(tmp_path / "weights.pth", own)


def test_reads_what_training_scripts_save_beside_the_weights(tmp_path: Path) -> None:
    own, path = network().state_dict(), tmp_path / "checkpoint"
    average = torch.optim.swa_utils.AveragedModel(network(), use_buffers=True)
    average.module.load_state_dict(own)
    torch.save(average.state_dict(), path)  # has n_averaged
    assert_read(path, own)
    other = {key: torch.zeros_like(value) for key, value in own.items()}
    options = argparse.Namespace(lr=0.1, data_path="photos")
    torch.save({"model": other, "model_ema": {"module": own}, "args": options, "best": np.float64(0.5)}, path)
    assert_read(path, own)
    momentum = {f"module.encoder_k.{key}": value for key, value in other.items()}
    queue = {"module.queue": torch.zeros(3), **momentum}
    torch.save({"state_dict": {**queue, **{f"module.encoder_q.{key}": value for key, value in own.items()}}}, path)
    assert_read(path, own)
    torch.save({"state_dict": {"head.fc.weight": torch.zeros(3), **{f"backbone.{k}": v for k, v in own.items()}}}, path)
    assert_read(path, own)


@pytest.mark.parametrize("name", ["weights.pth", "weights"])
def test_the_content_tells_the_format(tmp_path: Path, name: str) -> None:
    own = network().state_dict()
    save_file(own, tmp_path / name)
    assert_read(tmp_path / name, own)
    torch.save(own, tmp_path / "weights.safetensors")
    assert_read(tmp_path / "weights.safetensors", own)


def test_weights_of_a_run_keep_their_names(tmp_path: Path) -> None:
    own = {"backbone.trunk.0.weight": torch.ones(2), "heads.level:leaf.classifier.bias": torch.ones(3)}
    save_file(own, tmp_path / "model.safetensors")
    assert_read(tmp_path, own)


def test_reads_safetensors(tmp_path: Path) -> None:
    own = network().state_dict()
    save_file(own, tmp_path / "weights.safetensors")
    weights = read_weights(tmp_path / "weights.safetensors")
    assert all(torch.equal(weights[key], own[key]) for key in own)


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, ("/nowhere",))


def test_refuses_files_without_weights(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        read_weights(tmp_path / "absent.pth")
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save(network().state_dict(), tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:700])
    torch.save({"epoch": 3}, tmp_path / "nothing.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"weight": Harmful()}, tmp_path / "harmful.pth")
    for name in ("text.pth", "text.safetensors", "empty.pth", "cut.pth", "nothing.pth", "list.pth", "harmful.pth"):
        with pytest.raises(BadArtefact, match=name) as caught:
            read_weights(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_refuses_values_that_are_not_finite(tmp_path: Path) -> None:
    torch.save({"weight": torch.tensor([1.0, float("nan")])}, tmp_path / "nan.pth")
    with pytest.raises(BadArtefact, match="NaN or infinity in weight"):
        read_weights(tmp_path / "nan.pth")


def test_loads_everything_and_casts() -> None:
    source, target = network(), network()
    half = {key: value.half() if value.is_floating_point() else value for key, value in source.state_dict().items()}
    load_weights_into(target, half, mismatch="test")
    assert torch.equal(target[0].weight, source[0].weight.half().float()) and target[0].weight.dtype == torch.float32


def test_a_classifier_of_other_classes_keeps_its_weights() -> None:
    source, target = network(classes=9), network()
    before = target[2].weight.clone()
    load_weights_into(target, source.state_dict(), optional=("2.",), mismatch="test")
    assert torch.equal(target[2].weight, before) and torch.equal(target[0].weight, source[0].weight)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("features.denseblock1.denselayer2.norm.1.weight", "features.denseblock1.denselayer2.norm1.weight"),
        ("encoder.layers.encoder_layer_0.mlp.linear_2.bias", "encoder.layers.encoder_layer_0.mlp.3.bias"),
    ],
)
def test_old_names_of_published_files(old: str, new: str) -> None:
    """torchvision's DenseNet and ViT files have keys that its networks no longer have."""
    name = "densenet121" if "dense" in old else "vit_b_32"
    network = torchvision.models.get_model(name, weights=None)
    weights = {key: torch.full_like(value, 0.5) for key, value in network.state_dict().items()}
    weights[old] = weights.pop(new)
    load_weights_into(network, weights, mismatch="test")
    assert (network.state_dict()[new] == 0.5).all()


def test_another_network_is_named_key_by_key() -> None:
    weights = network().state_dict()
    weights["0.weight"] = torch.zeros(8, 3, 3, 3)
    del weights["1.bias"]
    weights["9.weight"] = torch.zeros(1)
    target = network()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(Mismatch) as caught:
        load_weights_into(target, weights, optional=("2.",), mismatch="weights of a.pth are not those of b")
    assert str(caught.value) == (
        "weights of a.pth are not those of b: it lacks 1.bias; it has unknown 9.weight; "
        "shapes differ: 0.weight 8×3×3×3 instead of 4×3×3×3."
    )
    assert all(torch.equal(target.state_dict()[key], value) for key, value in before.items())
