"""A network whose answers count the products of an index: they vote as the training photos of a run do.

The products may have classes that the run was never trained on. The network has no score for them, that is −∞, and
they get the probability β S v_c of the vote alone (`neighbours/__init__.py` has the equations).

Shapes: B photos, C classes of the run, M classes of the run and of the index, D numbers of a feature, d of a vector, k
products that vote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from prodrec.inference.neighbours.operating_points import OperatingPoint
from prodrec.inference.neighbours.protocols import FusibleNetwork, RecognisedBatch
from prodrec.inference.neighbours.vote import Vote, mix_all, vote
from prodrec.inference.results import FoundProduct

SMALLEST = -30.0
"""Smallest log-probability of a class with the vote: the mean over several photos of a product stays finite."""

SEARCHED_PER_VOTER = 2
"""Products that are searched for each one that votes: some have no given category, or the photo of a nearer one."""

if TYPE_CHECKING:
    from prodrec.core.data.batches import Batch
    from prodrec.inference.neighbours.protocols import EncodedTitles


class FoundByIndex(Protocol):
    """A product that an index found, and its nearest photo."""

    @property
    def product(self) -> Any: ...
    @property
    def cosine(self) -> float: ...
    @property
    def photo(self) -> int: ...
    @property
    def photo_hash(self) -> str: ...


class SearchableIndex(Protocol):
    """An index of products.

    to_vectors: returns the vectors that it searches, B×d, from features of length 1, B×D
    search:     returns the nearest products of each vector, nearest first
    """

    def to_vectors(self, features_BD: NDArray[np.floating]) -> NDArray[np.float32]: ...
    def search(self, vectors_Bd: NDArray[np.floating], top: int) -> Sequence[Sequence[FoundByIndex]]: ...


@dataclass(frozen=True)
class ProductVoters:
    """The products of an index as voters.

    index:     where they are found
    level:     the deepest level that the network predicts
    class_of:  the class of a category path, among the M classes of the level; a path that is missing does not vote
    count_M:   number of products of every class, int64
    new:       number of classes at each level that only the index has
    unvoted_U: classes for which no product can vote, int64; empty with `alone`
    alone:     whether the vote decides alone
    """

    index: SearchableIndex
    level: str
    class_of: Mapping[tuple[str, ...], int]
    count_M: Tensor
    new: Mapping[str, int]
    unvoted_U: Tensor
    alone: bool = False

    def voting(self, found: Sequence[FoundByIndex], k: int) -> list[tuple[int, int]]:
        """Return positions and classes of the first k products that vote: of those with the same photo, one."""
        voting: dict[str, tuple[int, int]] = {}
        for position, hit in enumerate(found):
            index = None if hit.product.is_predicted else self.class_of.get(hit.product.path)
            if index is not None:
                voting.setdefault(hit.photo_hash, (position, index))
        return list(voting.values())[:k]

    def vote(
        self, found: Sequence[Sequence[FoundByIndex]], point: OperatingPoint
    ) -> tuple[Vote, list[dict[int, float]]]:
        """Return the vote of the nearest products, and the share of every product that votes, by its position."""
        voting = [self.voting(row, point.neighbours) for row in found]
        cosine_Bk = torch.full((len(found), point.neighbours), -torch.inf)
        class_Bk = torch.zeros(cosine_Bk.shape, dtype=torch.int64)
        for row, products in enumerate(voting):
            for column, (position, index) in enumerate(products):
                cosine_Bk[row, column], class_Bk[row, column] = found[row][position].cosine, index
        class_Bk, cosine_Bk = class_Bk.to(self.count_M.device), cosine_Bk.to(self.count_M.device)
        votes = vote(cosine_Bk, class_Bk, self.count_M[class_Bk], temperature=point.temperature, rho=point.rho)
        shares = [
            {position: share for (position, _), share in zip(products, of_row, strict=False)}
            for products, of_row in zip(voting, votes.share_Bk.tolist(), strict=True)
        ]
        return votes, shares


@dataclass(frozen=True)
class IndexNetwork:
    """A network at one operating point, with the products of an index; `RecognisingNetwork` for the methods.

    top:          number of products that are returned for every photo, at least
    voters_level: None, since no training photos vote
    """

    network: FusibleNetwork
    voters: ProductVoters
    point: OperatingPoint
    top: int = 5
    voters_level: str | None = None

    def recognise(self, batch: Batch, *, with_titles: bool = False) -> RecognisedBatch:
        """Return scores of all classes, vectors, and the nearest products."""
        features = self.network.features(batch, with_titles=with_titles)
        scored: Any = self.network.scores_of(features, tau=self.point.tau)
        vectors_BD = self.network.search_vectors(features).float()
        index, level = self.voters.index, self.voters.level
        k = max(self.top, SEARCHED_PER_VOTER * self.point.neighbours if self.point.beta else 0)
        found = index.search(index.to_vectors(vectors_BD.cpu().numpy()), k)
        scores = {name: self._with_new_classes(name, scores_BC) for name, scores_BC in scored.scores.items()}
        shares: list[dict[int, float]] = [{} for _ in found]
        if self.point.beta:
            votes, shares = self.voters.vote(found, self.point)
            has_votes_B1 = votes.share_Bk.sum(1, keepdim=True) > 0
            mixed_BM = mix_all(scores[level], votes, self.point.beta, self.voters.unvoted_U).clamp(min=SMALLEST)
            scores[level] = torch.where(has_votes_B1, mixed_BM, scores[level].log_softmax(1))
        products = [
            [_found_product(hit, of_photo.get(position, 0.0)) for position, hit in enumerate(hits)]
            for hits, of_photo in zip(found, shares, strict=True)
        ]
        return RecognisedBatch(replace(scored, scores=scores), vectors_BD, None, products)

    def _with_new_classes(self, level: str, scores_BC: Tensor) -> Tensor:
        return F.pad(scores_BC.float(), (0, self.voters.new.get(level, 0)), value=-torch.inf)

    def encode_titles(self, tokens_BT: Tensor) -> EncodedTitles:
        """Return the weights of the words of titles, as the network does."""
        return self.network.encode_titles(tokens_BT)

    def attention_weights(self, images_BCHW: Tensor) -> Tensor | None:
        """Return the weights of the spatial attention, as the network does."""
        return self.network.attention_weights(images_BCHW)

    def class_activation(self, images_BCHW: Tensor, class_B: Tensor) -> Tensor | None:
        """Return what speaks for a class, as the network does."""
        return self.network.class_activation(images_BCHW, class_B)


def _found_product(hit: FoundByIndex, share: float) -> FoundProduct:
    product = hit.product
    return FoundProduct(
        product.sku, product.title, product.path, product.tags, product.is_predicted, hit.photo, hit.cosine, share
    )
