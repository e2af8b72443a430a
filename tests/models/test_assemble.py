from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.models.assemble import build_network, restore_network
from prodrec.models.families import make_recipe
from prodrec.models.network import RecognitionNetwork

Attributes = tuple[Attribute, ...]
SMALL = {"backbone": "squeezenet1_1", "weights": "none"}


def network_of(family: str, taxonomy: Taxonomy, attributes: Attributes = (), **settings: str) -> RecognitionNetwork:
    config = make_recipe(family, {**SMALL, **settings}).network
    images = {"root": np.array([23, 2]), "leaf": np.array([9, 7, 5, 2, 0])}
    return build_network(config, taxonomy=taxonomy, attributes=attributes, train_images=images, photo_size=(80, 64))


def test_the_template_has_the_size_of_the_feature_map(taxonomy: Taxonomy) -> None:
    """S §3.2: the template is as large as the feature map, at any stage."""
    for at, grid in (("none", (4, 3)), ("features.5", (9, 7))):
        attention = network_of("sscnn", taxonomy, attention_at=at).attention
        assert attention is not None and attention.template_HW.shape == grid


def test_every_level_has_private_layers_of_its_own(taxonomy: Taxonomy, attributes: Attributes) -> None:
    network = network_of("ssmtl-rl", taxonomy, attributes, private_width="8", heads="root,leaf,attributes")
    root, leaf = network.level_heads
    assert [head.private[0].weight.shape for head in (root, leaf)] == [(8, 512), (8, 512)]  # type: ignore[index]
    assert root.classifier.classes == 2 and leaf.classifier.classes == 5
    assert (root.weight, leaf.weight) == (0.1, 1.0) and (root.column, leaf.column) == (0, 1)
    assert network.attribute_head is not None and network.attribute_head.names == ("colour", "sleeve length")


def test_logit_adjustment_counts_the_images_of_each_level(taxonomy: Taxonomy) -> None:
    network = network_of("bmtl-rl", taxonomy, logit_adjustment="1")
    root, leaf = (head.classifier.frequencies.log_prior_N for head in network.level_heads)
    torch.testing.assert_close(root, torch.tensor([23 / 25, 2 / 25]).log())  # two images have no leaf
    torch.testing.assert_close(leaf, torch.tensor([9, 7, 5, 2, 1]).div(24).log())


def test_attention_needs_maps(taxonomy: Taxonomy) -> None:
    with pytest.raises(BadOption, match=r"attention_at=features\.99 is not a stage of backbone squeezenet1_1"):
        network_of("sscnn", taxonomy, attention_at="features.99")
    with pytest.raises(BadOption, match="freeze_until=layer1 is not a stage of backbone squeezenet1_1"):
        network_of("bcnn", taxonomy, freeze_until="layer1")


def test_restore_refuses_other_heads(taxonomy: Taxonomy, attributes: Attributes) -> None:
    weights = network_of("bcnn", taxonomy).state_dict()
    config = make_recipe("bmtl-ca", SMALL).network
    with pytest.raises(Mismatch, match="it lacks attribute_head"):
        restore_network(config, weights, taxonomy=taxonomy, attributes=attributes)


def test_one_seed_gives_one_initial_backbone(taxonomy: Taxonomy, attributes: Attributes) -> None:
    """The initial backbone depends on the seed only, so families with one seed differ in their tasks alone."""
    initial_states = []
    for family in ("bcnn", "bmtl-ca", "ssmtl-rl"):
        torch.manual_seed(7)
        initial_states.append(network_of(family, taxonomy, attributes).backbone.state_dict())
    for other in initial_states[1:]:
        assert all(torch.equal(value, other[name]) for name, value in initial_states[0].items())


def test_weights_of_a_run_include_the_private_layers_of_its_leaves(taxonomy: Taxonomy, tmp_path: Path) -> None:
    """S §3.4: VGG's second layer is private; with a run as weights, it comes from the run's deepest head."""
    settings = {"backbone": "alexnet", "weights": "none"}
    torch.manual_seed(1)
    first = build_network(make_recipe("bmtl-rl", settings).network, taxonomy=taxonomy, photo_size=(64, 64))
    root, leaf = first.level_heads
    with torch.no_grad():
        for number, head in enumerate((root, leaf)):
            head.private[0].weight += number + 1  # type: ignore[index]
    save_file(dict(first.state_dict()), tmp_path / "model.safetensors")
    config = make_recipe("bcnn", {**settings, "weights": str(tmp_path)}).network
    second = build_network(config, taxonomy=taxonomy, photo_size=(64, 64))
    for name, value in first.backbone.state_dict().items():
        assert torch.equal(second.backbone.state_dict()[name], value)
    for name, value in leaf.private.state_dict().items():
        assert torch.equal(second.level_heads[0].private.state_dict()[name], value)
    other = build_network(
        make_recipe("bcnn", {**settings, "weights": str(tmp_path), "private_width": "8"}).network, taxonomy=taxonomy
    )
    assert other.level_heads[0].private[0].weight.shape == (8, 4096)  # type: ignore[index]


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("visual", {"backbone": "googlenet", "weights": "imagenet"}),  # its constants are not saved
        ("visual", {"backbone": "regnet_y_400mf"}),  # computes its widths with tensors
        ("sscnn", {"logit_adjustment": "1"}),
        ("sicot", {"titles": "bilstm-attention", "word_vectors": "pretrained"}),
    ],
)
def test_a_restored_network_takes_the_tensors_themselves(
    taxonomy: Taxonomy, family: str, settings: dict[str, str]
) -> None:
    """Tensors mapped from a file are not read, so a classifier may be larger than memory."""
    config = make_recipe(family, {**SMALL, **settings}).network
    words = {"words": 9, "word_vectors_VE": np.ones((9, 6), np.float32)} if config.titles else {}
    first = build_network(config, taxonomy=taxonomy, photo_size=(96, 80), load_weights=False, **words).eval()  # type: ignore[arg-type]
    weights = first.state_dict()
    again = restore_network(config, weights, taxonomy=taxonomy, photo_size=(96, 80)).eval()
    assert {name: tensor.data_ptr() for name, tensor in again.state_dict().items()} == {
        name: tensor.data_ptr() for name, tensor in weights.items()
    }
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in first.parameters()]
    photos_BCHW = torch.randn(2, 3, 96, 80)
    with torch.inference_mode():
        for one, other in zip(first(photos_BCHW), again(photos_BCHW), strict=True):
            assert (one is None and other is None) or torch.equal(one, other)
