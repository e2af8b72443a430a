from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from prodrec.models.classifier.classifier import Classifier

B, D, C = 6, 4, 5


@pytest.fixture
def rows() -> tuple[Tensor, Tensor]:
    return torch.randn(B, D, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 4, 4])


def test_loss_is_cross_entropy(rows: tuple[Tensor, Tensor]) -> None:
    features_BD, labels_B = rows
    classifier = Classifier(D, C).double()
    total, each_B = classifier.loss(features_BD, labels_B)
    p_BC = (features_BD @ classifier.weight.T + classifier.bias).softmax(1)
    expected_B = torch.stack([-p_BC[row, label].log() for row, label in enumerate(labels_B)])
    torch.testing.assert_close(each_B, expected_B)
    torch.testing.assert_close(total, expected_B.mean())
    assert not each_B.requires_grad and total.requires_grad


def test_row_weights_and_label_smoothing(rows: tuple[Tensor, Tensor]) -> None:
    features_BD, labels_B = rows
    classifier = Classifier(D, C).double()
    weights_B = torch.tensor([0.5, 0, 0, 2.0, 0, 0], dtype=torch.float64)
    total, _ = classifier.loss(features_BD, labels_B, weights_B=weights_B, label_smoothing=0.2)
    log_p_BC = (features_BD @ classifier.weight.T + classifier.bias).log_softmax(1)
    target_BC = 0.8 * F.one_hot(labels_B, C) + 0.2 / C
    torch.testing.assert_close(total, -(weights_B.unsqueeze(1) * target_BC * log_p_BC).sum())


def test_logit_adjustment_is_in_the_loss_only(rows: tuple[Tensor, Tensor]) -> None:
    features_BD, labels_B = rows
    images_C = torch.tensor([50, 30, 15, 5, 0])
    plain = Classifier(D, C).double()
    adjusted = Classifier(D, C, logit_adjustment=1.5, train_images_C=images_C).double()
    adjusted.load_state_dict(plain.state_dict())
    torch.testing.assert_close(adjusted.scores(features_BD), plain.scores(features_BD))
    prior_C = torch.tensor([50, 30, 15, 5, 1], dtype=torch.float64) / 101  # without images: counts as one
    expected = F.cross_entropy(plain.scores(features_BD) + 1.5 * prior_C.log(), labels_B)
    torch.testing.assert_close(adjusted.loss(features_BD, labels_B)[0], expected, rtol=1e-6, atol=1e-6)
    assert set(adjusted.state_dict()) == {"weight", "bias"}


def test_gradients_by_finite_differences(rows: tuple[Tensor, Tensor]) -> None:
    features_BD, labels_B = rows
    images_C = torch.tensor([5, 4, 3, 2, 1])
    classifier = Classifier(D, C, logit_adjustment=1.0, train_images_C=images_C).double()
    weights_B = torch.rand(B, dtype=torch.float64)

    def loss(features_BD: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        classifier.weight.data, classifier.bias.data = weight, bias
        values = {"weight": weight, "bias": bias}
        options = {"weights_B": weights_B, "label_smoothing": 0.1}
        return torch.func.functional_call(_Loss(classifier, options), _prefixed(values), (features_BD, labels_B))

    inputs = [features_BD, classifier.weight.detach().clone(), classifier.bias.detach().clone()]
    assert torch.autograd.gradcheck(loss, [value.requires_grad_() for value in inputs], nondet_tol=1e-12)


def _prefixed(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"classifier.{name}": value for name, value in values.items()}


class _Loss(torch.nn.Module):
    def __init__(self, classifier: Classifier, options: dict[str, object]) -> None:
        super().__init__()
        self.classifier = classifier
        self.options = options

    def forward(self, features_BD: Tensor, labels_B: Tensor) -> Tensor:
        return self.classifier.loss(features_BD, labels_B, **self.options)[0]  # type: ignore[arg-type]


def test_float32_sums_and_scores_under_autocast() -> None:
    features_BD, labels_B = torch.randn(B, 64), torch.arange(B) % C
    classifier = Classifier(64, C)
    exact, _ = classifier.loss(features_BD, labels_B)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, each_B = classifier.loss(features_BD.bfloat16(), labels_B)
        scores_BC = classifier.scores(features_BD.bfloat16())
    assert total.dtype == each_B.dtype == scores_BC.dtype == torch.float32
    assert abs(float(total.detach()) - float(exact.detach())) < 0.03
    torch.testing.assert_close(scores_BC, classifier.scores(features_BD.bfloat16().float()))


def test_adjusted_scores_subtract_the_prior_that_training_did_not(rows: tuple[Tensor, Tensor]) -> None:
    features_BD, _ = rows
    images_C = torch.tensor([50, 30, 15, 5, 0])
    prior_C = torch.tensor([50, 30, 15, 5, 1], dtype=torch.float64) / 101
    for tau_of_training in (0.0, 0.7):
        classifier = Classifier(D, C, logit_adjustment=tau_of_training, train_images_C=images_C).double()
        classifier.set_prior(images_C)
        plain_BC = classifier.scores(features_BD)
        for tau in (0.0, 0.7, 1.0):
            # Menon et al. 2021, eq. 9, from the scores for images as in training
            expected_BC = plain_BC + tau_of_training * prior_C.log() - tau * prior_C.log()
            scores_BC = classifier.scores(features_BD, tau=tau)
            torch.testing.assert_close(scores_BC, expected_BC, rtol=0, atol=1e-6)
            best = classifier.top_k(features_BD, 2, tau=tau)
            torch.testing.assert_close(best.scores_BK, scores_BC.topk(2).values)
        assert torch.equal(classifier.scores(features_BD, tau=tau_of_training), plain_BC)


def test_with_a_sampler_training_adjusts_by_its_shares_and_scores_return_to_those_of_the_dataset(
    rows: tuple[Tensor, Tensor],
) -> None:
    features_BD, labels_B = rows
    images_C, sampled_C = torch.tensor([50, 30, 15, 5, 0]), torch.tensor([5.0, 4.0, 3.0, 2.0, 0.0])
    log_prior_C = (torch.tensor([50, 30, 15, 5, 1], dtype=torch.float64) / 101).log()
    log_sampled_C = (torch.tensor([5, 4, 3, 2, 1], dtype=torch.float64) / 15).log()
    close = {"rtol": 1e-6, "atol": 1e-6}
    for tau_of_training in (0.0, 0.7, 1.0):
        classifier = Classifier(D, C, logit_adjustment=tau_of_training).double()
        classifier.set_prior(images_C, sampled_C)
        plain_BC = classifier.scores(features_BD)
        expected = F.cross_entropy(plain_BC + tau_of_training * log_sampled_C, labels_B)
        torch.testing.assert_close(classifier.loss(features_BD, labels_B)[0], expected, **close)
        # log p(x | c) up to a constant of x: what training has learned, without the shares that it saw
        likelihood_BC = plain_BC - (1 - tau_of_training) * log_sampled_C
        for tau in (0.0, 0.7, 1.0):
            expected_BC = likelihood_BC + (1 - tau) * log_prior_C
            torch.testing.assert_close(classifier.scores(features_BD, tau=tau), expected_BC, **close)
        assert torch.equal(classifier.scores(features_BD, tau=None), plain_BC)


def test_top_k_in_decreasing_order(rows: tuple[Tensor, Tensor]) -> None:
    features_BD, _ = rows
    classifier = Classifier(D, C).double()
    scores_BK, classes_BK, *_ = classifier.top_k(features_BD, 3)
    order_BC = classifier.scores(features_BD).argsort(dim=1, descending=True)
    assert torch.equal(classes_BK, order_BC[:, :3]) and classes_BK.dtype == torch.int64
    assert (scores_BK.diff(dim=1) <= 0).all()
