"""Title encoders: from the word vectors of a title to one semantic feature; the four encoders of A table 3, and tfidf.

    titles = encoder(words_BTE, tokens_BT)

tokens_BT are the ids of the words; 0 is padding, which comes after the words. A title without words has word weights
of 0 and an undefined semantic feature, which the caller must ignore.

The semantic feature s has no ReLU, because the network takes its elementwise maximum with the visual feature v
(A §3.3). For v ≥ 0 (after a ReLU, or with `embed`), max(v, s) = max(v, relu(s)) anyway. A negative v (ConvNeXt, ViT)
stays unchanged only if s is negative too.

Shapes: B rows, T words, E word vector, S LSTM states of both directions, K bilinear forms, D feature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from prodrec.models.network_config import NetworkConfig

SUM_SCALE = 4.0
FEWEST_TITLES = 2
"""Training titles that must contain a word for TfIdfSum to use it."""


class EncodedTitles(NamedTuple):
    """The semantic feature of every title, and the weights of its words (0 for padding)."""

    semantic_BD: Tensor
    weights_BT: Tensor


class MeanOfWords(nn.Module):
    """The mean of the word vectors, projected ("embeddings mean pooling")."""

    def __init__(self, word_dimension: int, features: int, config: NetworkConfig) -> None:
        super().__init__()
        self.project = _projection(word_dimension, features, config.semantic_spread)

    def forward(self, words_BTE: Tensor, tokens_BT: Tensor) -> EncodedTitles:
        present_BT = tokens_BT != 0
        weights_BT = _equal_weights(present_BT, words_BTE.dtype)
        return EncodedTitles(self.project(_weighted_sum(weights_BT, words_BTE)), weights_BT)


class BiLSTM(nn.Module):
    """The mean of the states of a bidirectional LSTM, projected ("bi-LSTM").

    The paper does not say how the states become one feature. The mean is a guess; with it, this encoder and
    BiLSTMAttention differ in the word weights only.
    """

    def __init__(self, word_dimension: int, features: int, config: NetworkConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(word_dimension, config.lstm_width, batch_first=True, bidirectional=True)
        self.project = _projection(2 * config.lstm_width, features, config.semantic_spread)

    def forward(self, words_BTE: Tensor, tokens_BT: Tensor) -> EncodedTitles:
        present_BT = tokens_BT != 0
        states_BTS = self.states(words_BTE, present_BT)
        weights_BT = self.word_weights(states_BTS, present_BT)
        return EncodedTitles(self.project(_weighted_sum(weights_BT, states_BTS)), weights_BT)

    def states(self, words_BTE: Tensor, present_BT: Tensor) -> Tensor:
        """Return the states of both directions, B×T×S. Packing starts the backward direction at the last word."""
        lengths_B = present_BT.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(words_BTE, lengths_B, batch_first=True, enforce_sorted=False)
        states_BTS, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=words_BTE.shape[1])
        return states_BTS

    def word_weights(self, states_BTS: Tensor, present_BT: Tensor) -> Tensor:
        """Return the weight of every word, B×T."""
        return _equal_weights(present_BT, states_BTS.dtype)


class BiLSTMAttention(BiLSTM):
    """A BiLSTM whose states are weighted by self attention ("bi-LSTM attention"): a = softmax_t(w · tanh(A h_t)).

    The paper only names it; the formula is eq. 5 of Lin et al. 2017, "A structured self-attentive sentence embedding".
    """

    def __init__(self, word_dimension: int, features: int, config: NetworkConfig) -> None:
        super().__init__(word_dimension, features, config)
        self.attend = nn.Sequential(
            nn.Linear(2 * config.lstm_width, config.lstm_width), nn.Tanh(), nn.Linear(config.lstm_width, 1, bias=False)
        )

    def word_weights(self, states_BTS: Tensor, present_BT: Tensor) -> Tensor:
        """Return the weight of every word, B×T; the weights of a title sum to 1."""
        return _masked_softmax(self.attend(states_BTS).squeeze(2), present_BT)


class BilinearAttention(nn.Module):
    """Bilinear word attention (A §3.2, fig. 5).

        g = mean_t e_t                               global context
        m_tk = (U g)_k · (V e_t)_k                   second-order map of context and word, k = 1..K
        a = weighting_t(nonlinearity(mean_k m_tk))   average pooling, nonlinear transformation, word weights
        semantic = P Σ_t a_t e_t

    The text of the paper leaves three points open; these are our guesses:

    - The forms have rank 1. The average of K such forms is one bilinear form gᵀUᵀV e_t / K of rank K. The average of K
      full forms would be one form too, and each of them would have E² parameters.
    - The weighting is a sigmoid. Measured on titles alone, with class names hidden, it beats a softmax over the title.
    - The nonlinearity is tanh. Measured in the same way, it is as good as none.
    """

    NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {  # noqa: RUF012 - a constant
        "none": lambda x: x,
        "tanh": torch.tanh,
        "relu": torch.relu,
    }

    def __init__(self, word_dimension: int, features: int, config: NetworkConfig) -> None:
        super().__init__()
        self.context_forms = nn.Linear(word_dimension, config.bilinear_forms, bias=False)
        self.word_forms = nn.Linear(word_dimension, config.bilinear_forms, bias=False)
        for forms in (self.context_forms, self.word_forms):
            nn.init.normal_(forms.weight)  # torch's default is so small that the map stays near 0 and does not learn
        self.nonlinearity = self.NONLINEARITIES[config.word_nonlinearity]
        self.weighting = {"softmax": _masked_softmax, "sigmoid": _masked_sigmoid}[config.word_weighting]
        self.project = _projection(word_dimension, features, config.semantic_spread)

    def forward(self, words_BTE: Tensor, tokens_BT: Tensor) -> EncodedTitles:
        present_BT = tokens_BT != 0
        context_BE = _weighted_sum(_equal_weights(present_BT, words_BTE.dtype), words_BTE)
        map_BTK = self.context_forms(context_BE).unsqueeze(1) * self.word_forms(words_BTE)
        weights_BT = self.weighting(self.nonlinearity(map_BTK.mean(2)), present_BT)
        return EncodedTitles(self.project(_weighted_sum(weights_BT, words_BTE)), weights_BT)


class TfIdfSum(nn.Module):
    """The sum of the word vectors, weighted by the rarity of the words (TF-IDF, Salton and Buckley 1988).

        s = 4 Σ_t a_t e_t,    a_t = idf_t / √(Σ_t' idf_t'²),    idf_w = 1 + log((1 + n) / (1 + n_w))

    n is the number of training titles and n_w that of titles with the word; a word that is in one title only has weight
    0. The vectors are learned from zero. If they are as wide as the visual feature v, they are not projected, and the
    sum v + s has the scores W v + 4 Σ_t a_t W e_t: a classifier of photos and a linear classifier of TF-IDF
    (fastText, Joulin et al. 2017) that share W. Vectors of 100 numbers cannot represent as many words; see
    examples/LOG.md, "Titles at hand". The 4 makes the same steps of the optimizer change scores faster.
    """

    idf_V: Tensor

    def __init__(self, word_dimension: int, features: int, config: NetworkConfig) -> None:
        super().__init__()
        projected = word_dimension != features
        self.project = _projection(word_dimension, features, config.semantic_spread) if projected else nn.Identity()
        self.register_buffer("idf_V", torch.zeros(0))

    def set_title_counts(self, titles_V: Tensor, titles: int) -> None:
        """Set the number of training titles with each word, row 0 for padding, and the number of all of them."""
        idf_V = 1 + torch.log((1 + titles) / (1 + titles_V.to(self.idf_V.dtype)))
        self.idf_V = idf_V.masked_fill(titles_V < FEWEST_TITLES, 0.0)

    def forward(self, words_BTE: Tensor, tokens_BT: Tensor) -> EncodedTitles:
        idf_BT = self.idf_V[tokens_BT] * (tokens_BT != 0)
        weights_BT = idf_BT / idf_BT.norm(dim=1, keepdim=True).clamp(min=1e-6)
        return EncodedTitles(self.project(SUM_SCALE * _weighted_sum(weights_BT, words_BTE)), weights_BT)


def drop_words(tokens_BT: Tensor, share: float) -> Tensor:
    """Remove each word with probability `share` and close the gaps. A title that would lose all words keeps them."""
    present_BT = tokens_BT != 0
    keep_BT = present_BT & (torch.rand(tokens_BT.shape, device=tokens_BT.device) >= share)
    keep_BT = torch.where(keep_BT.any(1, keepdim=True), keep_BT, present_BT)
    order_BT = keep_BT.logical_not().long().argsort(dim=1, stable=True)
    return (tokens_BT * keep_BT).gather(1, order_BT)


def drop_titles(tokens_BT: Tensor, share: float) -> Tensor:
    """Remove all words of each title with probability `share`."""
    return tokens_BT * (torch.rand(len(tokens_BT), 1, device=tokens_BT.device) >= share)


def drop_photos(visual_BD: Tensor, share: float) -> Tensor:
    """Replace each visual feature by zeros with probability `share` (ModDrop, Neverova et al. 2016)."""
    return visual_BD * (torch.rand(len(visual_BD), 1, device=visual_BD.device) >= share)


def _projection(width: int, features: int, std: float) -> nn.Linear:
    """Return a linear layer whose initial outputs have standard deviation `std` for inputs of length 1.

    Visual features are about 0 to 1 after a pooled ReLU. With std=1, some elements of the maximum are visual and some
    semantic from the start.
    """
    layer = nn.Linear(width, features)
    nn.init.normal_(layer.weight, std=std)
    nn.init.zeros_(layer.bias)
    return layer


def _equal_weights(present_BT: Tensor, dtype: torch.dtype) -> Tensor:
    weights_BT = present_BT.to(dtype)
    return weights_BT / weights_BT.sum(1, keepdim=True).clamp(min=1)


def _masked_softmax(scores_BT: Tensor, present_BT: Tensor) -> Tensor:
    """Return the softmax over the words of each title; a title without words gets zeros and a zero gradient."""
    lowest = torch.finfo(scores_BT.dtype).min
    return scores_BT.masked_fill(~present_BT, lowest).softmax(1) * present_BT


def _masked_sigmoid(scores_BT: Tensor, present_BT: Tensor) -> Tensor:
    return scores_BT.sigmoid() * present_BT


def _weighted_sum(weights_BT: Tensor, values_BTE: Tensor) -> Tensor:
    return torch.einsum("bt,bte->be", weights_BT.to(values_BTE.dtype), values_BTE)


TITLE_ENCODERS: dict[str, Callable[[int, int, NetworkConfig], nn.Module]] = {
    "mean": MeanOfWords,
    "bilstm": BiLSTM,
    "bilstm-attention": BiLSTMAttention,
    "bilinear": BilinearAttention,
    "tfidf": TfIdfSum,
}
"""Constructors by name: (width of a word vector, width of the visual feature, settings)."""
