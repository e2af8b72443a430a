"""A row without a label at a level (-1) trains like a batch that lacks this row at this level, with n unchanged.

Shapes: B rows, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from prodrec.core.base import dist
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.batches import Batch
from prodrec.models.assemble import build_network
from prodrec.models.classifier import chunks
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.heads import LevelHead
from prodrec.models.network import RecognitionNetwork
from prodrec.models.network_config import NetworkConfig

B, D, C = 11, 6, 101
MISSING = (0, 4, 5, 10)
LABELLED = [row for row in range(B) if row not in MISSING]
MakeBatch = Callable[..., Batch]

CASES: dict[str, tuple[dict[str, Any], float]] = {
    "plain": ({}, 0.0),
    "smoothed and adjusted": ({"logit_adjustment": 0.7}, 0.2),
    "computed twice": ({"buffer_gib": 0.0}, 0.1),
}


def make_head(case: str, *, sharded: bool = False, **options: Any) -> LevelHead:
    torch.manual_seed(1)
    private = nn.Sequential(nn.Linear(D, D), nn.Tanh())
    classifier = Classifier(D, C, sharded=sharded, train_images_C=torch.arange(C) % 30, **{**CASES[case][0], **options})
    return LevelHead("type", 0, private, classifier, weight=1.0).double()


def make_rows(step: int = 0) -> tuple[Tensor, Tensor]:
    """Return features, and labels with -1 in the rows MISSING."""
    generator = torch.Generator().manual_seed(step)
    features_BD = torch.randn(B, D, dtype=torch.float64, generator=generator)
    labels_B = torch.randint(C, (B,), generator=generator)
    labels_B[list(MISSING)] = -1
    return features_BD, labels_B


def gradients(head: LevelHead, features_BD: Tensor, labels_B: Tensor, smoothing: float) -> dict[str, Tensor]:
    """Return the loss, divided by n = B, and its gradients."""
    head.zero_grad()
    features_BD = features_BD.clone().requires_grad_()
    weights_B = torch.full((len(labels_B),), 1 / B, dtype=torch.float64)
    loss, each_B = head.loss(features_BD, labels_B, weights_B=weights_B, label_smoothing=smoothing)
    loss.backward()
    assert features_BD.grad is not None
    grads = {name: p.grad for name, p in head.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), "each": each_B, "features": features_BD.grad, **grads}


@pytest.mark.parametrize("sample_share", [1.0, 0.3])
@pytest.mark.parametrize("case", CASES)
def test_a_missing_label_equals_a_missing_row(case: str, sample_share: float) -> None:
    head, (features_BD, labels_B), smoothing = make_head(case, sample_share=sample_share), make_rows(), CASES[case][1]
    torch.manual_seed(2)  # draws the active classes
    found = gradients(head, features_BD, labels_B, smoothing)
    torch.manual_seed(2)
    expected = gradients(head, features_BD[LABELLED], labels_B[LABELLED], smoothing)
    for name in ("each", "features"):
        assert (found[name][list(MISSING)] == 0).all(), "exactly zero"
        found[name] = found[name][LABELLED]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", CASES)
def test_a_batch_without_a_label_changes_nothing(case: str) -> None:
    found = gradients(make_head(case), make_rows()[0] * 1e3, torch.full((B,), -1), CASES[case][1])
    assert all((values == 0).all() for values in found.values()), "exactly zero, not NaN"


def test_the_default_weight_counts_every_row() -> None:
    head, (features_BD, labels_B) = make_head("plain"), make_rows()
    expected = F.cross_entropy(head.scores(features_BD), labels_B, ignore_index=-1, reduction="sum") / B
    torch.testing.assert_close(head.loss(features_BD, labels_B)[0], expected)
    assert head.loss(features_BD[:0], labels_B[:0])[0] == 0


def test_labels_without_gaps_keep_every_bit() -> None:
    head, (features_BD, _) = make_head("plain").float(), make_rows()
    features_BD, labels_B, weights_B = features_BD.float(), torch.arange(B), torch.rand(B)
    found = head.loss(features_BD, labels_B, weights_B=weights_B)
    expected = head.classifier.loss(head.private(features_BD), labels_B, weights_B=weights_B)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
    found, expected = head.loss(features_BD, labels_B), head.classifier.loss(head.private(features_BD), labels_B)
    assert torch.equal(found[0], expected[0])


# --- several ranks


def train(case: str, *, sharded: bool) -> dict[str, NDArray[Any]]:
    """Return the weights after some fused steps, and the feature gradients of this rank's rows."""
    chunks.MAX_CHUNK_WEIGHTS_CPU = 64 * D
    head = make_head(case, sharded=sharded)
    optimizer = torch.optim.SGD(head.classifier.parameters(), lr=0.5, momentum=0.9, weight_decay=0.01)
    if sharded:
        head.classifier.update_in_backward(optimizer)
    rows, results = dist.shard_slice(B) if sharded else slice(None), {}
    for step in range(3):
        features_BD, labels_B = make_rows(step)
        labels_B[:6] = -1  # one rank of two has no label at all
        optimizer.zero_grad()
        found = gradients(head, features_BD[rows], labels_B[rows], CASES[case][1])
        optimizer.step()
        whole_loss = dist.all_reduce_sum(found["loss"]) if sharded else found["loss"]
        results |= {f"loss {step}": whole_loss.numpy(), f"gradient {step}": found["features"].numpy()}
    return results | {name: p.detach().numpy() for name, p in head.classifier.named_parameters()}


def train_every_case() -> dict[str, dict[str, NDArray[Any]]]:
    return {case: train(case, sharded=True) for case in CASES}


@pytest.mark.parametrize("ranks", [2, 3])
def test_sharded_equals_dense(on_ranks: Callable[..., list[Any]], ranks: int) -> None:
    of_ranks = on_ranks(ranks, train_every_case)
    for case in CASES:
        expected = train(case, sharded=False)
        for name, values in expected.items():
            parts = [results[case][name] for results in of_ranks]
            found = parts[0] if name.startswith("loss") else np.concatenate(parts)
            np.testing.assert_allclose(found, values, rtol=1e-10, atol=1e-12, err_msg=f"{case}: {name}")


# --- whole networks


def network(taxonomy: Taxonomy, attributes: tuple[Attribute, ...], **settings: Any) -> RecognitionNetwork:
    torch.manual_seed(4)
    config = NetworkConfig(
        backbone="squeezenet1_1", weights=None, dropout=0.0, heads=("root", "leaf"), word_vectors="random", **settings
    )
    return build_network(config, taxonomy=taxonomy, attributes=attributes, words=12)


def network_gradients(model: RecognitionNetwork, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    losses = model.loss(batch)
    losses.total.backward()
    return losses.total.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_both_terms_of_equation_1_lack_a_row_without_a_leaf(
    taxonomy: Taxonomy, attributes: tuple[Attribute, ...], make_batch: MakeBatch, smoothing: float
) -> None:
    """The leaf loss is that of the two labelled rows, the root loss that of all four; all are divided by 4."""
    model = network(taxonomy, attributes, titles="bilinear", label_smoothing=smoothing)
    batch = make_batch(4, untitled=(3,))
    labels_BL = batch.labels_BL.clone()
    labels_BL[[0, 3], 1] = -1
    losses = model.loss(replace(batch, labels_BL=labels_BL))

    labelled = torch.tensor([1, 2])
    fewer = Batch(
        *(getattr(batch, name)[labelled] for name in ("rows_B", "inputs", "labels_BL", "attributes_BA", "tokens_BT")),
        global_size=4,
    )
    every, two = model.loss(batch), model.loss(fewer)
    torch.testing.assert_close(losses.terms["visual"], two.terms["visual"])
    torch.testing.assert_close(losses.terms["mixed"], two.terms["mixed"])
    assert torch.equal(losses.terms["level root"], every.terms["level root"])


def test_gradients_of_a_network_equal_those_without_the_row(
    taxonomy: Taxonomy, attributes: tuple[Attribute, ...], make_batch: MakeBatch
) -> None:
    """A row without any label has the gradient of a batch that lacks it, because this backbone sees rows alone."""
    model = network(taxonomy, attributes, titles="bilinear")
    batch = make_batch(4)
    labels_BL = batch.labels_BL.clone()
    labels_BL[2] = -1
    kept = torch.tensor([0, 1, 3])
    fewer = Batch(
        *(getattr(batch, name)[kept] for name in ("rows_B", "inputs", "labels_BL", "attributes_BA", "tokens_BT")),
        global_size=4,
    )
    torch.testing.assert_close(
        network_gradients(model, replace(batch, labels_BL=labels_BL)), network_gradients(model, fewer),
        rtol=1e-4, atol=1e-6,
    )  # fmt: skip
