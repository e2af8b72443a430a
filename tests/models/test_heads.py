from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.base.taxonomy import Attribute
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.heads import AttributeHead, LevelHead

D = 4


def attribute_head(attributes: tuple[Attribute, ...], **options: Any) -> AttributeHead:
    torch.manual_seed(3)
    settings: dict[str, Any] = {"weights": (0.5, 0.1), "weight": 1.0, **options}
    return AttributeHead(D, attributes, range(len(attributes)), **settings).double()


def test_attributes_have_two_layers(attributes: tuple[Attribute, ...]) -> None:
    """S §3.4: a layer of Σ m_i nodes, then one of m_i nodes for every attribute."""
    head = attribute_head(attributes)
    assert [tuple(p.shape) for p in head.parameters() if p.ndim == 2] == [(5, D), (3, 5), (2, 5)]
    features_BD = torch.randn(2, D, dtype=torch.float64)
    shared_BM = (features_BD @ head.together[0].weight.T + head.together[0].bias).clamp(min=0)
    for layer, scores_Bm in zip(head.each, head.scores(features_BD).values(), strict=True):
        torch.testing.assert_close(scores_Bm, shared_BM @ layer.weight.T + layer.bias)


def test_attribute_loss_is_equation_7(attributes: tuple[Attribute, ...]) -> None:
    """Computed row by row: absent states (0) add nothing, and n counts all rows."""
    head = attribute_head(attributes)
    features_BD = torch.randn(4, D, dtype=torch.float64)
    codes_BA = torch.tensor([[1, 0], [3, 2], [0, 0], [2, 1]])
    total, terms = head.loss(features_BD, codes_BA)
    expected = torch.zeros((), dtype=torch.float64)
    for column, (name, gamma) in enumerate({"colour": 0.5, "sleeve length": 0.1}.items()):
        scores_Bm, term = head.scores(features_BD)[name], torch.zeros((), dtype=torch.float64)
        for row in range(4):
            if codes_BA[row, column] != 0:
                term = term - F.log_softmax(scores_Bm[row], 0)[codes_BA[row, column] - 1] / 4
        expected = expected + gamma * term
        torch.testing.assert_close(terms[name], term.detach())
    torch.testing.assert_close(total, expected)


def test_a_batch_without_a_label_adds_nothing(attributes: tuple[Attribute, ...]) -> None:
    head = attribute_head(attributes)
    total, terms = head.loss(torch.randn(3, D, dtype=torch.float64), torch.zeros(3, 2, dtype=torch.int64))
    total.backward()  # type: ignore[no-untyped-call]
    assert total == 0 and all(term == 0 for term in terms.values())
    assert all(p.grad is not None and (p.grad == 0).all() for p in head.parameters())


def test_chosen_attributes_read_their_own_columns(attributes: tuple[Attribute, ...]) -> None:
    head = AttributeHead(D, attributes[1:], (1,), weights=(1.0,), weight=1.0)
    features_BD, codes_BA = torch.randn(2, D), torch.tensor([[3, 1], [3, 2]])
    scores_Bm = head.scores(features_BD)["sleeve length"]
    torch.testing.assert_close(head.loss(features_BD, codes_BA)[0], F.cross_entropy(scores_Bm, codes_BA[:, 1] - 1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_attribute_scores_are_float32_under_autocast(attributes: tuple[Attribute, ...], dtype: torch.dtype) -> None:
    head = attribute_head(attributes).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = head.scores(torch.randn(2, D).to(dtype))
        total, _ = head.loss(torch.randn(2, D), torch.tensor([[1, 1], [2, 2]]))
    assert {scores_Bm.dtype for scores_Bm in scores.values()} | {total.dtype} == {torch.float32}


def test_a_level_goes_through_its_private_layers() -> None:
    torch.manual_seed(4)
    private, classifier = nn.Sequential(nn.Linear(D, 3), nn.Tanh()), Classifier(3, 7)
    head = LevelHead("type", 0, private, classifier, weight=1.0)
    features_BD, labels_B = torch.randn(5, D), torch.tensor([0, 1, 2, 3, 6])
    scores_BC: Tensor = private(features_BD) @ classifier.weight.T + classifier.bias
    torch.testing.assert_close(head.scores(features_BD), scores_BC)
    torch.testing.assert_close(head.loss(features_BD, labels_B)[0], F.cross_entropy(scores_BC, labels_B))
    best = head.top_k(features_BD, 9)
    assert best.scores_BK.shape == (5, 7) and torch.equal(best.classes_BK[:, 0], scores_BC.argmax(1))


@pytest.mark.parametrize("level", ["type", "keys", "a.b", "%2E", "根"])
def test_any_level_name_names_a_module(level: str) -> None:
    head = LevelHead(level, 0, nn.Sequential(), Classifier(D, 2), weight=1.0)
    names = set(nn.ModuleDict({head.module_name: head}).state_dict())
    assert len(names) == 2 and all(name.count(".") == 2 for name in names)
