"""The network of a weights file, found by its names and shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torchvision

from prodrec.core.base.artefact import make_header
from prodrec.core.base.errors import BadArtefact, Mismatch
from prodrec.models.backbones import build_backbone
from prodrec.models.identify_weights import COMMON, identify_weights


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "resnet34", "shufflenet_v2_x0_5"])
def test_files_of_torchvision(tmp_path: Path, name: str) -> None:
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None)
    state = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in network.state_dict().items()}
    torch.save(state, tmp_path / "weights.pth")
    assert identify_weights(tmp_path / "weights.pth") == name
    last = [key for key in state if key.startswith(("classifier", "fc"))]
    torch.save({key: value for key, value in state.items() if key not in last}, tmp_path / "trunk.pth")
    assert identify_weights(tmp_path / "trunk.pth") == (name if name in COMMON else None)


def test_a_run_and_unknown_weights(tmp_path: Path) -> None:
    header = make_header("run", fingerprint="a", made_from={"dataset": "b"})
    facts = {"family": "visual", "status": "finished", "identity": "c", "result": {}, "word_vectors": {}}
    facts |= {"arithmetic": {"dtype": "float32", "channels_last": True}, "inputs": {"features": {"width": 3}}}
    facts |= {"tokenizer": {"name": "jieba", "version": "1"}, "recipe": {"network": {"backbone": "resnet50"}}}
    (tmp_path / "run.json").write_text(json.dumps({**header, **facts}))
    assert identify_weights(tmp_path) == "resnet50"
    (tmp_path / "run.json").write_text(json.dumps({**header, **facts, "status": 3}))
    with pytest.raises(BadArtefact, match=r"run\.json is damaged: status is 3"):
        identify_weights(tmp_path)
    torch.save({"encoder.weight": torch.zeros(3)}, tmp_path / "other.pth")
    assert identify_weights(tmp_path / "other.pth") is None
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(BadArtefact):
        identify_weights(tmp_path / "broken.pth")


def test_weights_of_another_network_name_it(tmp_path: Path) -> None:
    torch.save(torchvision.models.mobilenet_v2(num_classes=3).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(Mismatch, match=r"not those of resnet18, but of mobilenet_v2; set backbone=mobilenet_v2\.$"):
        build_backbone("resnet18", weights=str(tmp_path / "weights.pth"))
    assert build_backbone("mobilenet_v2", weights=str(tmp_path / "weights.pth")).name == "mobilenet_v2"


def test_weights_without_a_head(tmp_path: Path) -> None:
    network = torchvision.models.mobilenet_v3_small()
    trunk = {f"backbone.{key}": value for key, value in network.state_dict().items() if "classifier" not in key}
    torch.save({"meta": {}, "state_dict": {**trunk, "head.fc.weight": torch.zeros(7, 1024)}}, tmp_path / "weights.pth")
    backbone = build_backbone("mobilenet_v3_small", weights=str(tmp_path / "weights.pth"))
    first = next(value for key, value in backbone.state_dict().items() if key.startswith("trunk"))
    assert torch.equal(first, network.features[0][0].weight)
