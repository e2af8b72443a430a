"""The loss of a network from its features, for methods that weigh photos by their class.

Shapes: B rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.data.batches import Batch
from prodrec.models.assemble import build_network
from prodrec.models.network import RecognitionNetwork
from prodrec.models.network_config import NetworkConfig

TRAIN_IMAGES = {"root": np.array([21, 2]), "leaf": np.array([9, 7, 5, 2, 0])}


def network_of(taxonomy: Taxonomy, **settings: object) -> RecognitionNetwork:
    torch.manual_seed(2)
    config = NetworkConfig(
        backbone="squeezenet1_1",
        weights=None,
        titles="mean",
        word_vectors="random",
        title_loss_weight=0.3,
        heads=("levels",),
        **settings,  # type: ignore[arg-type]
    )
    return build_network(config, taxonomy=taxonomy, words=12, train_images=TRAIN_IMAGES, photo_size=(64, 64)).eval()


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
