"""A network that scores at an operating point: with logit adjustment and the vote of the nearest training photos.

Shapes: B photos, k neighbours, K best classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from prodrec.core.base.top_k_options import TopKOptions
from prodrec.inference.neighbours.operating_points import OperatingPoint
from prodrec.inference.neighbours.protocols import RecognisedBatch
from prodrec.inference.neighbours.search import Nearest, Searcher
from prodrec.inference.neighbours.training_features import TrainingFeatures
from prodrec.inference.neighbours.tree_scores import TreeScores
from prodrec.inference.neighbours.vote import Vote, mix_all, mix_top_k, vote

if TYPE_CHECKING:
    from prodrec.core.data.batches import Batch
    from prodrec.inference.neighbours.protocols import BatchScores, BatchTopK, EncodedTitles, FusibleNetwork


@dataclass(frozen=True)
class Neighbours:
    """The training photos that vote: their vectors on the device, their classes, and the sizes of the classes.

    class_N: class of every training photo, int64
    count_C: number of training products of every class that can vote, int64
    unvoted_U: the classes for which none can vote, int64
    is_unvoted_C: the same as bool; None if there are none
    own_group_R: group of every row of the dataset that is scored, whose photos do not vote for the row; -1 for none of
                 them. None if no row of the dataset is among the photos.
    """

    features: TrainingFeatures
    searcher: Searcher
    class_N: Tensor
    count_C: Tensor
    unvoted_U: Tensor
    is_unvoted_C: Tensor | None
    own_group_R: Tensor | None = None

    @classmethod
    def load(
        cls, features: TrainingFeatures, classes: int, device: torch.device, *, sharded: bool = False
    ) -> Neighbours:
        """Copy what scoring needs to `device`. `classes` is the number of classes of the level.

        sharded: divide the vectors among the ranks
        """
        count_C = torch.from_numpy(features.class_counts(classes)).to(device)
        is_unvoted_C = count_C == 0
        return cls(
            features,
            Searcher.load(features, device, sharded=sharded),
            torch.from_numpy(features.class_N).long().to(device),
            count_C,
            torch.nonzero(is_unvoted_C)[:, 0],
            is_unvoted_C if bool(is_unvoted_C.any()) else None,
        )

    def nearest(self, vectors_BD: Tensor, k: int, batch: Batch) -> Nearest:
        """Return the k nearest photos of the vectors of a batch that are not of their own group."""
        own_group_B = None if self.own_group_R is None else self.own_group_R[batch.rows_B]
        return self.searcher.nearest(vectors_BD, k, own_group_B)

    def vote(self, nearest: Nearest, point: OperatingPoint) -> Vote:
        """Return the vote of the nearest photos at an operating point."""
        class_Bk = self.class_N[nearest.index_Bk]
        return vote(nearest.cosine_Bk, class_Bk, self.count_C[class_Bk], temperature=point.temperature, rho=point.rho)


class FusedFeatures(NamedTuple):
    """The network's features of a batch, and the nearest training photos; None if no operating point needs them."""

    features: Any
    nearest: Nearest | None


@dataclass(frozen=True)
class FusedNetwork:
    """A network that scores at operating points.

    neighbours: None if no operating point uses them. If they are sharded, all ranks must score equally many batches.
    tree:       adds the log-probabilities of ancestors to the scores of the deepest level, before neighbours vote
    """

    network: FusibleNetwork
    neighbours: Neighbours | None = None
    tree: TreeScores | None = None

    def features(self, batch: Batch, points: Sequence[OperatingPoint], *, with_titles: bool = False) -> FusedFeatures:
        """Return the features of a batch, from which the scores at all of `points` are computed."""
        features = self.network.features(batch, with_titles=with_titles)
        k = max((point.neighbours for point in points if point.beta), default=0)
        if not k:
            return FusedFeatures(features, None)
        assert self.neighbours is not None, "the operating point needs neighbours"
        return FusedFeatures(features, self.neighbours.nearest(self.network.search_vectors(features), k, batch))

    def score(self, fused: FusedFeatures, point: OperatingPoint) -> BatchScores:
        """Return features and the scores of all classes; those of the deepest level are log p if neighbours vote."""
        scored: Any = self.network.scores_of(fused.features, tau=point.tau)
        if self.tree is not None:
            scored = replace(scored, scores=self.tree.add_to(scored.scores))
        level, votes = self._votes(fused, point)
        if votes is None:
            return scored  # type: ignore[no-any-return]
        assert self.neighbours is not None
        mixed_BC = mix_all(scored.scores[level], votes, point.beta, self.neighbours.unvoted_U)
        return replace(scored, scores={**scored.scores, level: mixed_BC})  # type: ignore[no-any-return]

    def top_k(self, fused: FusedFeatures, k: int, point: OperatingPoint) -> BatchTopK:
        """Return features and the k largest scores; those of the deepest level are log p if neighbours vote."""
        added = None
        if self.tree is not None:
            upper_scores = self.network.upper_scores_of(fused.features, tau=point.tau)
            added = self.tree.of_groups(upper_scores), self.tree.group_C
        level, votes = self._votes(fused, point)
        if votes is None:
            return self.network.top_k_of(fused.features, k, tau=point.tau, options=TopKOptions(added=added))
        assert self.neighbours is not None
        is_unvoted_C = self.neighbours.is_unvoted_C
        options = TopKOptions(logsumexp=True, also_BJ=votes.class_Bk, among_C=is_unvoted_C, added=added)
        best: Any = self.network.top_k_of(fused.features, k, tau=point.tau, options=options)
        scores_BK, classes_BK = mix_top_k(
            best.scores[level],
            best.classes[level],
            best.logsumexp_B,
            best.also_BJ,
            votes,
            point.beta,
            is_unvoted_C,
            best.among,
        )
        return replace(  # type: ignore[no-any-return]
            best, scores={**best.scores, level: scores_BK}, classes={**best.classes, level: classes_BK}
        )

    def _votes(self, fused: FusedFeatures, point: OperatingPoint) -> tuple[str, Vote | None]:
        """Return the level at which neighbours vote, and their vote; None if they do not vote at this point."""
        if not point.beta or fused.nearest is None or self.neighbours is None:
            return "", None
        nearest = Nearest(*(values_BK[:, : point.neighbours] for values_BK in fused.nearest))
        return self.neighbours.features.level, self.neighbours.vote(nearest, point)


class Voter(NamedTuple):
    """A training photo that votes.

    id, class_index: id of its product, and its class at the level `TrainingFeatures.level`
    cosine:          similarity to the photo, at most 1
    share:           share of the vote
    """

    id: str
    class_index: int
    cosine: float
    share: float


@dataclass(frozen=True)
class PointNetwork:
    """A network at one operating point, with the methods that recognising photos needs.

    titled_point: the operating point for scoring with titles; None is `point`
    """

    fused: FusedNetwork
    point: OperatingPoint
    titled_point: OperatingPoint | None = None

    def score(self, batch: Batch, *, with_titles: bool = False) -> BatchScores:
        """Return features and the scores of all classes."""
        point = self._point(with_titles)
        return self.fused.score(self.fused.features(batch, [point], with_titles=with_titles), point)

    def recognise(self, batch: Batch, *, with_titles: bool = False) -> RecognisedBatch:
        """Return scores of all classes, vectors, and the training photos that vote at this operating point."""
        point = self._point(with_titles)
        features = self.fused.features(batch, [point], with_titles=with_titles)
        scored, neighbours = self.fused.score(features, point), self.fused.neighbours
        vectors_BD = self.fused.network.search_vectors(features.features) if scored.scores else None
        if features.nearest is None or neighbours is None:
            return RecognisedBatch(scored, vectors_BD)
        votes = neighbours.vote(features.nearest, point)
        columns = (features.nearest.index_Bk, votes.class_Bk, features.nearest.cosine_Bk, votes.share_Bk)
        voters = []
        for rows_k in zip(*(values_Bk.tolist() for values_Bk in columns), strict=True):
            row = [
                Voter(neighbours.features.ids[index], class_index, cosine, share)
                for index, class_index, cosine, share in zip(*rows_k, strict=True)
                if class_index >= 0
            ]
            voters.append(sorted(row, key=lambda voter: -voter.share))
        return RecognisedBatch(scored, vectors_BD, voters)

    def _point(self, with_titles: bool) -> OperatingPoint:
        return self.point if self.titled_point is None or not with_titles else self.titled_point

    @property
    def voters_level(self) -> str | None:
        """The level of the classes of voters, or None if none vote at this operating point."""
        return self.fused.neighbours.features.level if self.fused.neighbours and self.point.beta else None

    def encode_titles(self, tokens_BT: Tensor) -> EncodedTitles:
        """Return the weights of the words of titles, as the network does."""
        return self.fused.network.encode_titles(tokens_BT)

    def attention_weights(self, images_BCHW: Tensor) -> Tensor | None:
        """Return the weights of the spatial attention, as the network does."""
        return self.fused.network.attention_weights(images_BCHW)

    def class_activation(self, images_BCHW: Tensor, class_B: Tensor) -> Tensor | None:
        """Return what speaks for a class, as the network does."""
        return self.fused.network.class_activation(images_BCHW, class_B)
