from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prodrec.models.network_config import NetworkConfig
from prodrec.models.title_encoders import (
    TITLE_ENCODERS,
    BilinearAttention,
    TfIdfSum,
    drop_photos,
    drop_titles,
    drop_words,
)

E, D = 5, 3
VARIANTS = {
    "mean": {"titles": "mean"},
    "bilstm": {"titles": "bilstm", "lstm_width": 4},
    "bilstm-attention": {"titles": "bilstm-attention", "lstm_width": 4},
    "bilinear": {"titles": "bilinear", "bilinear_forms": 3, "word_nonlinearity": "none", "word_weighting": "softmax"},
    "bilinear-tanh-sigmoid": {"titles": "bilinear", "bilinear_forms": 3},
    "bilinear-relu-sigmoid": {
        "titles": "bilinear",
        "bilinear_forms": 3,
        "word_nonlinearity": "relu",
        "word_weighting": "sigmoid",
    },
    "tfidf": {"titles": "tfidf", "word_vectors": "zero"},
}
ORDER_MATTERS = ("bilstm", "bilstm-attention")
SUMS_TO_ONE = ("mean", "bilstm", "bilstm-attention", "bilinear")


def encoder(variant: str) -> nn.Module:
    config = NetworkConfig(**VARIANTS[variant])
    encode = TITLE_ENCODERS[config.titles or ""](E, D, config).double()
    if isinstance(encode, TfIdfSum):
        encode.set_title_counts(torch.tensor([0, 3]), 5)
    return encode


def title(*lengths: int, width: int) -> tuple[Tensor, Tensor]:
    """Return words B×T×E of titles of these lengths, with random padding, and their ids: all have the same word."""
    present_BT = torch.arange(width) < torch.tensor(lengths).unsqueeze(1)
    return torch.randn(len(lengths), width, E, dtype=torch.float64), present_BT.long()


def test_every_encoder_is_in_the_table() -> None:
    assert {variant["titles"] for variant in VARIANTS.values()} == set(TITLE_ENCODERS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_belong_to_words(variant: str) -> None:
    words_BTE, tokens_BT = title(4, 1, 0, width=6)
    semantic_BD, weights_BT = encoder(variant)(words_BTE, tokens_BT)
    assert semantic_BD.shape == (3, D) and weights_BT.shape == (3, 6)
    assert (weights_BT[tokens_BT == 0] == 0).all() and (weights_BT >= 0).all()
    assert torch.isfinite(semantic_BD).all()
    if variant in SUMS_TO_ONE:
        torch.testing.assert_close(weights_BT.sum(1), torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_has_no_influence(variant: str) -> None:
    encode = encoder(variant)
    words_BTE, tokens_BT = title(4, 2, width=4)
    short = encode(words_BTE, tokens_BT)
    padding = torch.full((2, 3, E), 1e3, dtype=torch.float64)
    longer_BTE = torch.cat([words_BTE, padding], 1)
    longer_BTE[1, 2:] = 1e3
    long = encode(longer_BTE, torch.cat([tokens_BT, torch.zeros(2, 3, dtype=torch.int64)], 1))
    torch.testing.assert_close(long.semantic_BD, short.semantic_BD)
    torch.testing.assert_close(long.weights_BT[:, :4], short.weights_BT)


@pytest.mark.parametrize("variant", VARIANTS)
def test_order_of_words(variant: str) -> None:
    encode = encoder(variant)
    words_BTE, tokens_BT = title(5, width=5)
    order = torch.tensor([3, 0, 4, 1, 2])
    original, reordered = encode(words_BTE, tokens_BT), encode(words_BTE[:, order], tokens_BT)
    same = torch.allclose(original.semantic_BD, reordered.semantic_BD, atol=1e-10)
    assert same == (variant not in ORDER_MATTERS)
    if same:
        torch.testing.assert_close(original.weights_BT[:, order], reordered.weights_BT)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_by_finite_differences(variant: str) -> None:
    encode = encoder(variant)
    words_BTE, tokens_BT = title(3, 1, 0, width=4)
    names, parameters = zip(*encode.named_parameters(), strict=True)

    def semantic(words_BTE: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(encode, dict(zip(names, values, strict=True)), (words_BTE, tokens_BT))[0]

    inputs = [words_BTE, *(parameter.detach() for parameter in parameters)]
    assert torch.autograd.gradcheck(semantic, [value.requires_grad_() for value in inputs], fast_mode=True)


@pytest.mark.parametrize("nonlinearity", ["none", "tanh", "relu"])
@pytest.mark.parametrize("weighting", ["softmax", "sigmoid"])
def test_bilinear_is_the_formula(nonlinearity: str, weighting: str) -> None:
    """Word by word, in plain Python, against A §3.2 as the encoder's docstring reads it."""
    config = NetworkConfig(
        titles="bilinear",
        bilinear_forms=3,
        word_nonlinearity=nonlinearity,  # type: ignore[arg-type]
        word_weighting=weighting,  # type: ignore[arg-type]
    )
    encode = BilinearAttention(E, D, config).double()
    words = torch.randn(4, E, dtype=torch.float64)
    u, v = encode.context_forms.weight.detach(), encode.word_forms.weight.detach()
    g = words.mean(0)
    scores = []
    for e in words:
        pooled = sum(float(u[k] @ g) * float(v[k] @ e) for k in range(3)) / 3
        scores.append({"none": pooled, "tanh": math.tanh(pooled), "relu": max(0.0, pooled)}[nonlinearity])
    if weighting == "softmax":
        weights = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
    else:
        weights = [1 / (1 + math.exp(-score)) for score in scores]
    semantic = encode.project(sum(weight * word for weight, word in zip(weights, words, strict=True)))
    encoded = encode(words.unsqueeze(0), torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(encoded.weights_BT[0], torch.tensor(weights, dtype=torch.float64))
    torch.testing.assert_close(encoded.semantic_BD[0], semantic)


def test_initial_attention_weights_differ() -> None:
    """Equal weights would give the forms hardly any gradient."""
    encode = BilinearAttention(100, D, NetworkConfig(titles="bilinear", word_weighting="softmax"))
    words_BTE = torch.randn(200, 8, 100) / 10
    weights_BT = encode(words_BTE, torch.ones(200, 8, dtype=torch.bool)).weights_BT
    assert 0.005 < weights_BT.std() < 0.1


def test_semantic_feature_has_the_initial_spread_of_the_setting() -> None:
    encode = TITLE_ENCODERS["mean"](100, 400, NetworkConfig(titles="mean", semantic_spread=0.5))
    words_BTE = nn.functional.normalize(torch.randn(200, 1, 100), dim=2)
    semantic_BD = encode(words_BTE, torch.ones(200, 1, dtype=torch.bool)).semantic_BD
    assert 0.45 < semantic_BD.std() < 0.55


def test_drop_words() -> None:
    tokens_BT = torch.tensor([[1, 2, 3, 4, 0, 0]] * 500 + [[7, 0, 0, 0, 0, 0], [0] * 6])
    dropped_BT = drop_words(tokens_BT, 0.5)
    lengths_B = (dropped_BT != 0).sum(1)
    assert lengths_B.min() == 0 and (lengths_B[:501] >= 1).all() and lengths_B[500] == 1
    assert 1.8 < lengths_B[:500].float().mean() < 2.4  # 2.25 on average: titles that would lose all words keep them
    for row in dropped_BT[:500].tolist():
        words = [word for word in row if word]
        assert row == words + [0] * (6 - len(words)) and words == sorted(words)
    assert torch.equal(drop_words(tokens_BT, 0.0), tokens_BT)


def test_drop_titles() -> None:
    tokens_BT = torch.arange(1, 4).expand(1000, 3)
    gone_B = (drop_titles(tokens_BT, 0.3) == 0).all(1)
    assert 0.2 < gone_B.float().mean() < 0.4
    assert torch.equal(drop_titles(tokens_BT, 0.3)[~gone_B].unique(), torch.tensor([0, 1, 2, 3]))


def test_drop_photos() -> None:
    visual_BD = torch.arange(1.0, 4.0).expand(1000, 3)
    dropped_BD = drop_photos(visual_BD, 0.3)
    gone_B = (dropped_BD == 0).all(1)
    assert 0.2 < gone_B.float().mean() < 0.4
    assert torch.equal(dropped_BD[~gone_B], visual_BD[~gone_B])


def test_tf_idf_sum_is_a_linear_classifier_of_tf_idf() -> None:
    """W (v + s) = W v + 4 Σ_t a_t W e_t, with the weights of scikit-learn's TfidfVectorizer for words in two titles."""
    encode = TfIdfSum(D, D, NetworkConfig(titles="tfidf", word_vectors="zero")).double()
    assert isinstance(encode.project, nn.Identity)
    titles_V = torch.tensor([0, 9, 2, 1, 4])
    encode.set_title_counts(titles_V, 9)
    table_VD = torch.randn(5, D, dtype=torch.float64)
    tokens_BT = torch.tensor([[1, 2, 4], [3, 1, 0], [3, 0, 0], [0, 0, 0]])
    semantic_BD, weights_BT = encode(table_VD[tokens_BT], tokens_BT)
    for tokens_T, semantic_D, weights_T in zip(tokens_BT.tolist(), semantic_BD, weights_BT.tolist(), strict=True):
        idf = [1 + math.log(10 / (1 + int(titles_V[t]))) if t not in (0, 3) else 0.0 for t in tokens_T]
        length = math.hypot(*idf) or 1.0
        assert weights_T == pytest.approx([value / length for value in idf])
        expected_D = sum(4 * value / length * table_VD[t] for value, t in zip(idf, tokens_T, strict=True))
        torch.testing.assert_close(semantic_D, torch.as_tensor(expected_D))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"titles": "tfidf"}, "set word_vectors=zero with titles=tfidf"),
        ({"titles": "mean", "word_vectors": "zero"}, "set word_vectors=zero with titles=tfidf"),
        (
            {"titles": "tfidf", "word_vectors": "zero", "train_word_vectors": False},
            "keeps the word vectors of titles=tfidf at zero",
        ),
        ({"titles": "tfidf", "word_vectors": "zero", "semantic_spread": 2.0}, "does nothing with titles=tfidf"),
    ],
)
def test_settings_that_contradict_tf_idf(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**settings)
