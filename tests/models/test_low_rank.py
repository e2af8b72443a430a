"""Low-rank adapters: the formula, their start, what is trained, and the weights of the finished network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from prodrec.core.base.errors import BadOption
from prodrec.models.backbone import Backbone
from prodrec.models.backbone_source import library_of
from prodrec.models.backbones import build_backbone
from prodrec.models.families import make_recipe
from prodrec.models.low_rank import LowRank, add_adapters, has_adapters, merge_adapters

ADAPTED = {  # a small transformer of each kind of attention: its first one, and the matrices of it that are adapted
    "vit_b_32": ("encoder.layers.encoder_layer_0.self_attention", {"in_proj_weight", "out_proj.weight"}),
    "timm:test_vit": ("blocks.0.attn", {"qkv.weight", "proj.weight"}),
    "timm:eva02_tiny_patch14_224": ("blocks.0.attn", {"qkv.weight", "proj.weight"}),
    "timm:pvt_v2_b0": ("stages.0.blocks.0.attn", {"q.weight", "kv.weight", "proj.weight"}),
    "open_clip:tiny": ("transformer.resblocks.0.attn", {"in_proj_weight", "out_proj.weight"}),
}


@pytest.fixture(params=ADAPTED)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    if library := library_of(request.param):
        pytest.importorskip(library)
    if library == "open_clip":
        request.getfixturevalue("tiny_open_clip")
    torch.manual_seed(1)
    return build_backbone(request.param, weights=None, photo_size=(64, 64)).eval()


def photos_for(backbone: Backbone) -> torch.Tensor:
    side = backbone.fixed_side or 64
    return torch.randn(2, 3, side, side)


def randomise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, LowRank):
            nn.init.normal_(module.up_POr, std=0.1)


def test_the_formula_against_a_loop_over_projections() -> None:
    torch.manual_seed(2)
    weight = torch.randn(6, 5)
    adapter = LowRank(weight.shape, projections=3, rank=2, alpha=4.0)
    torch.testing.assert_close(adapter(weight), weight, rtol=0, atol=0)
    randomise(adapter)
    for number in range(3):
        own = slice(2 * number, 2 * number + 2)
        expected = weight[own] + 4.0 / 2 * adapter.up_POr[number] @ adapter.down_PrD[number]
        torch.testing.assert_close(adapter(weight)[own], expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(adapter(weight), adapter(weight).float()) and adapter(weight).dtype == torch.float32


def test_adapters_start_as_nothing_and_are_all_that_is_trained(backbone: Backbone) -> None:
    photos_BCHW = photos_for(backbone)
    with torch.no_grad():
        before = backbone(photos_BCHW)
    add_adapters(backbone, rank=2, alpha=4.0)
    with torch.no_grad():
        torch.testing.assert_close(backbone(photos_BCHW), before, rtol=1e-5, atol=1e-5)
    trained = [name for name, parameter in backbone.named_parameters() if parameter.requires_grad]
    assert trained and all(name.endswith((".down_PrD", ".up_POr")) for name in trained)
    attention, matrices = ADAPTED[backbone.name]
    adapted = {name.replace(".parametrizations.", ".").rpartition(".0.")[0] for name in trained}
    first = f"trunk.{attention}."
    assert {name.removeprefix(first) for name in adapted if name.startswith(first)} == matrices


def test_the_finished_weights_compute_the_same_without_adapters(backbone: Backbone) -> None:
    plain = build_backbone(backbone.name, weights=None, photo_size=(64, 64)).eval()
    keys = list(plain.state_dict())
    add_adapters(backbone, rank=3, alpha=6.0)
    randomise(backbone)
    photos_BCHW = photos_for(backbone)
    with torch.no_grad():
        adapted = backbone(photos_BCHW)
    state = backbone.state_dict()
    assert has_adapters(state) and not has_adapters(plain.state_dict())
    merged = merge_adapters(backbone, state)
    assert sorted(merged) == sorted(keys)
    plain.load_state_dict(merged)
    with torch.no_grad():
        torch.testing.assert_close(plain(photos_BCHW), adapted, rtol=1e-4, atol=1e-5)
    assert merge_adapters(plain, plain.state_dict()).keys() == plain.state_dict().keys()


def test_frozen_stages_get_no_adapters() -> None:
    pytest.importorskip("timm")
    backbone = build_backbone("timm:test_vit", weights=None)
    backbone.freeze_until("blocks.3")
    add_adapters(backbone, rank=2, alpha=1.0)
    adapted = {name.split(".")[2] for name, p in backbone.named_parameters() if p.requires_grad}
    assert adapted == {"4", "5"}


def test_networks_without_attention_and_settings_without_effect_are_refused() -> None:
    with pytest.raises(BadOption, match="lora_rank=8: backbone resnet18 has no attention projection that is trained"):
        add_adapters(build_backbone("resnet18", weights=None), rank=8, alpha=1.0)
    with pytest.raises(BadOption, match="lora_alpha=8 does nothing here; set lora_rank too"):
        make_recipe("visual", {"lora_alpha": "8"})
    with pytest.raises(BadOption, match="lora_rank=4 does nothing with backbone_lr_scale=0"):
        make_recipe("visual", {"lora_rank": "4", "backbone_lr_scale": "0"})
