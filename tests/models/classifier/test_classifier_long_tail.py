"""Class weights, focal loss, cosine form and margins: training equals a plain implementation with autograd.

Shapes: B rows, D features, C classes, S sampled classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from prodrec.core.base.top_k_options import TopKOptions
from prodrec.models.classifier.class_sampling import sample_classes
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.classifier.long_tail import LongTailLoss

from .conftest import EXACT, IMAGES_C, C, D, draw_batches, make_optimizer, train, train_plainly

pytestmark = pytest.mark.usefixtures("small_chunks")


@dataclass(frozen=True)
class Case:
    long_tail: LongTailLoss
    scale: float | None = None
    smoothing: float = 0.0
    adjustment: float = 0.0


CASES = {
    "effective": Case(LongTailLoss(class_weights="effective", class_weights_beta=0.9), smoothing=0.1),
    "inverse": Case(LongTailLoss(class_weights="inverse"), adjustment=0.5),
    "focal": Case(LongTailLoss(focal_gamma=2.0)),
    "focal, adjusted": Case(LongTailLoss(focal_gamma=0.5), adjustment=0.7),
    "cosine": Case(LongTailLoss(), scale=20.0),
    "cosine, smoothed, adjusted": Case(LongTailLoss(), scale=5.0, smoothing=0.2, adjustment=0.7),
    "margins": Case(LongTailLoss(ldam_margin=0.5), scale=30.0),
    "margins, smoothed": Case(LongTailLoss(ldam_margin=0.3), scale=10.0, smoothing=0.1),
    "everything": Case(
        LongTailLoss(class_weights="sqrt-inverse", focal_gamma=1.5, ldam_margin=0.5), scale=8.0, adjustment=0.4
    ),
}


def make(case: Case, **options: Any) -> Classifier:
    torch.manual_seed(3)
    return Classifier(
        D,
        C,
        long_tail=case.long_tail,
        cosine_scale=case.scale,
        logit_adjustment=case.adjustment,
        train_images_C=IMAGES_C,
        **options,
    ).double()


def plain_scores(case: Case, features_BD: Tensor, weight_CD: Tensor, bias_C: Tensor, log_scale: Tensor) -> Tensor:
    if case.scale is None:
        return features_BD @ weight_CD.T + bias_C
    return log_scale.exp() * F.normalize(features_BD) @ F.normalize(weight_CD).T


def plain_loss(
    case: Case, scores_BC: Tensor, labels_B: Tensor, weights_B: Tensor, log_scale: Tensor, classes_C: Tensor
) -> Tensor:
    """Return the loss by the formulas, where column j of the scores is class classes_C[j]; labels are columns."""
    n_C = IMAGES_C.double().clamp(min=1)
    log_prior_C = (n_C / n_C.sum()).log().float().double()  # a classifier has its constants in float32
    long_tail = case.long_tail
    scores_BC = scores_BC + case.adjustment * log_prior_C[classes_C]
    label_BC = F.one_hot(labels_B, scores_BC.shape[1]).double()
    if long_tail.ldam_margin:
        margins_C = (long_tail.ldam_margin * n_C**-0.25).float().double()
        scores_BC = scores_BC - log_scale.exp() * margins_C[classes_C] * label_BC
    each_B = F.cross_entropy(scores_BC, labels_B, reduction="none", label_smoothing=case.smoothing)
    if long_tail.focal_gamma:
        p_B = (scores_BC.softmax(1) * label_BC).sum(1)
        each_B = (1 - p_B) ** long_tail.focal_gamma * each_B
    class_weights_C = long_tail.weights_of_classes(IMAGES_C)
    if class_weights_C is not None:
        weights_B = weights_B * class_weights_C.float().double()[classes_C][labels_B]
    return (weights_B * each_B).sum()


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("buffer_gib", [1.0, 0.0])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_training_equals_the_formulas(case: Case, buffer_gib: float, fused: bool) -> None:
    def formulas(
        features_BD: Tensor, labels_B: Tensor, weights_B: Tensor, weight_CD: Tensor, bias_C: Tensor, log_scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        scores_BC = plain_scores(case, features_BD, weight_CD, bias_C, log_scale)
        loss = plain_loss(case, scores_BC, labels_B, weights_B, log_scale, torch.arange(C))
        return loss, torch.zeros(())  # those of the rows are tested below

    expected = train_plainly(make(case), formulas)
    steps = train(make(case, buffer_gib=buffer_gib), fused=fused, label_smoothing=case.smoothing)
    torch.testing.assert_close(steps.losses, expected.losses, **EXACT)
    torch.testing.assert_close(steps.gradients, expected.gradients, **EXACT)
    torch.testing.assert_close(steps.parameters, expected.parameters, **EXACT)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_sampled_losses_are_over_the_sampled_classes(case: Case) -> None:
    model = make(case, sample_share=0.3)
    optimizer = make_optimizer(list(model.parameters()))
    model.update_in_backward(optimizer)
    features_BD, labels_B, weights_B = draw_batches()[0]
    state = torch.get_rng_state()
    active_S = sample_classes(labels_B, C, 0.3)
    torch.set_rng_state(state)
    before_CD = model.weight.detach().clone()
    weight_SD = before_CD[active_S].requires_grad_()
    log_scale = torch.zeros(()) if model.log_scale is None else model.log_scale.detach().clone()
    scores_BS = plain_scores(case, features_BD.detach(), weight_SD, model.bias.detach()[active_S], log_scale)
    columns_B = torch.searchsorted(active_S, labels_B)
    expected = plain_loss(case, scores_BS, columns_B, weights_B, log_scale, active_S)
    expected.backward()
    loss, _ = model.loss(features_BD, labels_B, weights_B=weights_B, label_smoothing=case.smoothing)
    torch.testing.assert_close(loss, expected, **EXACT)
    loss.backward()
    moved_SD = (before_CD - model.weight.detach())[active_S] / 0.3 - 0.01 * before_CD[active_S]
    torch.testing.assert_close(moved_SD, weight_SD.grad, rtol=1e-8, atol=1e-12)
    other_C = torch.ones(C, dtype=torch.bool).scatter_(0, active_S, False)
    assert torch.equal(model.weight.detach()[other_C], before_CD[other_C])


def test_class_weights_begin_after_a_share_of_the_training() -> None:
    deferred = make(Case(LongTailLoss(class_weights="inverse", class_weights_from=0.8)))
    weighted, plain = make(Case(LongTailLoss(class_weights="inverse"))), make(Case(LongTailLoss()))
    features_BD, labels_B, _ = draw_batches()[0]
    for progress, expected in ((0.0, plain), (0.79, plain), (0.8, weighted), (0.99, weighted)):
        loss, _ = deferred.loss(features_BD, labels_B, progress=progress)
        assert loss.item() == expected.loss(features_BD, labels_B)[0].item()
    assert plain.loss(features_BD, labels_B)[0].item() != weighted.loss(features_BD, labels_B)[0].item()


def test_losses_of_rows_stay_those_without_weights() -> None:
    features_BD, labels_B, _ = draw_batches()[0]
    _, expected_B = make(Case(LongTailLoss())).loss(features_BD, labels_B)
    _, each_B = make(Case(LongTailLoss(class_weights="inverse", focal_gamma=2.0))).loss(features_BD, labels_B)
    assert torch.equal(each_B, expected_B)


def test_scores_and_top_k_of_a_cosine_classifier() -> None:
    case = CASES["margins"]
    model = make(Case(case.long_tail, scale=30.0, adjustment=0.5)).eval()
    features_BD = draw_batches()[0][0].detach()
    scores_BC = model.scores(features_BD)
    torch.testing.assert_close(scores_BC, 30 * F.normalize(features_BD) @ F.normalize(model.weight.detach()).T)
    best = model.top_k(features_BD, 5, options=TopKOptions(logsumexp=True))
    assert torch.equal(best.scores_BK, scores_BC.topk(5).values) and torch.equal(best.classes_BK, scores_BC.topk(5)[1])
    torch.testing.assert_close(best.logsumexp_B, scores_BC.logsumexp(1))
    n_C = IMAGES_C.double().clamp(min=1)
    adjusted_BC = scores_BC - 0.2 * (n_C / n_C.sum()).log()
    torch.testing.assert_close(model.scores(features_BD, tau=0.7), adjusted_BC, rtol=1e-6, atol=1e-6)
    assert set(model.state_dict()) == {"weight", "bias", "log_scale"} and not model.bias.any()


def test_a_cosine_classifier_in_bf16_is_close_to_float32() -> None:
    case = CASES["margins"]
    exact, half = make(case).float(), make(case).float()
    features_BD, labels_B, _ = draw_batches()[0]
    exact_total, _ = exact.loss(features_BD.detach().float(), labels_B)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, _ = half.loss(features_BD.detach().bfloat16(), labels_B)
    exact_total.backward()
    total.backward()
    torch.testing.assert_close(total, exact_total, rtol=5e-3, atol=0)
    assert half.weight.grad is not None and exact.weight.grad is not None
    assert (half.weight.grad - exact.weight.grad).norm() / exact.weight.grad.norm() < 2e-2
