from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.batches import Batch
from prodrec.models.assemble import build_network, restore_network
from prodrec.models.backbone import Backbone
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.families import make_recipe
from prodrec.models.network import RecognitionNetwork
from prodrec.models.network_config import NetworkConfig

WORDS = 12
MakeBatch = Callable[..., Batch]
Make = Callable[..., RecognitionNetwork]


@pytest.fixture
def make(taxonomy: Taxonomy) -> Make:
    def make(*, word_vectors_VE: Any = None, words: int = WORDS, **settings: Any) -> RecognitionNetwork:
        start = {"word_vectors": "random"} if settings.get("titles") and word_vectors_VE is None else {}
        config = NetworkConfig(**{"backbone": "squeezenet1_1", "weights": None, "dropout": 0.0, **start, **settings})
        return build_network(config, taxonomy=taxonomy, words=words, word_vectors_VE=word_vectors_VE)

    return make


def leaf_classifier(network: RecognitionNetwork) -> Classifier:
    return network.level_heads[-1].classifier


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_equation_1(make: Make, make_batch: MakeBatch, smoothing: float) -> None:
    """Computed row by row: 1/N Σ CE(visual) + λ 1/N Σ CE(mixed), the second sum over rows with a title."""
    network = make(titles="bilinear", title_loss_weight=0.7, label_smoothing=smoothing)
    batch = make_batch(5, untitled=(1, 3))
    losses = network.loss(batch)
    visual_BD = network.backbone(batch.inputs)
    visual = mixed = torch.zeros(())
    for row in range(5):
        label = batch.labels_BL[row, -1]
        score_C = leaf_classifier(network).weight @ visual_BD[row] + leaf_classifier(network).bias
        visual = visual + F.cross_entropy(score_C, label, label_smoothing=smoothing) / 5
        if row not in (1, 3):
            semantic_D = network.encode_titles(batch.tokens_BT[row : row + 1]).semantic_BD[0]
            feature_D = torch.stack([visual_BD[row], semantic_D]).max(0).values
            score_C = leaf_classifier(network).weight @ feature_D + leaf_classifier(network).bias
            mixed = mixed + F.cross_entropy(score_C, label, label_smoothing=smoothing) / 5
    torch.testing.assert_close(losses.total, visual + 0.7 * mixed)
    torch.testing.assert_close(losses.terms["visual"], visual.detach())
    torch.testing.assert_close(losses.terms["mixed"], mixed.detach())


def test_soft_labels_by_the_tree_are_those_of_the_deepest_level(make: Make, make_batch: MakeBatch) -> None:
    network = make(heads=("levels",), tree_smoothing=3.0)
    batch = make_batch(5)
    parents = [0, 0, 0, 1, 1]
    sibling, other = math.exp(-3 / 2), math.exp(-3)  # with two levels, siblings have the distance 1/2
    visual_BD = network.features(batch).visual_BD
    root, leaf = (head.scores(visual_BD).log_softmax(1) for head in network.level_heads)
    expected_root = expected_leaf = 0.0
    for row, (root_label, label) in enumerate(batch.labels_BL.tolist()):
        weights = [1 if c == label else sibling if parents[c] == parents[label] else other for c in range(5)]
        expected_root -= root[row, root_label].item() / 5
        expected_leaf -= sum(weight * leaf[row, c].item() for c, weight in enumerate(weights)) / sum(weights) / 5
    losses = network.loss(batch)
    assert losses.terms["visual"].item() == pytest.approx(expected_leaf, rel=1e-5)
    assert losses.terms["level root"].item() == pytest.approx(expected_root, rel=1e-5)
    assert losses.total.item() == pytest.approx(expected_leaf + expected_root, rel=1e-5)


def test_rows_without_titles_have_a_visual_term_only(make: Make, make_batch: MakeBatch) -> None:
    network = make(titles="bilinear")
    batch = make_batch(4, untitled=(0, 1, 2, 3))
    losses = network.loss(batch)
    assert losses.terms["mixed"] == 0
    torch.testing.assert_close(
        losses.total, leaf_classifier(network).loss(network.features(batch).visual_BD, batch.labels_BL[:, -1])[0]
    )
    losses.total.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert network.word_vectors is not None and network.word_vectors.weight.grad.abs().sum() == 0  # type: ignore[union-attr]
    torch.testing.assert_close(network.score(batch, with_titles=True).scores, network.score(batch).scores)


def test_mixed_is_the_elementwise_maximum(make: Make, make_batch: MakeBatch) -> None:
    network = make(titles="mean")
    batch = make_batch(3, untitled=(2,))
    visual_BD, mixed_BD, titled_B, _ = network(batch.inputs, batch.tokens_BT)
    semantic_BD = network.encode_titles(batch.tokens_BT).semantic_BD
    assert titled_B.tolist() == [True, True, False]
    torch.testing.assert_close(mixed_BD[:2], torch.maximum(visual_BD, semantic_BD)[:2])
    torch.testing.assert_close(mixed_BD[2], visual_BD[2])
    semantic_wins = (semantic_BD[:2] > visual_BD[:2]).float().mean()
    assert 0.1 < semantic_wins < 0.9  # both sides win some elements from the start


def test_photos_hidden_from_the_mixed_feature(make: Make, make_batch: MakeBatch) -> None:
    """In training, a mixed feature is that of the title alone or of both; a row without a title keeps its photo."""
    network = make(titles="mean", mixing="sum", photo_dropout=0.5).train()
    batch = make_batch(40, untitled=(2,))
    visual_BD, mixed_BD, titled_B, _ = network(batch.inputs, batch.tokens_BT)
    semantic_BD = network.encode_titles(batch.tokens_BT).semantic_BD
    hidden_B = torch.isclose(mixed_BD, semantic_BD).all(1) & titled_B
    assert 5 < hidden_B.sum() < 35
    torch.testing.assert_close(mixed_BD[~hidden_B & titled_B], (visual_BD + semantic_BD)[~hidden_B & titled_B])
    torch.testing.assert_close(mixed_BD[2], visual_BD[2])
    features = network.eval()(batch.inputs, batch.tokens_BT)
    torch.testing.assert_close(features.mixed_BD[titled_B], (features.visual_BD + semantic_BD)[titled_B])


def tiny_backbone(*_: Any, **__: Any) -> Backbone:
    """Return a backbone that is smooth everywhere, as finite differences need."""
    trunk = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Tanh())
    return Backbone("tiny", trunk, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Softplus()), 4, None)


@pytest.mark.parametrize("at", [None, "0"])
def test_gradients_of_the_loss_by_finite_differences(
    taxonomy: Taxonomy,
    attributes: tuple[Attribute, ...],
    make_batch: MakeBatch,
    monkeypatch: pytest.MonkeyPatch,
    at: str | None,
) -> None:
    """Attention, titles, levels and attributes with weights in one network: the gradient of the whole loss."""
    monkeypatch.setattr("prodrec.models.assemble.build_backbone", tiny_backbone)
    config = make_recipe(
        "ssmtl-ca",
        {
            "heads": "root,leaf,attributes",
            "head_weights": "root:0.3,leaf:2,attributes:0.7",
            "attention_at": at,
            "attribute_weights": "colour:0.6,others:0.2",
            "private_width": 0,
            "attention_spread": 0.5,
            "titles": "bilinear",
            "word_vectors": "random",
            "word_dimension": 4,
            "bilinear_forms": 2,
        },
    ).network
    network = build_network(config, taxonomy=taxonomy, attributes=attributes, words=WORDS, photo_size=(3, 3)).double()
    batch = make_batch(3, height=3, width=3, untitled=(1,))
    batch.inputs = batch.inputs.double()
    assert network.attention is not None
    network.attention.template_HW.data += 0.1 * torch.randn(2, 2)

    def total(*_: Tensor) -> Tensor:
        return network.loss(batch).total

    with torch.no_grad():
        for name, value in network.named_parameters():
            value += 0.01 if "together" in name else 0  # away from the kink of the ReLU
    assert torch.autograd.gradcheck(total, list(network.parameters()), fast_mode=False, nondet_tol=1e-12)


def test_the_mixed_loss_need_not_train_the_backbone(make: Make, make_batch: MakeBatch) -> None:
    batch = make_batch(4)
    gradients = []
    for settings in ({}, {"titles": "mean"}, {"titles": "mean", "mixed_trains_backbone": False}):
        torch.manual_seed(3)
        network = make(**settings)
        leaf_classifier(network).weight.data.copy_(
            torch.linspace(-1, 1, leaf_classifier(network).weight.numel()).reshape(5, -1)
        )
        network.loss(batch).total.backward()
        gradients.append(next(network.backbone.parameters()).grad)
    torch.testing.assert_close(gradients[0], gradients[2])
    assert not torch.allclose(gradients[0], gradients[1])  # type: ignore[arg-type]


def test_titles_and_words_are_dropped_in_training_only(make: Make, make_batch: MakeBatch) -> None:
    network = make(titles="mean", title_dropout=0.9, word_dropout=0.5)
    batch = make_batch(40)
    full = network.eval().loss(batch).terms["mixed"]
    dropped = network.train().loss(batch).terms["mixed"]
    assert dropped < 0.5 * full
    assert torch.equal(network.eval().loss(batch).terms["mixed"], full)


def test_scoring_with_titles_needs_titles(make: Make, make_batch: MakeBatch) -> None:
    with pytest.raises(BadOption, match="needs a network with titles"):
        make().score(make_batch(2), with_titles=True)


def test_scores_are_float32_under_autocast(make: Make, make_batch: MakeBatch) -> None:
    network = make(titles="bilinear", embed=16)
    batch = make_batch(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = network.loss(batch)
        scored = network.score(batch, with_titles=True)
    assert losses.total.dtype == scored.features_BD.dtype == scored.scores["leaf"].dtype == torch.float32
    losses.total.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_embed_returns_the_feature(make: Make, make_batch: MakeBatch) -> None:
    network = make(embed=16, embed_hidden=32, titles="mean")
    features_BD = network.features(make_batch(2)).visual_BD
    assert features_BD.shape == (2, 16) and (features_BD >= 0).all()
    assert [tuple(p.shape) for p in network.embed.parameters()] == [(32, 512), (32,), (16, 32), (16,)]
    assert set(network.parameter_groups()) == {"backbone", "embed", "word_vectors", "title_encoder", "heads"}


def test_parameter_groups_contain_trained_parameters(make: Make) -> None:
    network = make(titles="mean", train_word_vectors=False)
    assert set(network.parameter_groups()) == {"backbone", "title_encoder", "heads"}
    assert set(make().parameter_groups()) == {"backbone", "heads"}


def test_pretrained_word_vectors_keep_their_geometry(make: Make) -> None:
    vectors_VE = np.random.default_rng(0).normal(3.0, 5.0, (WORDS, 8)).astype(np.float32)
    vectors_VE[4] = 0
    network = make(titles="mean", word_vectors="pretrained", word_vectors_VE=vectors_VE)
    assert network.word_vectors is not None
    weight = network.word_vectors.weight.detach().numpy()
    assert weight.shape == (WORDS + 1, 8) and (weight[0] == 0).all() and (weight[5] == 0).all()
    factor = weight[1, 0] / vectors_VE[0, 0]
    np.testing.assert_allclose(weight[1:], vectors_VE * factor, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(weight[weight.any(1)], axis=1).mean(), 1, rtol=1e-5)


def test_random_word_vectors(make: Make) -> None:
    network = make(titles="mean", word_dimension=50, words=400)
    assert network.word_vectors is not None
    weight = network.word_vectors.weight.detach()
    assert weight.shape == (401, 50) and (weight[0] == 0).all()
    assert 0.9 < weight[1:].norm(dim=1).mean() < 1.1
    vectors_VE = np.ones((WORDS, 8), np.float32)
    ignored = make(titles="mean", word_vectors="random", word_vectors_VE=vectors_VE)
    assert ignored.word_vectors is not None and ignored.word_vectors.embedding_dim == 100


def test_settings_that_do_not_fit_the_data(make: Make, taxonomy: Taxonomy) -> None:
    with pytest.raises(BadOption, match="run prodrec pretrain-embeddings"):
        make(titles="mean", word_vectors="pretrained")
    with pytest.raises(BadOption, match="this dataset has no words"):
        make(titles="mean", words=0)
    with pytest.raises(Mismatch, match="embeddings have 5 words and the vocabulary 12"):
        make(titles="mean", word_vectors_VE=np.ones((5, 8), np.float32))
    with pytest.raises(BadOption, match="needs the training images of every class"):
        make(logit_adjustment=1.0)
    with pytest.raises(BadOption, match="class_weights=inverse needs the training images of every class"):
        make(class_weights="inverse")
    with pytest.raises(BadOption, match="inception_v3 cannot take photos of 40x30"):
        build_network(NetworkConfig(backbone="inception_v3", weights=None), taxonomy=taxonomy, photo_size=(40, 30))


def test_the_padding_word_stays_zero(make: Make, make_batch: MakeBatch) -> None:
    network = make(titles="bilinear")
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0, weight_decay=0.1)
    network.loss(make_batch(4)).total.backward()
    optimizer.step()
    assert network.word_vectors is not None and (network.word_vectors.weight[0] == 0).all()


def test_restore_refuses_another_network(make: Make, taxonomy: Taxonomy) -> None:
    visual, sicot = make(), make(titles="mean")
    with pytest.raises(Mismatch, match="no word vectors, its recipe has titles=mean"):
        restore_network(sicot.config, visual.state_dict(), taxonomy=taxonomy)
    with pytest.raises(Mismatch, match=r"do not fit their recipe: it has unknown word_vectors\.weight"):
        restore_network(visual.config, sicot.state_dict(), taxonomy=taxonomy)
    with pytest.raises(Mismatch, match=r"it lacks heads\.level:leaf\.classifier\.bias"):
        weights = {key: value for key, value in visual.state_dict().items() if not key.endswith("classifier.bias")}
        restore_network(visual.config, weights, taxonomy=taxonomy)


def test_same_seed_same_network(make: Make) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(make(titles="bilstm-attention", embed=8).state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_levels_may_have_the_names_of_loss_terms(make_batch: MakeBatch) -> None:
    tree = Taxonomy(
        ("visual", "loss"),
        (("a", "b"), tuple("vwxyz")),
        (np.full(2, -1, np.int32), np.array([0, 0, 0, 1, 1], np.int32)),
    )
    config = NetworkConfig(backbone="squeezenet1_1", weights=None, heads=("levels",))
    terms = build_network(config, taxonomy=tree).loss(make_batch(4)).terms
    assert set(terms) == {"visual", "level visual"} and terms["visual"] != terms["level visual"]


def test_training_continues_from_the_maps_of_the_frozen_stage(
    taxonomy: Taxonomy, make_batch: Callable[..., Batch]
) -> None:
    """The loss and gradients are those of the photos, also with attention after the frozen stage."""
    settings = {"backbone": "resnet18", "weights": "none", "freeze_until": "layer1", "attention_spread": "0.1"}
    config = make_recipe("sscnn", {**settings, "attention_at": "layer2.0"}).network
    torch.manual_seed(0)
    network = build_network(config, taxonomy=taxonomy, photo_size=(64, 64)).eval()
    assert network.frozen_stage == "layer1"
    batch = make_batch(4)
    with torch.no_grad():
        maps_BDhw = network.frozen_maps(batch.inputs)
    gradients = []
    for inputs in (batch, replace(batch, inputs=maps_BDhw, stage="layer1")):
        network.zero_grad()
        losses = network.loss(inputs)
        losses.total.backward()
        gradients.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and any("layer2" in name for name in gradients[0])
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name])


def test_nothing_is_frozen_behind_trained_attention(taxonomy: Taxonomy) -> None:
    settings = {"backbone": "resnet18", "weights": "none", "freeze_until": "layer2", "attention_at": "layer1"}
    network = build_network(make_recipe("sscnn", settings).network, taxonomy=taxonomy, photo_size=(64, 64))
    assert network.frozen_stage is None


@pytest.mark.parametrize("with_titles", [False, True])
def test_the_scores_of_several_views_are_the_mean_of_their_scores(
    make: Make, make_batch: MakeBatch, with_titles: bool
) -> None:
    network = make(titles="bilinear", heads=("root", "leaf")).eval()
    batch = make_batch(4, untitled=(1,))
    views = [batch, replace(batch, inputs=batch.inputs.flip(-1)), replace(batch, inputs=batch.inputs.flip(-2))]
    together = replace(batch, inputs=torch.cat([view.inputs for view in views]))
    with torch.inference_mode():
        each = [network.score(view, with_titles=with_titles) for view in views]
        scored = network.score(together, with_titles=with_titles)
        best = network.top_k(together, 3, with_titles=with_titles)
        for level, scores_BC in scored.scores.items():
            mean_BC = torch.stack([one.scores[level] for one in each]).mean(0)
            torch.testing.assert_close(scores_BC, mean_BC, atol=1e-5, rtol=1e-5)
            assert (each[0].scores[level] - each[1].scores[level]).abs().max() > 1e-4
            kept = best.scores[level].shape[1]
            assert torch.equal(best.scores[level], scores_BC.sort(1, descending=True).values[:, :kept])
        mean_BD = torch.stack([network.features(view).visual_BD for view in views]).mean(0)
        vectors_BD = network.search_vectors(network.features(together))
    torch.testing.assert_close(vectors_BD, F.normalize(mean_BD, dim=1))


@pytest.mark.parametrize("attention", [None, "spatial"])
@pytest.mark.parametrize("classifier_form", ["linear", "cosine"])
def test_class_activation_is_grad_cam(taxonomy: Taxonomy, attention: str | None, classifier_form: str) -> None:
    """With a mean over the cells and a linear classifier, α_d is w_cd / (h·w)."""
    settings: dict[str, Any] = {"attention": attention, "classifier_form": classifier_form, "backbone": "resnet18"}
    network = build_network(NetworkConfig(weights=None, **settings), taxonomy=taxonomy, photo_size=(64, 96)).eval()
    images_BCHW, class_B = torch.randn(2, 3, 64, 96), torch.tensor([1, 0])
    with torch.inference_mode():
        found_Bhw = network.class_activation(images_BCHW, class_B)
        assert found_Bhw is not None
        maps_BDhw = network.last_maps(images_BCHW)
        weights_BD = leaf_classifier(network).weight[class_B]
    assert found_Bhw.shape == (2, 2, 3) and not found_Bhw.requires_grad
    if classifier_form == "cosine":
        maps_BDhw = maps_BDhw.clone().requires_grad_()
        scores_BC = network.level_heads[-1].scores(maps_BDhw.mean(dim=(2, 3)))
        (weights_BDhw,) = torch.autograd.grad(scores_BC.gather(1, class_B[:, None]).sum(), maps_BDhw)
        weights_BD = weights_BDhw.sum(dim=(2, 3))
    expected_Bhw = torch.einsum("bd,bdhw->bhw", weights_BD, maps_BDhw.detach()).clamp(min=0) / 6
    torch.testing.assert_close(found_Bhw, expected_Bhw)
    assert (found_Bhw > 0).any() and all(parameter.grad is None for parameter in network.parameters())


def test_a_network_without_several_cells_shows_nothing(make: Make) -> None:
    one_cell = make(backbone="resnet18").eval()
    assert one_cell.class_activation(torch.randn(1, 3, 32, 32), torch.tensor([0])) is None
