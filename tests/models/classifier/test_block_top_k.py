"""The best classes by blocks against a full sort.

Shapes: B rows, D features, C classes, K best.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from prodrec.models.classifier import classifier
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
    scores_BK, classes_BK = top_k(ClassChunks(weight_CD, bias_C, B), features_BD, k, rows_at_once=rows_at_once)
    expected = F.linear(features_BD, weight_CD, bias_C).sort(dim=1, descending=True)
    torch.testing.assert_close(scores_BK, expected.values[:, :k], **EXACT)
    assert torch.equal(classes_BK, expected.indices[:, :k])


def test_top_k_scores_many_rows_at_once_even_without_a_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []

    def record(*args: Any, rows_at_once: int) -> Any:
        rows.append(rows_at_once)
        return top_k(*args, rows_at_once=rows_at_once)

    monkeypatch.setattr(classifier, "top_k", record)
    Classifier(D, C, buffer_gib=0.0).double().top_k(torch.randn(B, D).double(), 3)
    assert rows == [classifier.MIN_TOP_K_ROWS]
