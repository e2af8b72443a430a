"""Choose on validation photos how the products of an index vote, and how far the answers can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadArtefact, BadOption
from prodrec.index.lance_errors import REMEDY

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.index.header import IndexHeader
    from prodrec.inference.calibration import Calibration
    from prodrec.inference.neighbours.choose import Observations
    from prodrec.inference.neighbours.fused import Neighbours
    from prodrec.inference.neighbours.operating_points import OperatingPoint, OperatingPoints
    from prodrec.pipeline.scoring_network import ScoringNetwork

CLASSES, PRODUCTS, BOTH = "classes", "products", "both"
WAYS = (CLASSES, PRODUCTS, BOTH)
"""classes: the classifier of the run alone. products: the vote of the nearest products. both: their mixture."""
ALONE = 1 - 1e-6
"""Weight β of a vote that decides alone; the classifier decides between classes without votes."""


@dataclass(frozen=True)
class ChosenPoints:
    """The operating points of an index by way of recognising and name, and what they reach on validation photos.

    validation: a row for each point, with the accuracies
    photos:     number of validation photos; with 0 the points are defaults
    """

    points: Mapping[str, Mapping[str, OperatingPoint]]
    calibration: Mapping[str, Mapping[str, Calibration]]
    validation: tuple[Mapping[str, Any], ...]
    photos: int

    def add_to(self, header: IndexHeader) -> IndexHeader:
        """Return the header of the index with these points."""
        return replace(
            header,
            points={way: {name: asdict(point) for name, point in named.items()} for way, named in self.points.items()},
            calibration={
                way: {name: one.as_json() for name, one in named.items()} for way, named in self.calibration.items()
            },
            validation=self.validation,
            validation_photos=self.photos,
        )


def choose_points(loaded: ScoringNetwork, data: Dataset, level: str, voters: Neighbours | None) -> ChosenPoints:
    """Return the operating points that are best on the validation photos of `data`; defaults if it has none.

    voters: the products of the index, without those of the photo itself; None if none can vote
    """
    from prodrec.inference.neighbours.choose import BETAS, choose, observe
    from prodrec.pipeline.calibrate import calibrate
    from prodrec.pipeline.index_voters import deciding_alone
    from prodrec.pipeline.neighbours import see_validation

    has_same_classes = loaded.run.taxonomy.difference(data.taxonomy) is None
    seen = see_validation(loaded, data, level, voters) if has_same_classes else []
    observations = None
    if seen:
        observations = observe(loaded.network, seen, level=level, neighbours=voters, autocast=loaded.autocast())
    has_voters = voters is not None
    fused = choose(observations, with_neighbours=has_voters, betas=BETAS)
    alone = choose(_votes_alone(observations), with_neighbours=has_voters, betas=(ALONE,))
    points = {CLASSES: fused.without_neighbours}
    if has_voters:
        points |= {PRODUCTS: alone.with_neighbours, BOTH: fused.with_neighbours}
    calibration = {
        way: calibrate(
            loaded, seen, data.taxonomy, level, named, deciding_alone(voters) if voters and way == PRODUCTS else voters
        )
        for way, named in points.items()
        if seen
    }
    validation = [*_accuracies(fused, {False: CLASSES, True: BOTH}), *_accuracies(alone, {True: PRODUCTS})]
    return ChosenPoints(points, calibration, tuple(validation), fused.photos)


def _votes_alone(observations: Observations | None) -> Observations | None:
    """Return observations in which no class has a probability without a vote."""
    import torch

    if observations is None:
        return None
    return replace(
        observations,
        voted_MT=torch.ones_like(observations.voted_MT),
        unvoted_MT=torch.full_like(observations.unvoted_MT, -torch.inf),
    )


def _accuracies(points: OperatingPoints, ways: Mapping[bool, str]) -> list[dict[str, Any]]:
    """Return the rows of validation for the chosen points; `ways` names those with and without neighbours."""
    return [
        {"by": ways[row["neighbours"]], **{key: value for key, value in row.items() if key != "neighbours"}}
        for row in points.validation
        if row["neighbours"] in ways and row["name"] != "plain"
    ]


def point_of(header: IndexHeader, by: str, name: str | None) -> OperatingPoint:
    """Return an operating point of an index. Raise BadOption for an unknown one, BadArtefact for a damaged header.

    by:   one of WAYS
    name: natural or balanced; None is natural
    """
    from prodrec.inference.neighbours.operating_points import NATURAL, OperatingPoint

    if by not in WAYS:
        raise BadOption(f"--by {by}: expected {', '.join(WAYS[:-1])} or {WAYS[-1]}.")
    of_way = header.points.get(by)
    if of_way is None:
        raise BadOption(
            f"--by {by}: no product of this index has a class of the run, so none votes; use --by {CLASSES}."
        )
    name = name or NATURAL
    if name not in of_way:
        raise BadOption(f"--operating-point {name}: expected {' or '.join(of_way)}, as in the index.")
    try:
        return OperatingPoint(**of_way[name])
    except TypeError as error:
        raise BadArtefact(f"index.json is damaged ({error}); {REMEDY}.") from error


def calibration_of(header: IndexHeader, by: str, name: str | None) -> Calibration | None:
    """Return the calibration of an operating point; None if it is not known. Raise BadArtefact if it is damaged."""
    from prodrec.inference.calibration import Calibration
    from prodrec.inference.neighbours.operating_points import NATURAL

    values = header.calibration.get(by, {}).get(name or NATURAL)
    if values is None:
        return None
    try:
        return Calibration.from_json(values)
    except (ValueError, KeyError, TypeError) as error:
        raise BadArtefact(f"index.json is damaged ({error}); {REMEDY}.") from error


def describe(header: IndexHeader) -> list[str]:
    """Return a line for each operating point: the weight of the vote, and the accuracy on validation photos."""
    lines = []
    for by, points in header.points.items():
        for name in points:
            row = next((row for row in header.validation if (row["by"], row["name"]) == (by, name)), None)
            reached = f": top-1 {row['top1']:.2%}, MACC {row['macc']:.2%}" if row else ""
            text = str(point_of(header, by, name)).replace(f"weigh {ALONE:g}", "decide")
            lines.append(f"{by}, {text}{reached}")
    photos = f"on {header.validation_photos:,} validation photos" if header.validation_photos else "defaults"
    return [*lines, f"({photos})"]
