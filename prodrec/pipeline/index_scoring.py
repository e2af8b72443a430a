"""`prodrec score --with-index`: the products of an index vote for the photos of a dataset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadOption
from prodrec.pipeline.index_points import BOTH, PRODUCTS, WAYS, point_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.index.product_index import ProductIndex
    from prodrec.inference.neighbours.fused import Neighbours
    from prodrec.inference.neighbours.operating_points import OperatingPoint


@dataclass(frozen=True, eq=False)
class IndexScoring:
    """An index whose products vote while a dataset is scored.

    by:             one of WAYS
    without_splits: splits whose products do not vote
    """

    index: ProductIndex
    by: str
    without_splits: tuple[str, ...]

    @property
    def suffix(self) -> str:
        """End of the name of a scores file."""
        by = "" if self.by == BOTH else f"-by-{self.by}"
        return f"-with-index{by}{'' if self.without_splits else '-scored-products'}"

    def points(self, run: Run, names: str | None, *, only_one: bool) -> list[OperatingPoint]:
        """Return the operating points of names, joined by commas.

        names: None is natural and balanced, or with `only_one` natural

        Raise Mismatch if another run made the index, and BadOption.
        """
        from prodrec.inference.neighbours.operating_points import BALANCED, NATURAL
        from prodrec.pipeline.index_voters import voters_name

        self.index.require_run(run.fingerprint, name=str(run.path))
        wanted = [NATURAL, BALANCED][: 1 if only_one else 2] if names is None else list(dict.fromkeys(names.split(",")))
        if only_one and len(wanted) > 1:
            raise BadOption(f"--operating-point {names}: expected one point here.")
        points = [point_of(self.index.header, self.by, name) for name in wanted]
        voters = voters_name(self.index, self.without_splits)
        return [replace(point, voters=voters) if point.beta else point for point in points]

    def voters(self, run: Run, data: Dataset, rows: NDArray[np.int64], device: torch.device) -> Neighbours:
        """Return the products that vote, on `device`. Raise BadOption if there are none."""
        from prodrec.pipeline.index_voters import deciding_alone, load_voters

        voters = load_voters(
            self.index, run.taxonomy, data, rows, device, without_splits=self.without_splits, sharded=True
        )
        if voters is None:
            raise BadOption(
                f"all products of {self.index.path} that could vote are in the scored splits; index others too, or add "
                "--scored-products."
            )
        return deciding_alone(voters) if self.by == PRODUCTS else voters


def open_scoring(
    index: str | Path | None, by: str, splits: tuple[str, ...], *, scored_products: bool
) -> IndexScoring | None:
    """Return how an index takes part in scoring `splits`, or None without an index.

    Raise NotFound or BadArtefact for the index, and BadOption for options that need one.
    """
    from prodrec.index.product_index import ProductIndex

    if by not in WAYS:
        raise BadOption(f"--by {by}: expected {', '.join(WAYS[:-1])} or {WAYS[-1]}.")
    if index is None:
        for option, is_set in (("--scored-products", scored_products), (f"--by {by}", by != BOTH)):
            if is_set:
                raise BadOption(f"{option} is about the products of an index; add --with-index, or omit it.")
        return None
    return IndexScoring(ProductIndex.open(Path(index)), by, () if scored_products else splits)
