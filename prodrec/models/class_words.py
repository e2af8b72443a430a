"""Rows for classes without photos, from the words of their titles.

A network that predicts the words of titles (`word_head.py`) has scores z = W x + d of the words, and q_c are the mean
shares of the words in the titles of class c. The mean over the titles of the log-probability of their words,

    Σ_w q_cw log softmax(z)_w = q_c · z − log Σ_w exp z_w,

is linear in x up to a term that all classes have in common. The text thus gives the weights of a classifier, which is
the idea of Elhoseiny et al. 2013, "Write a classifier: zero-shot learning using purely textual descriptions"; they
learn the map from texts to weights by regression, while here W is that map.

The scores o of the trained classes have another origin and scale. Both are compared with the mean over the K known
classes that have words, and two numbers place one relative to the other:

    u_c(x) = (q_c − q̄) · z        q̄ = 1/K Σ_c q_c
    o_c(x) = ō(x) + a u_c(x) + b    ō = 1/K Σ_c o_c, the scores for equally frequent classes (τ = 1)

`hidden_classes.py` chooses a and b. All of this is linear in x, so a new class gets a row and a bias as any other:

    w_c = w̄ + a (q_c − q̄) W,    b_c = b̄ + a (q_c − q̄) · d + b − (prior of class c)

where the prior is what `Classifier.adjusted_bias(1)` adds to the bias of training. A new class has the prior of a
typical class, whose number of training photos is the geometric mean: the τ of an operating point then neither favours
nor hinders new classes on the whole.

Shapes: B titles, T words of the longest, W words to predict, D features, E = D + 1 (weights and bias), C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prodrec.models.classifier.classifier import Classifier
from prodrec.models.word_head import WordHead


class ClassWords:
    """Adds up the words of the titles of every class, as rows that are multiplied with W.

    head: without a hidden layer
    """

    def __init__(self, head: WordHead, classes: int) -> None:
        assert not len(head.hidden), "words behind a hidden layer are not linear in the feature"
        self.head = head
        layer = head.scores
        self._layer_WE = torch.cat([layer.weight.detach(), layer.bias.detach().unsqueeze(1)], 1).float()
        self._sums_CE = self._layer_WE.new_zeros(classes, self._layer_WE.shape[1])
        self._titles_C = self._layer_WE.new_zeros(classes)

    def add(self, tokens_BT: Tensor, labels_B: Tensor) -> None:
        """Add titles of the classes `labels_B`. A label of -1, and a title without a word to predict, add nothing."""
        device = self._sums_CE.device
        labels_B = labels_B.to(device)
        share_BW = self.head.targets(tokens_BT.to(device)).float()
        counts_B = (labels_B >= 0) & (share_BW.sum(1) > 0)
        labels_B = labels_B[counts_B]
        row_BE = torch.sparse.mm(share_BW[counts_B].to_sparse(), self._layer_WE)
        self._sums_CE.index_add_(0, labels_B, row_BE)
        self._titles_C += torch.bincount(labels_B, minlength=len(self._titles_C))

    @property
    def has_words_C(self) -> Tensor:
        """Whether a class has a title with a word to predict."""
        return self._titles_C > 0

    def rows(self) -> Tensor:
        """Return q_c [W, d] for every class: float32 [C, E], 0 for a class without words."""
        return self._sums_CE / self._titles_C.clamp(min=1).unsqueeze(1)


@dataclass(frozen=True)
class WordScale:
    """a and b of the module, and how well they recognise hidden classes (`hidden_classes.py`)."""

    scale: float
    offset: float
    hidden_accuracy: float
    known_accuracy: float


def balanced_rows(classifier: Classifier) -> Tensor:
    """Return weights and biases for equally frequent classes: float32 [C, E]."""
    bias_C = classifier.adjusted_bias(1.0).detach()
    return torch.cat([classifier.weight.detach(), bias_C.unsqueeze(1)], 1).float()


def set_new_rows(
    classifier: Classifier,
    known_K: Tensor,
    known_word_rows_KE: Tensor,
    new_N: Tensor,
    new_word_rows_NE: Tensor,
    fit: WordScale,
) -> None:
    """Set weights and biases of the classes `new_N` of a classifier that has those of its classes `known_K`.

    classifier:         on this rank alone, with the numbers of training images (`Classifier.set_prior`)
    known_word_rows_KE: `ClassWords.rows` of the known classes that have words, whose indices are `known_K`
    new_word_rows_NE:   those of the new classes, whose indices are `new_N`
    """
    mean_E = balanced_rows(classifier)[known_K].mean(0)
    row_NE = mean_E + fit.scale * (new_word_rows_NE - known_word_rows_KE.mean(0))
    prior_N = (classifier.adjusted_bias(1.0) - classifier.bias).detach()[new_N]
    with torch.no_grad():
        classifier.weight[new_N] = row_NE[:, :-1].to(classifier.weight.dtype)
        classifier.bias[new_N] = (row_NE[:, -1] + fit.offset - prior_N).to(classifier.bias.dtype)
