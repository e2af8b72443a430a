"""The scales of lws have the gradient that autograd computes, in chunks of classes and for rows by number."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from prodrec.models.classifier import chunks
from prodrec.models.classifier.class_sampling import sample_classes
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.second_stage.row_scales import RowScales

B, D, C, STEPS, LR = 9, 5, 101, 4, 0.3


@pytest.mark.parametrize("sample_share", [1.0, 0.5])
def test_scales_move_as_with_autograd(monkeypatch: pytest.MonkeyPatch, sample_share: float) -> None:
    """Sampled classes are rows by number; their softmax is over the active classes alone."""
    monkeypatch.setattr(chunks, "MIN_CHUNK_CLASSES", 8)
    monkeypatch.setattr(chunks, "MAX_CHUNK_WEIGHTS_CPU", 8 * D)
    torch.manual_seed(0)
    frozen_CD = torch.randn(C, D, dtype=torch.float64)
    classifier = Classifier(D, C, sample_share=sample_share).double()
    with torch.no_grad():
        classifier.weight.copy_(frozen_CD)
    classifier.bias.requires_grad_(False)
    scale_C = nn.Parameter(torch.ones(C, dtype=torch.float64))
    optimizer = torch.optim.SGD([scale_C], lr=LR, momentum=0.9)
    classifier.update_rows_by(RowScales(optimizer, scale_C, weight_ND=classifier.weight, frozen_ND=frozen_CD))

    plain_C = nn.Parameter(torch.ones(C, dtype=torch.float64))
    momentum_C = torch.zeros(C, dtype=torch.float64)
    for step in range(STEPS):
        x_BD = torch.randn(B, D, dtype=torch.float64)
        labels_B = torch.randint(C, (B,))
        state = torch.get_rng_state()
        loss, _ = classifier.loss(x_BD, labels_B)
        torch.set_rng_state(state)
        active_S = torch.arange(C) if sample_share == 1 else sample_classes(labels_B, C, sample_share)
        loss.backward()
        scores_BS = (x_BD @ (plain_C.unsqueeze(1) * frozen_CD).t())[:, active_S]
        plain = F.cross_entropy(scores_BS, torch.searchsorted(active_S, labels_B))
        torch.testing.assert_close(loss, plain)
        (gradient_C,) = torch.autograd.grad(plain, plain_C)
        with torch.no_grad():  # inactive rows are not moved
            momentum_C[active_S] = 0.9 * momentum_C[active_S] + gradient_C[active_S]
            plain_C[active_S] -= LR * momentum_C[active_S]
        torch.testing.assert_close(scale_C.detach(), plain_C.detach())
        torch.testing.assert_close(classifier.weight.detach(), plain_C.detach().unsqueeze(1) * frozen_CD)
        assert step or (scale_C != 1).any()
    assert classifier.weight.grad is None and not classifier.bias.any()
