"""Stages with learning rates of their own, on networks of every library; tests/models/test_backbone.py runs stages."""

from __future__ import annotations

import pytest
from torch import nn

from prodrec.models.backbone_source import library_of
from prodrec.models.backbones import build_backbone
from prodrec.models.stages import loose_parameters, parts, rate_stages

EXPECTED = {
    "resnet18": ["conv1", "layer1", "layer2", "layer3", "layer4"],
    "mobilenet_v2": [f"features.{number}" for number in range(19)],
    "vgg11": [f"features.{number}" for number in (0, 3, 6, 8, 11, 13, 16, 18)] + ["neck"],
    "vit_b_32": ["conv_proj", *(f"encoder.layers.encoder_layer_{number}" for number in range(12))],
    "regnet_x_400mf": ["stem", *(f"trunk_output.block{number}" for number in (1, 2, 3, 4))],
    "timm:test_vit": ["patch_embed", *(f"blocks.{number}" for number in range(6))],
    "timm:test_convnext": ["stem", *(f"stages.{number}" for number in range(4))],
    "timm:mobilenetv3_small_050": ["conv_stem", *(f"blocks.{number}" for number in range(6)), "neck"],
    "timm:swin_tiny_patch4_window7_224": ["patch_embed", *(f"layers.{number}" for number in range(4))],
    "open_clip:tiny": ["conv1", *(f"transformer.resblocks.{number}" for number in range(3)), "neck"],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_parameter_belongs_to_one_stage(name: str, request: pytest.FixtureRequest) -> None:
    if library := library_of(name):
        pytest.importorskip(library)
    if library == "open_clip":
        request.getfixturevalue("tiny_open_clip")
    backbone = build_backbone(name, weights=None)
    stages = rate_stages(backbone.trunk, backbone.neck)
    assert [stage for stage, _ in stages] == EXPECTED[name]
    assert sorted(id(p) for _, own in stages for p in own) == sorted(id(p) for p in backbone.parameters())
    names = {id(parameter): key for key, parameter in backbone.named_parameters()}
    for stage, own in stages[1:]:
        first = names[id(own[0])]
        assert first.startswith(f"trunk.{stage}." if stage != "neck" else "neck."), (stage, first)
    # a norm belongs to the stage before it
    if name == "timm:test_vit":
        assert {"trunk.norm.weight", "trunk.norm.bias"} <= {names[id(p)] for p in stages[-1][1]}
        assert {"trunk.cls_token", "trunk.pos_embed"} <= {names[id(p)] for p in stages[0][1]}


def test_parameters_outside_of_every_part_are_loose() -> None:
    trunk = nn.Module()
    trunk.token = nn.Parameter(nn.Linear(2, 2).weight.clone())
    trunk.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    assert [name for name, _ in parts(trunk)] == ["blocks.0", "blocks.1"]
    assert [id(p) for p in loose_parameters(trunk)] == [id(trunk.token)]
    assert [(name, len(own)) for name, own in rate_stages(trunk, nn.Sequential())] == [("blocks.0", 3), ("blocks.1", 2)]
