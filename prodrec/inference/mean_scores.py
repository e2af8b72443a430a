"""The mean of the scores of several photos of one product.

Shapes: B rows of a batch, C classes of a level, m states of an attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prodrec.inference.neighbours.protocols import BatchScores
from prodrec.inference.results import FoundProduct, nearest_of_all

if TYPE_CHECKING:
    from torch import Tensor


class MeanScores:
    """Running mean of unnormalised scores, in float64, over the rows of the batches that were added.

    photos:   number of rows
    products: products of an index that are nearest to any of them; None if none were searched
    """

    def __init__(self) -> None:
        self.photos = 0
        self.products: list[FoundProduct] | None = None
        self._sums: dict[str, Tensor] = {}
        self._attribute_sums: dict[str, Tensor] = {}

    def add(self, scored: BatchScores, products: Sequence[Sequence[FoundProduct]] | None = None) -> None:
        """Add all rows of a batch, and the products nearest to them."""
        if products is not None:
            self.products = nearest_of_all([self.products or (), *products])
        for sums, scores in ((self._sums, scored.scores), (self._attribute_sums, scored.attribute_scores)):
            for name, values_BC in scores.items():
                sum_1C = values_BC.double().sum(dim=0, keepdim=True)
                sums[name] = sums[name] + sum_1C if name in sums else sum_1C
        self.photos += len(next(iter({**scored.scores, **scored.attribute_scores}.values())))

    @property
    def scores(self) -> dict[str, Tensor]:
        """The mean scores by level, 1×C."""
        return {level: sum_1C / self.photos for level, sum_1C in self._sums.items()}

    @property
    def attribute_scores(self) -> dict[str, Tensor]:
        """The mean scores by attribute, 1×m."""
        return {name: sum_1m / self.photos for name, sum_1m in self._attribute_sums.items()}
