"""One table: every family × title encoder × kind of backbone keeps the same promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from prodrec.core.data.batches import Batch
from prodrec.core.taxonomy import Taxonomy
from prodrec.models.families import FAMILIES, recipe
from prodrec.models.recognizer import Recognizer, build, restore
from prodrec.models.title_encoders import TITLE_ENCODERS

WORDS = 12
SMALL_BACKBONES = ("resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5")
TABLE = [
    *[("visual", {"backbone": backbone}) for backbone in SMALL_BACKBONES],
    *[("sicot", {"backbone": "shufflenet_v2_x0_5", "titles": titles}) for titles in TITLE_ENCODERS],
    ("sicot", {"backbone": "resnet18", "freeze_batch_norm": True}),
    ("sicot", {"backbone": "mobilenet_v3_small", "freeze_batch_norm": True, "train_batch_norm_affine": False}),
    ("sicot", {"backbone": "squeezenet1_1", "embed": 24, "embed_hidden": 40, "dropout": 0.3}),
    ("sicot", {"backbone": "squeezenet1_1", "word_nonlinearity": "tanh", "word_weighting": "softmax"}),
    ("sicot", {"backbone": "squeezenet1_1", "word_nonlinearity": "relu", "word_weighting": "sigmoid"}),
    ("sicot", {"backbone": "squeezenet1_1", "train_word_vectors": False, "mixed_trains_backbone": False}),
    ("sicot", {"backbone": "squeezenet1_1", "logit_adjustment": 1.0, "label_smoothing": 0.1, "word_dropout": 0.2}),
]


@pytest.fixture(params=TABLE, ids=lambda row: "-".join([row[0], *map(str, row[1].values())]))
def network(request: pytest.FixtureRequest, taxonomy: Taxonomy) -> Recognizer:
    family, settings = request.param
    torch.manual_seed(1)
    start = {"word_vectors": "random"} if family == "sicot" else {}
    config = recipe(family, {"weights": "none", **start, **settings}).network
    return build(config, taxonomy=taxonomy, words=WORDS, train_images=torch.tensor([9, 7, 5, 2, 0]).numpy())


def test_every_family_is_in_the_table() -> None:
    assert {family for family, _ in TABLE} == set(FAMILIES)


def test_contract(network: Recognizer, taxonomy: Taxonomy, make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(4, untitled=(2,))
    _loss_reaches_every_trainable_parameter(network, batch)
    network.eval()
    with torch.no_grad():
        _scores_and_top_k_agree(network, batch)
        _batch_equals_single(network, batch)
        _same_after_state_dict(network, batch, taxonomy)


def _loss_reaches_every_trainable_parameter(network: Recognizer, batch: Batch) -> None:
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    losses = network.loss(batch)
    losses.total.backward()
    assert losses.total.shape == () and all(value.shape == () for value in losses.parts.values())
    assert set(losses.parts) == ({"visual", "mixed"} if network.config.titles else {"visual"})
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, f"no gradient reaches {name}"
    grouped = [id(parameter) for parameters in network.parameter_groups().values() for parameter in parameters]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters() if p.requires_grad)
    if network.config.freeze_batch_norm:
        assert before and all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


def _scores_and_top_k_agree(network: Recognizer, batch: Batch) -> None:
    with_titles = network.config.titles is not None
    scored = network.score(batch, with_titles=with_titles)
    assert set(scored.scores) == {"leaf"} and scored.scores["leaf"].shape == (4, 5)
    best = network.top_k(batch, 3, with_titles=with_titles)
    assert torch.equal(best.features_BD, scored.features_BD)
    assert torch.equal(best.scores["leaf"], scored.scores["leaf"].sort(dim=1, descending=True).values[:, :3])
    assert torch.equal(scored.scores["leaf"].gather(1, best.classes["leaf"]), best.scores["leaf"])
    assert network.top_k(batch, 99).classes["leaf"].shape == (4, 5)


def _batch_equals_single(network: Recognizer, batch: Batch) -> None:
    with_titles = network.config.titles is not None
    together = network.score(batch, with_titles=with_titles)
    for row in range(len(batch)):
        alone = replace(batch, **{name: getattr(batch, name)[row : row + 1] for name in vars(batch)})
        single = network.score(alone, with_titles=with_titles)
        torch.testing.assert_close(single.features_BD[0], together.features_BD[row], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(single.scores["leaf"][0], together.scores["leaf"][row], rtol=1e-4, atol=1e-5)


def _same_after_state_dict(network: Recognizer, batch: Batch, taxonomy: Taxonomy) -> None:
    again = restore(network.config, network.state_dict(), taxonomy=taxonomy, train_images=None).eval()
    assert torch.equal(network.score(batch).scores["leaf"], again.score(batch).scores["leaf"])
    parts = {name.split(".")[0] for name in network.state_dict()}
    assert parts <= {"backbone", "embed", "word_vectors", "title_encoder", "classifier"}
    assert {"classifier.weight", "classifier.bias"} <= set(network.state_dict())
