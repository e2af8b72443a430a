"""The vote of products of an index: the equations of training photos, for classes that no training had too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from prodrec.inference.indexed import IndexNetwork, ProductVoters
from prodrec.inference.neighbours.operating_points import OperatingPoint
from tests.inference.neighbours.linear_network import C, LinearNetwork, draw_batch, draw_neighbours

POINT = OperatingPoint("natural", tau=0.25, beta=0.4, neighbours=6, temperature=0.05, rho=0.5)
PATHS = [("root", f"leaf {i}") for i in range(C)]
NEW = ("root", "new leaf")


@dataclass
class FixedIndex:
    """Returns the same products for every photo, each a path, a cosine, a hash and whether the path is predicted."""

    found: list[tuple[tuple[str, ...], float, str, bool]]

    def to_vectors(self, features_BD: Any) -> Any:
        return features_BD

    def search(self, vectors_Bd: Any, top: int) -> Any:
        hits = [
            SimpleNamespace(
                product=SimpleNamespace(sku=f"S{i}", title="t", path=path, tags=("x",), is_predicted=predicted),
                cosine=cosine,
                photo=i,
                photo_hash=photo_hash,
            )
            for i, (path, cosine, photo_hash, predicted) in enumerate(self.found)
        ]
        return [hits[:top]] * len(vectors_Bd)


def voters(index: Any, counts: list[int], *, alone: bool = False) -> ProductVoters:
    count_M = torch.tensor(counts)
    unvoted_U = torch.nonzero(count_M == 0)[:, 0]
    class_of = {**{path: i for i, path in enumerate(PATHS)}, NEW: C}
    return ProductVoters(index, "leaf", class_of, count_M, {"leaf": 1}, unvoted_U[:0] if alone else unvoted_U, alone)


def expected(scores_C: np.ndarray, found: list[Any], counts: list[int], point: OperatingPoint) -> np.ndarray:
    """p of all C + 1 classes for one photo, by the equations of `neighbours/__init__.py`, in plain numpy."""
    softmax_M = np.append(np.exp(scores_C - scores_C.max()) / np.exp(scores_C - scores_C.max()).sum(), 0.0)
    weight_M = np.zeros(C + 1)
    for path, cosine in found:
        c = C if path == NEW else PATHS.index(path)
        weight_M[c] += counts[c] ** -point.rho * np.exp((cosine - found[0][1]) / point.temperature)
    vote_M = weight_M / weight_M.sum()
    has_products_M = np.array(counts) > 0
    share = softmax_M[has_products_M].sum()
    mixed_M = (1 - point.beta) * softmax_M + point.beta * share * vote_M
    return np.where(has_products_M, mixed_M, softmax_M)


def test_probabilities_are_those_of_the_equations() -> None:
    found = [(PATHS[2], 0.9, "a", False), (NEW, 0.85, "b", False), (PATHS[2], 0.8, "c", False)]
    counts = [3, 0, 4, 1, 2, 7, 5]
    network, batch = LinearNetwork(), draw_batch(4, seed=1)
    result = IndexNetwork(network, voters(FixedIndex(found), counts), POINT).recognise(batch)  # type: ignore[arg-type]
    scores_BC = network.scores_of(batch.inputs, tau=0.25).scores["leaf"].numpy()
    for row in range(4):
        expected_M = expected(scores_BC[row], [(path, cosine) for path, cosine, *_ in found], counts, POINT)
        assert result.scored.scores["leaf"][row].exp().numpy() == pytest.approx(expected_M, abs=1e-5)
    assert result.scored.scores["root"].shape == (4, 2), "no new root"
    assert torch.allclose(result.vectors_BD, F.normalize(batch.inputs, dim=1))  # type: ignore[arg-type]
    shares = [product.share for product in result.products[0]]  # type: ignore[index]
    assert sum(shares) == pytest.approx(1) and shares[1] > shares[2] > 0 and result.voters is None


def test_who_does_not_vote() -> None:
    """A predicted path, one that ends above the leaves, an unknown class, and a photo that voted already."""
    silent = [(PATHS[0], 0.99, "p", True), (("root",), 0.98, "q", False), (("other", "x"), 0.97, "r", False)]
    found = [*silent, (PATHS[1], 0.9, "a", False), (PATHS[5], 0.9, "a", False), (PATHS[4], 0.5, "b", False)]
    counts = [1] * (C + 1)
    network, batch = LinearNetwork(), draw_batch(1, seed=2)
    result = IndexNetwork(network, voters(FixedIndex(found), counts), POINT, top=6).recognise(batch)  # type: ignore[arg-type]
    scores_C = network.scores_of(batch.inputs, tau=0.25).scores["leaf"][0].numpy()
    voting = [(PATHS[1], 0.9), (PATHS[4], 0.5)]
    expected_M = expected(scores_C, voting, counts, POINT)
    assert result.scored.scores["leaf"][0].exp().numpy() == pytest.approx(expected_M, abs=1e-5)
    products = result.products[0]  # type: ignore[index]
    assert [product.share > 0 for product in products] == [False, False, False, True, False, True]
    assert products[0].is_predicted and products[3].sku == "S3" and products[3].photo == 3
    nothing = IndexNetwork(network, voters(FixedIndex(silent), counts), POINT).recognise(batch)  # type: ignore[arg-type]
    assert torch.allclose(nothing.scored.scores["leaf"][0, :C], torch.from_numpy(scores_C).log_softmax(0), atol=1e-5), (
        "without a vote the classifier decides"
    )


def test_the_vote_decides_alone() -> None:
    found = [(PATHS[3], 0.9, "a", False), (NEW, 0.88, "b", False)]
    counts = [0, 0, 0, 1, 0, 0, 9]
    point = replace(POINT, beta=1 - 1e-6, rho=1.0)
    batch = draw_batch(3, seed=3)
    index = voters(FixedIndex(found), counts, alone=True)
    p_BM = IndexNetwork(LinearNetwork(), index, point).recognise(batch).scored.scores["leaf"].exp()  # type: ignore[arg-type]
    assert torch.allclose(p_BM.sum(1), torch.ones(3), atol=1e-4)
    assert (p_BM.argmax(1) == 3).all() and (p_BM[:, 3] > 0.9).all() and (p_BM[:, [0, 1, 2, 4, 5]] < 1e-5).all()


def test_classes_alone_still_return_products() -> None:
    found = [(NEW, 0.9, "a", False)] * 3
    point, batch = OperatingPoint("natural", tau=0.5), draw_batch(2, seed=4)
    network = LinearNetwork()
    result = IndexNetwork(network, voters(FixedIndex(found), [1] * (C + 1)), point, top=2).recognise(batch)  # type: ignore[arg-type]
    assert torch.equal(result.scored.scores["leaf"][:, :C], network.scores_of(batch.inputs, tau=0.5).scores["leaf"])
    assert [len(row) for row in result.products or ()] == [2, 2]


def test_training_photos_and_products_vote_alike() -> None:
    """With the training photos as products, the answer is that of a run with neighbours."""
    from prodrec.inference.neighbours.fused import FusedNetwork, PointNetwork

    neighbours, network, batch = draw_neighbours(), LinearNetwork(), draw_batch(5, seed=5)
    of_run = PointNetwork(FusedNetwork(network, neighbours), POINT).recognise(batch)  # type: ignore[arg-type]

    class Index(FixedIndex):
        def search(self, vectors_Bd: Any, top: int) -> Any:
            nearest = neighbours.searcher.nearest(torch.from_numpy(np.asarray(vectors_Bd)), top)
            rows = zip(nearest.cosine_Bk.tolist(), nearest.index_Bk.tolist(), strict=True)
            return [
                FixedIndex(
                    [(PATHS[int(neighbours.class_N[i])], c, str(i), False) for c, i in zip(*row, strict=True)]
                ).search([0], top)[0]
                for row in rows
            ]

    counts = [*neighbours.count_C.tolist(), 0]
    found = IndexNetwork(network, replace(voters(Index([]), counts), new={}), POINT)  # type: ignore[arg-type]
    index = replace(found.voters, count_M=neighbours.count_C, unvoted_U=neighbours.unvoted_U)
    result = replace(found, voters=index).recognise(batch)  # type: ignore[arg-type]
    assert torch.allclose(result.scored.scores["leaf"], of_run.scored.scores["leaf"], atol=1e-4)
