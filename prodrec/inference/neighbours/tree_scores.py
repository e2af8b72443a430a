"""Scores of the deepest level that also count the probabilities of a class's ancestors.

The heads of all levels are a product of experts (Hinton 2002, "Training products of experts by minimizing contrastive
divergence", eq. 1). The expert of an upper level gives every class the probability of its ancestor, with the weight α
as its exponent:

    s'_c = s_c + α · Σ_l log p_l(a_l(c)),    p_l = softmax of the scores of level l
    p(c) ∝ softmax(s)_c · Π_l p_l(a_l(c))^α

l runs over the levels above the deepest one that the network predicts, and a_l(c) is the ancestor of c at level l. All
scores have the logit adjustment of the operating point, and neighbours vote after this step.

What is added to s depends only on the ancestor at the deepest of the upper levels, the group of a class. The K largest
s' are therefore exact too: every chunk of classes adds the numbers of their groups before it is searched.

Shapes: B photos, C classes of the deepest level, P groups, Q classes of an upper level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.core.base.taxonomy import Taxonomy


@dataclass(frozen=True)
class TreeScores:
    """The ancestors of the classes, and the weight of their probabilities.

    level:       the deepest level that the network predicts
    group_C:     group of every class of this level, int64
    ancestors_P: ancestor of every group at each upper level that the network predicts, int64 by level
    weight:      α
    """

    level: str
    group_C: Tensor
    ancestors_P: Mapping[str, Tensor]
    weight: float

    @classmethod
    def of_levels(
        cls, taxonomy: Taxonomy, levels: Sequence[str], weight: float, *, device: torch.device | None = None
    ) -> TreeScores:
        """Return those of a network that predicts `levels`, at least two, shallowest first."""
        *upper_levels, level = levels
        assert upper_levels, "a network of one level has no ancestors"

        def ancestors(lower: str, upper: str) -> Tensor:
            return torch.from_numpy(taxonomy.ancestors_of_level(lower, upper)).long().to(device)

        groups = upper_levels[-1]
        return cls(level, ancestors(level, groups), {upper: ancestors(groups, upper) for upper in upper_levels}, weight)

    def of_groups(self, scores: Mapping[str, Tensor]) -> Tensor:
        """Return α · Σ_l log p_l of every group, B×P, from the scores of the upper levels, B×Q by level."""
        log_p_LBP = [scores[upper].log_softmax(1)[:, ancestor_P] for upper, ancestor_P in self.ancestors_P.items()]
        return self.weight * torch.stack(log_p_LBP).sum(0)

    def add_to(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the scores of all levels, with those of the deepest level replaced by s', B×C."""
        return {**scores, self.level: scores[self.level] + self.of_groups(scores)[:, self.group_C]}
