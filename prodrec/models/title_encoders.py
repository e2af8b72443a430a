"""From the words of a title to one semantic feature: the four encoders of A table 3 behind one interface.

Every encoder takes words_BTE (word vectors) and present_BT (bool, False where there is no word, only after the words)
and gives a `Title`: semantic_BD and weights_BT, how much each word counts (0 where there is no word; for explaining).
A row without words gets weights 0 and a semantic feature that means nothing: whoever calls must leave it out.

The semantic feature is linear on purpose, without a ReLU at its end. It meets the visual feature in an elementwise
maximum (A §3.3): where visual features are ≥ 0 (a ReLU before the pooling, or `embed`), max(v, s) = max(v, relu(s))
anyway; where they are signed (ConvNeXt, ViT), s can still say nothing by being very negative.

Shapes: B rows, T words, E word vector, S LSTM states of both directions, K bilinear forms, D feature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from prodrec.models.network_config import NetworkConfig


class Title(NamedTuple):
    """What an encoder makes of titles."""

    semantic_BD: Tensor
    weights_BT: Tensor


class MeanOfWords(nn.Module):
    """The mean of the word vectors, projected ("embeddings mean pooling" of A table 3)."""

    def __init__(self, word_dimension: int, features: int, config: NetworkConfig) -> None:
        super().__init__()
        self.project = _projection(word_dimension, features, config.semantic_spread)

    def forward(self, words_BTE: Tensor, present_BT: Tensor) -> Title:
        weights_BT = _equal_weights(present_BT, words_BTE.dtype)
        return Title(self.project(_weighted_sum(weights_BT, words_BTE)), weights_BT)


class BiLSTM(nn.Module):
    """The mean of the states of a bidirectional LSTM, projected ("bi-LSTM").

    The paper does not say how states become one embedding; their mean is our guess, so that this encoder and the next
    differ only in the weights of the words.
    """

    def __init__(self, word_dimension: int, features: int, config: NetworkConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(word_dimension, config.lstm_width, batch_first=True, bidirectional=True)
        self.project = _projection(2 * config.lstm_width, features, config.semantic_spread)

    def forward(self, words_BTE: Tensor, present_BT: Tensor) -> Title:
        states_BTS = self.states(words_BTE, present_BT)
        weights_BT = self.weigh(states_BTS, present_BT)
        return Title(self.project(_weighted_sum(weights_BT, states_BTS)), weights_BT)

    def states(self, words_BTE: Tensor, present_BT: Tensor) -> Tensor:
        """States of both directions B×T×S; packed, so that the backward direction starts at the last word."""
        lengths_B = present_BT.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(words_BTE, lengths_B, batch_first=True, enforce_sorted=False)
        states_BTS, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=words_BTE.shape[1])
        return states_BTS

    def weigh(self, states_BTS: Tensor, present_BT: Tensor) -> Tensor:
        return _equal_weights(present_BT, states_BTS.dtype)


class BiLSTMAttention(BiLSTM):
    """The same states, weighted by self attention ("bi-LSTM attention"): a = softmax_t(w · tanh(A h_t)).

    The form is the usual one (Lin et al. 2017, eq. 5, one row); the paper only names it.
    """

    def __init__(self, word_dimension: int, features: int, config: NetworkConfig) -> None:
        super().__init__(word_dimension, features, config)
        self.attend = nn.Sequential(
            nn.Linear(2 * config.lstm_width, config.lstm_width), nn.Tanh(), nn.Linear(config.lstm_width, 1, bias=False)
        )

    def weigh(self, states_BTS: Tensor, present_BT: Tensor) -> Tensor:
        return _masked_softmax(self.attend(states_BTS).squeeze(2), present_BT)


class BilinearAttention(nn.Module):
    """Bilinear word attention (A §3.2, fig. 5), as we read it; the figure is lost.

        g = mean_t e_t                               global context
        m_tk = (U g)_k · (V e_t)_k                   second-order map between context and word, k = 1..K
        a = weighting_t(nonlinearity(mean_k m_tk))   average pooling, nonlinear transformation, weights
        semantic = P Σ_t a_t e_t

    Guesses: the forms have rank 1 (pooled, K of them make one bilinear form g'U'V e_t / K of rank K; full forms would
    collapse into a single one when averaged, at E² parameters each), the nonlinearity, and the weighting. Measured on
    titles alone (class names hidden from them): sigmoid ahead of softmax over the title, tanh and none alike.
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
            nn.init.normal_(forms.weight)  # with torch's own start the map is near 0 and the weights never wake up
        self.nonlinearity = self.NONLINEARITIES[config.word_nonlinearity]
        self.weighting = {"softmax": _masked_softmax, "sigmoid": _masked_sigmoid}[config.word_weighting]
        self.project = _projection(word_dimension, features, config.semantic_spread)

    def forward(self, words_BTE: Tensor, present_BT: Tensor) -> Title:
        context_BE = _weighted_sum(_equal_weights(present_BT, words_BTE.dtype), words_BTE)
        map_BTK = self.context_forms(context_BE).unsqueeze(1) * self.word_forms(words_BTE)
        weights_BT = self.weighting(self.nonlinearity(map_BTK.mean(2)), present_BT)
        return Title(self.project(_weighted_sum(weights_BT, words_BTE)), weights_BT)


def hide_words(tokens_BT: Tensor, share: float) -> Tensor:
    """Word dropout: each word goes with probability `share`, the rest moves up; a title never loses all its words."""
    present_BT = tokens_BT != 0
    keep_BT = present_BT & (torch.rand(tokens_BT.shape, device=tokens_BT.device) >= share)
    keep_BT = torch.where(keep_BT.any(1, keepdim=True), keep_BT, present_BT)
    order_BT = keep_BT.logical_not().long().argsort(dim=1, stable=True)
    return (tokens_BT * keep_BT).gather(1, order_BT)


def hide_titles(tokens_BT: Tensor, share: float) -> Tensor:
    """Title dropout: each row loses all its words with probability `share`."""
    return tokens_BT * (torch.rand(len(tokens_BT), 1, device=tokens_BT.device) >= share)


def _projection(width: int, features: int, spread: float) -> nn.Linear:
    """Linear layer whose outputs start with standard deviation `spread` for inputs of length 1, so that the maximum
    with visual features (about 0 to 1 after a pooled ReLU) starts as a contest and not with one side asleep."""
    layer = nn.Linear(width, features)
    nn.init.normal_(layer.weight, std=spread)
    nn.init.zeros_(layer.bias)
    return layer


def _equal_weights(present_BT: Tensor, dtype: torch.dtype) -> Tensor:
    weights_BT = present_BT.to(dtype)
    return weights_BT / weights_BT.sum(1, keepdim=True).clamp(min=1)


def _masked_softmax(scores_BT: Tensor, present_BT: Tensor) -> Tensor:
    """Softmax over the words that are present; a row without words gets zeros, and a gradient of zero."""
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
}
