"""The best classes by blocks against a full sort.

Shapes: B rows, D features, C classes, K best.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from prodrec.core.base.top_k_options import TopKOptions
from prodrec.models.classifier import class_scores
from prodrec.models.classifier.block_top_k import top_k
from prodrec.models.classifier.chunks import ClassChunks
from prodrec.models.classifier.classifier import Classifier

B, D, C = 12, 8, 700
EXACT = {"rtol": 1e-12, "atol": 1e-13}


@pytest.mark.parametrize(("classes", "k"), [(5000, 3), (5000, 15), (700, 100), (256, 1), (257, 257)])
@pytest.mark.parametrize("rows_at_once", [1, 5, 100])
def test_top_k_by_blocks_is_top_k(classes: int, k: int, rows_at_once: int) -> None:
    weight_CD, bias_C = torch.randn(classes, D).double(), torch.randn(classes).double()
    features_BD = torch.randn(B, D).double()
    also_BJ = torch.randint(-1, classes, (B, 4))
    chunks = ClassChunks(weight_CD, bias_C, B)
    among_C = torch.rand(classes) < 0.3
    options = TopKOptions(logsumexp=True, also_BJ=also_BJ, among_C=among_C)
    best = top_k(chunks, features_BD, k, rows_at_once=rows_at_once, options=options)
    scores_BC = F.linear(features_BD, weight_CD, bias_C)
    expected = scores_BC.sort(dim=1, descending=True)
    torch.testing.assert_close(best.scores_BK, expected.values[:, :k], **EXACT)
    assert torch.equal(best.classes_BK, expected.indices[:, :k])
    torch.testing.assert_close(best.logsumexp_B, scores_BC.logsumexp(1), **EXACT)
    also_scores_BJ = torch.where(also_BJ < 0, -torch.inf, scores_BC.gather(1, also_BJ.clamp(min=0)))
    torch.testing.assert_close(best.also_BJ, also_scores_BJ, **EXACT)
    among_BC, n = scores_BC.masked_fill(~among_C, -torch.inf), min(k, int(among_C.sum()))
    assert best.among is not None
    torch.testing.assert_close(best.among.scores_BK, among_BC.topk(k).values, **EXACT)
    assert torch.equal(best.among.classes_BK[:, :n], among_BC.topk(k).indices[:, :n])
    torch.testing.assert_close(best.among.logsumexp_B, among_BC.logsumexp(1), **EXACT)
    plain = top_k(chunks, features_BD, k, rows_at_once=rows_at_once)
    assert torch.equal(plain.scores_BK, best.scores_BK) and plain[2:] == (None, None, None)


@pytest.mark.parametrize("rows_at_once", [5, 100])
def test_numbers_of_groups_are_added_before_the_search(rows_at_once: int) -> None:
    classes, groups = 5000, 17
    weight_CD, bias_C = torch.randn(classes, D).double(), torch.randn(classes).double()
    features_BD, added_BP = torch.randn(B, D).double(), 9 * torch.randn(B, groups).double()
    group_C, also_BJ = torch.randint(groups, (classes,)), torch.randint(-1, classes, (B, 4))
    options = TopKOptions(logsumexp=True, also_BJ=also_BJ, added=(added_BP, group_C))
    chunks = ClassChunks(weight_CD, bias_C, B)
    best = top_k(chunks, features_BD, 4, rows_at_once=rows_at_once, options=options)
    scores_BC = F.linear(features_BD, weight_CD, bias_C) + added_BP[:, group_C]
    expected = scores_BC.topk(4)
    torch.testing.assert_close(best.scores_BK, expected.values, **EXACT)
    assert torch.equal(best.classes_BK, expected.indices)
    torch.testing.assert_close(best.logsumexp_B, scores_BC.logsumexp(1), **EXACT)
    also_scores_BJ = torch.where(also_BJ < 0, -torch.inf, scores_BC.gather(1, also_BJ.clamp(min=0)))
    torch.testing.assert_close(best.also_BJ, also_scores_BJ, **EXACT)
    assert not torch.equal(best.classes_BK, top_k(chunks, features_BD, 4, rows_at_once=rows_at_once).classes_BK)


def test_top_k_scores_many_rows_at_once_even_without_a_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []

    def record(*args: Any, rows_at_once: int, **options: Any) -> Any:
        rows.append(rows_at_once)
        return top_k(*args, rows_at_once=rows_at_once, **options)

    monkeypatch.setattr(class_scores, "top_k", record)
    Classifier(D, C, buffer_gib=0.0).double().top_k(torch.randn(B, D).double(), 3)
    assert rows == [class_scores.MIN_TOP_K_ROWS]
