"""Rows from words, and their scale from hidden classes, against loops and autograd."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from prodrec.models import hidden_classes
from prodrec.models.class_words import ClassWords, WordScale, balanced_rows, set_new_rows
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.hidden_classes import HiddenClasses
from prodrec.models.word_head import WordHead
from prodrec.models.word_targets import WordTargets

D, C, M = 5, 11, 70


@pytest.fixture
def head() -> WordHead:
    torch.manual_seed(0)
    targets = WordTargets(np.array([-1, 0, -1, 1, 2, 3]), np.array([1.0, 2.0, 1.0, 0.5], np.float32))
    return WordHead(D, targets, hidden=None, weight=1.0)


def test_scores_of_rows_are_the_mean_scores_of_the_words_of_titles(head: WordHead) -> None:
    tokens_BT = torch.tensor([[1, 3, 0], [4, 4, 2], [2, 0, 0], [5, 1, 0], [3, 0, 0]])
    labels_B = torch.tensor([0, 0, 0, 2, -1])
    words = ClassWords(head, 3)
    words.add(tokens_BT[:2], labels_B[:2])
    words.add(tokens_BT[2:], labels_B[2:])
    assert words.has_words_C.tolist() == [True, False, True]
    x_D = torch.randn(D)
    z_W = head(x_D.unsqueeze(0))[0].detach()
    of_title = [float(share_W @ z_W) for share_W in head.targets(tokens_BT)]
    expected = [(of_title[0] + of_title[1]) / 2, 0.0, of_title[3]]  # a title without a word to predict does not count
    rows_CE = words.rows()
    scores = rows_CE[:, :-1] @ x_D + rows_CE[:, -1]
    torch.testing.assert_close(scores, torch.tensor(expected))


@pytest.fixture
def problem() -> dict[str, Any]:
    torch.manual_seed(1)
    has_words_C = torch.ones(C, dtype=torch.bool)
    has_words_C[[2, 7]] = False
    words_CE = torch.randn(C, D + 1)
    words_CE[~has_words_C] = 0
    rows_CE = words_CE * 1.5 + torch.randn(C, D + 1)
    features_MD = torch.randn(M, D)
    scores_MC = features_MD @ rows_CE[:, :-1].T + rows_CE[:, -1]
    label_M = torch.distributions.Categorical(logits=scores_MC).sample()
    return {
        "features_MD": features_MD,
        "label_M": label_M,
        "rows_CE": rows_CE,
        "words_CE": words_CE,
        "has_words_C": has_words_C,
        "seed": 3,
    }


def competitions(hidden: HiddenClasses, problem: dict[str, Any], a: Any, b: Any) -> list[tuple[Any, Any]]:
    """Return for every fold the scores of all photos, and which classes are hidden, by the equation."""
    has_words_C, x_MD = problem["has_words_C"], problem["features_MD"].double()
    trained_MC, word_MC = (
        x_MD @ problem[key].double()[:, :-1].T + problem[key].double()[:, -1] for key in ("rows_CE", "words_CE")
    )
    mean_M1 = trained_MC[:, has_words_C].mean(1, keepdim=True)
    u_MC = word_MC - word_MC[:, has_words_C].mean(1, keepdim=True)
    result = []
    for fold in range(hidden.folds):
        is_hidden_C = hidden.fold_C == fold
        result.append((torch.where(is_hidden_C, mean_M1 + a * u_MC + b, trained_MC), is_hidden_C))
    return result


def loss_by_definition(hidden: HiddenClasses, problem: dict[str, Any], point: torch.Tensor) -> torch.Tensor:
    label_M = problem["label_M"]
    weight_M = 1 / torch.bincount(label_M, minlength=C)[label_M].double()
    weight_M = weight_M / weight_M.sum()
    losses = [
        weight_M @ torch.nn.functional.cross_entropy(scores_MC, label_M, reduction="none")
        for scores_MC, _ in competitions(hidden, problem, *point)
    ]
    return torch.stack(losses).mean()


def test_folds_hide_every_class_with_words_once(problem: dict[str, Any]) -> None:
    fold_C = HiddenClasses(**problem).fold_C
    assert fold_C[~problem["has_words_C"]].tolist() == [-1, -1]
    assert sorted(torch.bincount(fold_C[problem["has_words_C"]]).tolist()) == [1, 2, 2, 2, 2]
    assert torch.equal(HiddenClasses(**problem).fold_C, fold_C)
    assert not torch.equal(HiddenClasses(**{**problem, "seed": 4}).fold_C, fold_C)


@pytest.mark.parametrize("rows_at_once", [2**24, 100])
def test_loss_gradient_and_hessian_are_those_of_autograd(
    problem: dict[str, Any], rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hidden_classes, "SCORES_AT_ONCE", rows_at_once)
    hidden, point = HiddenClasses(**problem), torch.tensor([0.7, -0.4], dtype=torch.float64)
    loss, gradient, hessian = hidden.loss(*point.tolist())

    def by_definition(at: torch.Tensor) -> torch.Tensor:
        return loss_by_definition(hidden, problem, at)

    assert loss == pytest.approx(float(by_definition(point)), rel=1e-5)
    torch.testing.assert_close(gradient, torch.autograd.functional.jacobian(by_definition, point), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(hessian, torch.autograd.functional.hessian(by_definition, point), rtol=1e-4, atol=1e-5)


def test_no_other_scale_and_offset_has_a_smaller_loss(problem: dict[str, Any]) -> None:
    hidden = HiddenClasses(**problem)
    fit = hidden.minimise()
    best = hidden.loss(fit.scale, fit.offset)[0]
    assert fit.scale > 0.2
    for da, db in itertools.product((-0.5, -0.05, 0.05, 0.5), repeat=2):
        assert hidden.loss(max(fit.scale + da, 0), fit.offset + db)[0] > best
    assert hidden.minimise(bonus=2).offset == pytest.approx(fit.offset + 2)


def test_words_that_say_the_opposite_get_the_scale_zero(problem: dict[str, Any]) -> None:
    hidden = HiddenClasses(**{**problem, "words_CE": -problem["words_CE"]})
    fit = hidden.minimise()
    assert fit.scale == 0
    best = hidden.loss(0, fit.offset)[0]
    assert min(hidden.loss(0, fit.offset + step)[0] for step in (-0.1, 0.1)) > best


def test_accuracies_are_those_of_the_competitions(problem: dict[str, Any]) -> None:
    hidden, label_M = HiddenClasses(**problem), problem["label_M"]
    weight_M = 1 / torch.bincount(label_M)[label_M].double()
    right, total = {True: 0.0, False: 0.0}, {True: 0.0, False: 0.0}
    for scores_MC, is_hidden_C in competitions(hidden, problem, 1.2, 0.3):
        for weight, scores_C, label in zip(weight_M.tolist(), scores_MC, label_M.tolist(), strict=True):
            kind = bool(is_hidden_C[label])
            total[kind] += weight
            right[kind] += weight * (int(scores_C.argmax()) == label)
    expected = [right[kind] / total[kind] for kind in (True, False)]
    assert list(hidden.accuracies([(1.2, 0.3)] * hidden.folds)) == pytest.approx(expected)
    assert 0 < expected[0] < 1


@pytest.mark.parametrize("bonus", [0.0, 1.5])
def test_the_estimate_of_a_fold_does_not_use_the_fold(problem: dict[str, Any], bonus: float) -> None:
    """Scale and offset for a fold are those with the smallest loss over the others, whatever the fold contains."""
    hidden = HiddenClasses(**problem)
    fit, points = hidden.minimise(bonus=bonus), []
    for fold in range(hidden.folds):
        best = torch.tensor([fit.scale, fit.offset - bonus], dtype=torch.float64)
        for _ in range(20):  # Newton's method by autograd

            def others(at: torch.Tensor, fold: int = fold) -> torch.Tensor:
                weight_M = 1 / torch.bincount(problem["label_M"])[problem["label_M"]].double()
                losses = [
                    weight_M @ torch.nn.functional.cross_entropy(scores_MC, problem["label_M"], reduction="none")
                    for number, (scores_MC, _) in enumerate(competitions(hidden, problem, *at))
                    if number != fold
                ]
                return torch.stack(losses).sum() / weight_M.sum()

            gradient = torch.autograd.functional.jacobian(others, best)
            best = best - torch.linalg.solve(torch.autograd.functional.hessian(others, best), gradient)
        points.append((float(best[0]), float(best[1]) + bonus))
    assert len({round(scale, 3) for scale, _ in points}) == hidden.folds
    expected = hidden.accuracies(points)
    assert (fit.hidden_accuracy, fit.known_accuracy) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("tau_of_training", [0.0, 0.5, 1.0])
def test_a_new_row_scores_as_the_equation_says(problem: dict[str, Any], tau_of_training: float) -> None:
    classifier = Classifier(D, C, logit_adjustment=tau_of_training, train_images_C=torch.arange(1, C + 1))
    known, new = torch.arange(C - 2), torch.tensor([C - 2, C - 1])
    words_CE, fit = problem["words_CE"], WordScale(0.8, 0.6, 0, 0)
    before = balanced_rows(classifier)
    set_new_rows(classifier, known, words_CE[known], new, words_CE[new], fit)
    torch.testing.assert_close(balanced_rows(classifier)[known], before[known])
    x_BD = torch.randn(6, D)
    scores_BC = classifier.scores(x_BD, tau=1.0)
    words_BC = x_BD @ words_CE[:, :-1].T + words_CE[:, -1]
    u_BN = words_BC[:, new] - words_BC[:, known].mean(1, keepdim=True)
    expected = scores_BC[:, known].mean(1, keepdim=True) + 0.8 * u_BN + 0.6
    torch.testing.assert_close(scores_BC[:, new], expected)
