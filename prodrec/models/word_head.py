"""The head of the words: it predicts the words of the title from the photo.

Training alone needs titles. The words that many classes share (brand, colour, cut) teach the backbone what separates
classes of few photos. The loss is that of hashtag prediction with a softmax (Mahajan et al. 2018, "Exploring the limits
of weakly supervised pretraining", §2.2), with words of titles in place of hashtags.

Shapes: B rows, T words of the longest title, D features, V words of the vocabulary, W words to predict.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.models.classifier.class_scores import at_least_float32
from prodrec.models.word_targets import WordTargets


class WordHead(nn.Module):
    """Scores of the words, on units of their own: a narrow layer that classes and words shared would serve both worse.

    hidden: width of a hidden layer with a ReLU; None is no hidden layer
    weight: λ of the words in S eq. 5
    """

    target_of_word: Tensor
    weights_W: Tensor

    def __init__(self, features: int, targets: WordTargets, *, hidden: int | None, weight: float) -> None:
        super().__init__()
        self.weight = weight
        layers = [] if hidden is None else [nn.Linear(features, hidden), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.scores = nn.Linear(hidden or features, len(targets))
        self.register_buffer("target_of_word", torch.as_tensor(targets.target_of_word))
        self.register_buffer("weights_W", torch.as_tensor(targets.weights_W))

    def forward(self, pooled_BD: Tensor) -> Tensor:
        """Return unnormalised scores of the words, B×W, at least float32."""
        return at_least_float32(self.scores(self.hidden(pooled_BD)))

    def loss(
        self, pooled_BD: Tensor, tokens_BT: Tensor, *, n: int | None = None, weights_B: Tensor | None = None
    ) -> Tensor:
        """Return the mean over n rows of the cross-entropy between a title's words and their scores z.

            L = −1/n Σ_i Σ_w q_iw log softmax(z_i)_w,    q_iw = [w in title i] a_w / Σ_{w' in title i} a_w'

        a are the weights of the words. A word counts once in a title. A title without a word to predict has no term.

        n:         number of rows over all ranks; by default the rows of this batch
        weights_B: factor of the loss of every row; None is 1
        """
        targets_BW = self.targets(tokens_BT)
        if weights_B is not None:
            targets_BW = targets_BW * weights_B.unsqueeze(1)
        log_p_BW = F.log_softmax(self(pooled_BD), dim=1)
        return -(targets_BW * log_p_BW).sum() / (len(tokens_BT) if n is None else n)

    def targets(self, tokens_BT: Tensor) -> Tensor:
        """Return q: the share of every word in its title, B×W; rows sum to 1, or to 0 without a word to predict."""
        targets_BT = self.target_of_word[tokens_BT]
        is_target_BT = targets_BT >= 0
        q_BW = self.weights_W.new_zeros(len(tokens_BT), len(self.weights_W) + 1)  # the last column is "no target"
        q_BW.scatter_(1, torch.where(is_target_BT, targets_BT, len(self.weights_W)), 1.0)
        q_BW = q_BW[:, :-1] * self.weights_W
        return q_BW / q_BW.sum(1, keepdim=True).clamp(min=torch.finfo(q_BW.dtype).tiny)
