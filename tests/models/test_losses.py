"""The loss of a network from its features, for methods that weigh photos by their class.

Shapes: B rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.batches import Batch, Partners
from prodrec.models.assemble import build_network
from prodrec.models.network import RecognitionNetwork
from prodrec.models.network_config import NetworkConfig
from prodrec.models.word_targets import WordTargets

TARGET_OF_WORD = np.array([-1, 0, 1, -1, 2, 3, *[-1] * 7])
WORD_WEIGHTS = np.array([1, 1, 2, 1], np.float32)
TRAIN_IMAGES = {"root": np.array([21, 2]), "leaf": np.array([9, 7, 5, 2, 0])}


def network_of(taxonomy: Taxonomy, attributes: tuple[Attribute, ...] = (), **settings: object) -> RecognitionNetwork:
    torch.manual_seed(2)
    config = NetworkConfig(
        backbone="squeezenet1_1",
        weights=None,
        titles="mean",
        word_vectors="random",
        title_loss_weight=0.3,
        **{"heads": ("levels",), **settings},  # type: ignore[arg-type]
    )
    network = build_network(
        config,
        taxonomy=taxonomy,
        attributes=attributes,
        words=12,
        word_targets=WordTargets(TARGET_OF_WORD, WORD_WEIGHTS),
        train_images=TRAIN_IMAGES,
        photo_size=(64, 64),
    )
    return network.eval()


def test_class_weights_apply_to_both_streams_and_all_levels(
    taxonomy: Taxonomy, make_batch: Callable[..., Batch]
) -> None:
    network = network_of(taxonomy, class_weights="inverse", class_weights_from=0.5)
    batch = make_batch(6, untitled=(2,))
    features = network(batch.inputs, batch.tokens_BT)
    assert features.mixed_BD is not None
    leaf_weights_C = torch.tensor([1 / 9, 1 / 7, 1 / 5, 1 / 2, 1])
    leaf_weights_C /= leaf_weights_C[:4].mean()  # the last leaf has no images
    root_weights_C = torch.tensor([1 / 21, 1 / 2])
    root_weights_C /= root_weights_C.mean()
    root, leaf = network.level_heads
    roots_B, leaves_B = batch.labels_BL.unbind(1)

    def loss(scores_BC: torch.Tensor, labels_B: torch.Tensor, weights_C: torch.Tensor, rows: torch.Tensor) -> float:
        each_B = F.cross_entropy(scores_BC, labels_B, reduction="none")
        return float((weights_C[labels_B] * each_B * rows).sum().detach()) / 6

    everything, titled_B = torch.ones(6), torch.tensor([1.0, 1, 0, 1, 1, 1])
    for progress, leaf_C, root_C in (
        (0.4, torch.ones(5), torch.ones(2)),
        (0.5, leaf_weights_C, root_weights_C),
    ):
        expected = (
            loss(leaf.scores(features.visual_BD), leaves_B, leaf_C, everything)
            + 0.3 * loss(leaf.scores(features.mixed_BD), leaves_B, leaf_C, titled_B)
            + loss(root.scores(features.visual_BD), roots_B, root_C, everything)
        )
        losses = network.loss(replace(batch, progress=progress))
        torch.testing.assert_close(losses.total.item(), expected, rtol=1e-5, atol=0)
        plain = loss(leaf.scores(features.visual_BD), leaves_B, torch.ones(5), everything)
        torch.testing.assert_close(losses.terms["visual"].item(), plain, rtol=1e-5, atol=0)


def in_pairs(batch: Batch, share: float = 0.3) -> Batch:
    partner_B = torch.arange(len(batch)).flip(0)
    partners = Partners(
        batch.labels_BL[partner_B],
        batch.attributes_BA[partner_B],
        batch.tokens_BT[partner_B],
        torch.full((len(batch),), share),
    )
    return replace(batch, partners=partners)


def test_photos_in_pairs_have_two_labels_and_no_title(
    taxonomy: Taxonomy, attributes: tuple[Attribute, ...], make_batch: Callable[..., Batch]
) -> None:
    network = network_of(taxonomy, attributes, heads=("levels", "attributes", "words"), class_weights="inverse")
    batch = make_batch(5)
    batch.labels_BL[4, 1] = -1
    features = network(batch.inputs)
    leaf_weights_C = torch.tensor([1 / 9, 1 / 7, 1 / 5, 1 / 2, 1])
    leaf_weights_C /= leaf_weights_C[:4].mean()
    root_weights_C = torch.tensor([1 / 21, 1 / 2])
    root_weights_C /= root_weights_C.mean()
    root, leaf = network.level_heads
    assert network.attribute_head is not None and network.word_head is not None
    scores_by_attribute = network.attribute_head.scores(features.visual_BD)
    total, visual = 0.0, 0.0
    for row in range(5):
        for share, other in ((0.3, row), (0.7, 4 - row)):
            root_label, leaf_label = batch.labels_BL[other].tolist()
            for head, label, weights_C in ((root, root_label, root_weights_C), (leaf, leaf_label, leaf_weights_C)):
                if label >= 0:
                    each = -head.scores(features.visual_BD)[row].log_softmax(0)[label].item()
                    total += share * float(weights_C[label]) * each / 5
                    visual += share * each / 5 if head is leaf else 0
            words = {int(TARGET_OF_WORD[word]) for word in batch.tokens_BT[other].tolist()} - {-1}
            log_p_W = network.word_head(features.pooled_BD)[row].log_softmax(0)
            for word in words:
                weight = WORD_WEIGHTS[word] / sum(WORD_WEIGHTS[other_word] for other_word in words)
                total -= share * float(weight) * log_p_W[word].item() / 5
            for code, scores_Bm in zip(batch.attributes_BA[other].tolist(), scores_by_attribute.values(), strict=True):
                if code:
                    total -= share * scores_Bm[row].log_softmax(0)[code - 1].item() / 5
    losses = network.loss(in_pairs(batch))
    torch.testing.assert_close(losses.total.item(), total, rtol=1e-5, atol=0)
    torch.testing.assert_close(losses.terms["visual"].item(), visual, rtol=1e-5, atol=0)
    assert losses.terms.keys() == network.loss(batch).terms.keys() and losses.terms["mixed"] == 0


def test_photos_in_pairs_give_every_parameter_a_gradient_and_titles_a_zero(
    taxonomy: Taxonomy, make_batch: Callable[..., Batch]
) -> None:
    network = network_of(taxonomy, word_dropout=0.5, title_dropout=0.5, mixing="gate").train()
    network.loss(in_pairs(make_batch(5))).total.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, f"DistributedDataParallel would wait for {name}"
        assert bool(parameter.grad.any()) != name.startswith(("title_encoder", "word_vectors", "mixing")), name


@pytest.mark.parametrize(("schedule", "factor"), [("constant", 1.0), ("rise", 0.25), ("fall", 0.75)])
def test_weight_of_titles_follows_its_schedule(
    taxonomy: Taxonomy, make_batch: Callable[..., Batch], schedule: str, factor: float
) -> None:
    network = network_of(taxonomy, heads=("leaf",), title_schedule=schedule)
    losses = network.loss(replace(make_batch(6), progress=0.25))
    expected = losses.terms["visual"] + factor * 0.3 * losses.terms["mixed"]
    torch.testing.assert_close(losses.total.detach(), expected)
