"""What may be computed together with the K largest scores of very many classes.

The scores of all classes are in memory only while the K best are found, a few rows at a time. What else depends on all
of them is computed then.

Shapes: B rows, C classes, P groups of classes, J further classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TopKOptions:
    """What is added to the scores, and what is returned beside the K largest.

    logsumexp: return log Σ_c exp(score_c) over all classes
    also_BJ:   classes whose scores are returned too, int64; -1 is no class and has the score −∞
    among_C:   bool; the K largest scores of these classes and log Σ_c exp(score_c) over them are returned too, as
               `TopK.among`
    added:     numbers of groups of classes, B×P, and the group of every class [C]; the number of its group is added to
               the score of a class
    """

    logsumexp: bool = False
    also_BJ: Tensor | None = None
    among_C: Tensor | None = None
    added: tuple[Tensor, Tensor] | None = None

    def of_rows(self, rows: slice) -> TopKOptions:
        """Return the options for some of the rows."""
        also_BJ, added = self.also_BJ, self.added
        return replace(
            self,
            also_BJ=None if also_BJ is None else also_BJ[rows],
            added=None if added is None else (added[0][rows], added[1]),
        )


BEST_ALONE = TopKOptions()
"""The K largest scores and nothing else."""
