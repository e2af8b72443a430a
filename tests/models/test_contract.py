"""One table: every family, title encoder and kind of backbone meets the same contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.batches import Batch
from prodrec.models.assemble import TitleCounts, build_network, restore_network
from prodrec.models.backbone_source import library_of
from prodrec.models.families import FAMILIES, make_recipe
from prodrec.models.low_rank import LowRank
from prodrec.models.network import RecognitionNetwork
from prodrec.models.title_encoders import TITLE_ENCODERS
from prodrec.models.word_targets import WordTargets

WORDS = 12
SMALL_BACKBONES = ("resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5")
TABLE = [
    *[("visual", {"backbone": backbone}) for backbone in SMALL_BACKBONES],
    *[("sicot", {"backbone": "shufflenet_v2_x0_5", "titles": titles}) for titles in TITLE_ENCODERS],
    ("sicot", {"backbone": "resnet18", "freeze_batch_norm": True}),
    ("sicot", {"backbone": "mobilenet_v3_small", "freeze_batch_norm": True, "train_batch_norm_affine": False}),
    ("sicot", {"backbone": "squeezenet1_1", "embed": 24, "embed_hidden": 40, "dropout": 0.3}),
    ("sicot", {"backbone": "squeezenet1_1", "word_nonlinearity": "tanh", "word_weighting": "softmax"}),
    ("sicot", {"backbone": "squeezenet1_1", "word_nonlinearity": "relu", "word_weighting": "sigmoid"}),
    ("sicot", {"backbone": "squeezenet1_1", "train_word_vectors": False, "mixed_trains_backbone": False}),
    *[
        (family, {"backbone": "squeezenet1_1"})
        for family in ("bcnn", "sscnn", "bmtl-rl", "bmtl-ca", "ssmtl-rl", "ssmtl-ca")
    ],
    *[("sicot", {"backbone": "squeezenet1_1", "mixing": mixing}) for mixing in ("sum", "gate", "concat")],
    ("titled", {"backbone": "resnet18"}),
    ("words", {"backbone": "resnet18"}),
    ("words", {"backbone": "squeezenet1_1", "titles": "mean", "word_units": 20, "embed": 24}),
    ("bcnn", {"backbone": "resnet18", "heads": "root"}),
    ("bcnn", {"backbone": "alexnet", "heads": "levels"}),
    ("sscnn", {"backbone": "resnet18", "attention_at": "layer2", "freeze_until": "layer1"}),
    ("ssmtl-ca", {"backbone": "shufflenet_v2_x0_5", "attributes": "sleeve length", "private_width": 16}),
    ("ssmtl-ca", {"backbone": "squeezenet1_1", "titles": "bilinear", "heads": "root,leaf,attributes"}),
    ("bmtl-ca", {"backbone": "squeezenet1_1", "heads": "attributes"}),
    ("sicot", {"backbone": "squeezenet1_1", "heads": "root"}),
    ("sicot", {"backbone": "squeezenet1_1", "class_weights": "effective", "class_weights_beta": 0.9}),
    ("visual", {"backbone": "squeezenet1_1", "class_weights": "inverse"}),
    ("bmtl-rl", {"backbone": "squeezenet1_1", "class_weights": "sqrt-inverse", "classifier": "sampled"}),
    ("sicot", {"backbone": "squeezenet1_1", "focal_gamma": 2.0, "logit_adjustment": 0.5}),
    ("visual", {"backbone": "squeezenet1_1", "classifier_form": "cosine", "label_smoothing": 0.1}),
    ("bmtl-rl", {"backbone": "squeezenet1_1", "tree_smoothing": 5.0}),
    ("sicot", {"backbone": "squeezenet1_1", "tree_smoothing": 10.0, "logit_adjustment": 1.0}),
    ("sicot", {"backbone": "squeezenet1_1", "classifier_form": "cosine", "ldam_margin": 0.5, "cosine_scale": 20}),
    ("ssmtl-rl", {"backbone": "squeezenet1_1", "classifier_form": "cosine", "classifier": "sampled"}),
    ("sicot", {"backbone": "squeezenet1_1", "logit_adjustment": 1.0, "label_smoothing": 0.1, "word_dropout": 0.2}),
]

EXTRA = [  # these need the extra prodrec[backbones]; all weights are random
    ("visual", {"backbone": "timm:test_efficientnet"}),
    ("sscnn", {"backbone": "timm:test_convnext", "attention_at": "stages.1"}),
    ("sicot", {"backbone": "timm:test_vit", "freeze_until": "blocks.1"}),
    ("bmtl-rl", {"backbone": "timm:test_efficientnet", "embed": 24}),
    ("visual", {"backbone": "open_clip:tiny"}),
    ("sicot", {"backbone": "open_clip:tiny", "lora_rank": 2}),
    ("visual", {"backbone": "timm:test_vit", "lora_rank": 3, "freeze_until": "blocks.0"}),
]


@pytest.fixture(params=[*TABLE, *EXTRA], ids=lambda row: "-".join([row[0], *map(str, row[1].values())]))
def network(
    request: pytest.FixtureRequest, taxonomy: Taxonomy, attributes: tuple[Attribute, ...]
) -> RecognitionNetwork:
    family, settings = request.param
    if library := library_of(str(settings["backbone"])):
        pytest.importorskip(library)
    if library == "open_clip":
        request.getfixturevalue("tiny_open_clip")
    torch.manual_seed(1)
    start = {"word_vectors": "random"} if family == "sicot" or "titles" in settings else {}
    start |= {"word_vectors": "zero"} if settings.get("titles") == "tfidf" else {}
    targets = WordTargets(np.array([-1, 0, 1, -1, 2, 3, *[-1] * (WORDS - 5)]), np.array([1, 1, 2, 1], np.float32))
    spread = {"attention_spread": 0.1} if family.startswith("ss") else {}  # with 1.0, random maps saturate the sigmoid
    config = make_recipe(family, {"weights": "none", **start, **spread, **settings}).network
    network = build_network(
        config,
        taxonomy=taxonomy,
        attributes=attributes,
        words=WORDS,
        word_targets=targets,
        title_counts=TitleCounts(np.full(WORDS + 1, 3), 8),
        train_images={"root": np.array([21, 2]), "leaf": np.array([9, 7, 5, 2, 0])},
        photo_size=(64, 64),
    )
    for module in network.modules():
        if isinstance(module, LowRank):
            torch.nn.init.normal_(
                module.up_POr, std=0.1
            )  # it starts as 0, which stops the gradient of the other factor
    return network


def test_every_family_is_in_the_table() -> None:
    assert {family for family, _ in TABLE} == set(FAMILIES)


def test_contract(
    network: RecognitionNetwork,
    taxonomy: Taxonomy,
    attributes: tuple[Attribute, ...],
    make_batch: Callable[..., Batch],
) -> None:
    batch = make_batch(4, untitled=(2,))
    _loss_reaches_every_trainable_parameter(network, batch)
    network.eval()
    with torch.no_grad():
        _scores_and_top_k_agree(network, batch)
        _batch_equals_single(network, batch)
        _same_after_state_dict(network, batch, taxonomy, attributes)


def _loss_reaches_every_trainable_parameter(network: RecognitionNetwork, batch: Batch) -> None:
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    losses = network.loss(batch)
    losses.total.backward()
    assert losses.total.shape == () and all(value.shape == () for value in losses.terms.values())
    levels = [head.level for head in network.level_heads]
    parts = {f"attribute {name}" for name in network.score(batch).attribute_scores} | {
        f"level {level}" for level in levels[:-1]
    }
    parts |= {"visual"} if levels else set()
    parts |= {"mixed"} if network.config.titles else set()
    parts |= {"words"} if network.word_head is not None else set()
    assert set(losses.terms) == parts
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, f"no gradient reaches {name}"
    grouped = [id(parameter) for parameters in network.parameter_groups().values() for parameter in parameters]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters() if p.requires_grad)
    if network.config.freeze_batch_norm:
        assert before and all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


def _scores_and_top_k_agree(network: RecognitionNetwork, batch: Batch) -> None:
    with_titles = network.config.titles is not None
    scored = network.score(batch, with_titles=with_titles)
    classes = {"root": 2, "leaf": 5}
    expected = [head.level for head in network.level_heads]
    assert list(scored.scores) == expected and set(expected) <= set(classes)
    best = network.top_k(batch, 3, with_titles=with_titles)
    assert torch.equal(best.features_BD, scored.features_BD)
    for level, scores_BC in scored.scores.items():
        assert scores_BC.shape == (4, classes[level])
        k = min(3, classes[level])
        assert torch.equal(best.scores[level], scores_BC.sort(dim=1, descending=True).values[:, :k])
        assert torch.equal(scores_BC.gather(1, best.classes[level]), best.scores[level])
        assert network.top_k(batch, 99).classes[level].shape == (4, classes[level])
    assert scored.attribute_scores.keys() == best.attribute_scores.keys()
    for name, scores_Bm in scored.attribute_scores.items():
        assert scores_Bm.shape == (4, {"colour": 3, "sleeve length": 2}[name])
        assert torch.equal(scores_Bm, best.attribute_scores[name])


def _batch_equals_single(network: RecognitionNetwork, batch: Batch) -> None:
    with_titles = network.config.titles is not None
    together = network.score(batch, with_titles=with_titles)
    for row in range(len(batch)):
        alone = replace(
            batch,
            **{name: values[row : row + 1] for name, values in vars(batch).items() if isinstance(values, torch.Tensor)},
        )
        single = network.score(alone, with_titles=with_titles)
        torch.testing.assert_close(single.features_BD[0], together.features_BD[row], rtol=1e-4, atol=1e-5)
        for here, there in ((single.scores, together.scores), (single.attribute_scores, together.attribute_scores)):
            for name, scores in here.items():
                torch.testing.assert_close(scores[0], there[name][row], rtol=1e-4, atol=1e-5)


def _same_after_state_dict(
    network: RecognitionNetwork, batch: Batch, taxonomy: Taxonomy, attributes: tuple[Attribute, ...]
) -> None:
    again = restore_network(
        network.config, network.state_dict(), taxonomy=taxonomy, attributes=attributes, photo_size=(64, 64)
    ).eval()
    here, there = network.score(batch), again.score(batch)
    assert all(torch.equal(scores, there.scores[level]) for level, scores in here.scores.items())
    assert all(torch.equal(scores, there.attribute_scores[name]) for name, scores in here.attribute_scores.items())
    parts = {name.split(".")[0] for name in network.state_dict()}
    titles = {"word_vectors", "title_encoder", "mixing", "word_head"}
    assert parts <= {"backbone", "attention", "embed", "heads", "attribute_head"} | titles
