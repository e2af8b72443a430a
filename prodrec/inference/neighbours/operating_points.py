"""The operating points of a run, and their file `operating_points.json` in the run directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prodrec.core.base.artefact import Fingerprint, make_header, read_json_file
from prodrec.core.base.outputs import write_json
from prodrec.inference.neighbours.operating_points_file import OperatingPointsFile

OPERATING_POINTS_FILE = "operating_points.json"

NATURAL, BALANCED, PLAIN = "natural", "balanced", "plain"
"""natural: best on photos as they come. balanced: best where all classes matter equally. plain: the classifier's own
scores, without neighbours and logit adjustment."""
DEFAULT_PREFIX = "default-"
"""default-natural, default-balanced: the settings below, whatever a run has chosen, so that runs can be compared."""


@dataclass(frozen=True)
class OperatingPoint:
    """The settings of scoring; `inference/neighbours/__init__.py` has the equations.

    tau:         τ of the logit adjustment; None leaves the scores as the network was trained
    beta:        weight of the neighbours' vote, 0 ≤ β < 1; 0 uses no neighbours
    neighbours:  number k of neighbours
    temperature: T of the neighbours' weights
    rho:         exponent ρ of the class frequencies in the vote
    voters:      fingerprint of the file of training vectors for which the point was chosen; empty without neighbours
    """

    name: str
    tau: float | None = None
    beta: float = 0.0
    neighbours: int = 10
    temperature: float = 0.02
    rho: float = 0.9
    voters: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the settings, without those that have no effect; empty for the plain point."""
        if self.name == PLAIN:
            return {}
        voting = ("neighbours", "temperature", "rho", "voters")
        return {key: value for key, value in asdict(self).items() if self.beta or key not in voting}

    def __str__(self) -> str:
        parts = [] if self.tau is None else [f"tau {self.tau:g}"]
        if self.beta:
            parts.append(f"{self.neighbours} neighbours weigh {self.beta:g} (T {self.temperature:g}, rho {self.rho:g})")
        return f"{self.name}: {', '.join(parts) or 'the scores of the classifier'}"


PLAIN_POINT = OperatingPoint(PLAIN)
DEFAULTS = {
    NATURAL: OperatingPoint(NATURAL, tau=0.25, beta=0.5, neighbours=10, temperature=0.05, rho=0.25),
    BALANCED: OperatingPoint(BALANCED, tau=1.0, beta=0.5, neighbours=10, temperature=0.03, rho=0.75),
}
DEFAULTS_WITH_TITLES = {
    NATURAL: OperatingPoint(NATURAL, tau=0.0, beta=0.02, neighbours=10, temperature=0.05, rho=0.25),
    BALANCED: OperatingPoint(BALANCED, tau=1.0, beta=0.02, neighbours=10, temperature=0.03, rho=0.75),
}
"""A title says more than the neighbours of its photo, which hardly vote here unless the validation photos favour it."""
DEFAULTS_WITHOUT_NEIGHBOURS = {NATURAL: OperatingPoint(NATURAL, tau=0.0), BALANCED: OperatingPoint(BALANCED, tau=1.0)}


@dataclass(frozen=True)
class OperatingPoints:
    """The points that were chosen for a run.

    with_neighbours:    natural and balanced, by name; empty for a run without neighbours
    without_neighbours: natural and balanced with β = 0, by name
    validation:         accuracies on the validation photos: a row for each point, and for the plain scores
    photos:             number of these photos; with 0 the points are defaults
    titled:             the points for scoring with titles; None for a network without a title encoder
    """

    with_neighbours: Mapping[str, OperatingPoint]
    without_neighbours: Mapping[str, OperatingPoint]
    validation: tuple[Mapping[str, Any], ...] = ()
    photos: int = 0
    titled: OperatingPoints | None = None

    @classmethod
    def defaults(cls, *, with_neighbours: bool = True, with_titles: bool = False) -> OperatingPoints:
        """Return the points that a run has without validation photos.

        with_titles: the points for scoring with titles
        """
        voting = DEFAULTS_WITH_TITLES if with_titles else DEFAULTS
        return cls(voting if with_neighbours else {}, DEFAULTS_WITHOUT_NEIGHBOURS)

    @property
    def fingerprint(self) -> str:
        """Hash of the points."""
        return Fingerprint().add("points", [self._points_as_json()]).hexdigest()

    def with_voters(self, fingerprint: str) -> OperatingPoints:
        """Return the points for the training vectors of a file."""
        points = {name: replace(point, voters=fingerprint) for name, point in self.with_neighbours.items()}
        titled = None if self.titled is None else self.titled.with_voters(fingerprint)
        return replace(self, with_neighbours=points, titled=titled)

    def choose(self, name: str, *, neighbours: bool = True, with_titles: bool = False) -> OperatingPoint:
        """Return the point of a name, with neighbours if there are any and they are wanted.

        name:        a point of the run, plain, or default-natural and default-balanced
        with_titles: the point for scoring with titles. Runs of older versions have that for photos alone only
        """
        if name == PLAIN:
            return PLAIN_POINT
        if name.startswith(DEFAULT_PREFIX):
            defaults = self.defaults(with_neighbours=bool(self.with_neighbours), with_titles=with_titles)
            voters = next((point.voters for point in self.with_neighbours.values()), "")
            defaults = defaults.with_voters(voters)
            return replace(defaults.choose(name.removeprefix(DEFAULT_PREFIX), neighbours=neighbours), name=name)
        if with_titles and self.titled is not None:
            return self.titled.choose(name, neighbours=neighbours)
        points = self.with_neighbours if neighbours and self.with_neighbours else self.without_neighbours
        return points[name]

    def _points_as_json(self) -> dict[str, Any]:
        named = {"with_neighbours": self.with_neighbours, "without_neighbours": self.without_neighbours}
        titled = {} if self.titled is None else {"titled": self.titled._as_json()}
        return {key: {name: asdict(point) for name, point in points.items()} for key, points in named.items()} | titled

    def _as_json(self) -> dict[str, Any]:
        table = {"validation": [dict(row) for row in self.validation], "validation_photos": self.photos}
        return {**self._points_as_json(), **table}

    @classmethod
    def _from_json(cls, content: Mapping[str, Any]) -> OperatingPoints:
        with_neighbours, without_neighbours = (
            {name: OperatingPoint(**point) for name, point in content[key].items()}
            for key in ("with_neighbours", "without_neighbours")
        )
        return cls(
            with_neighbours,
            without_neighbours,
            tuple(content["validation"]),
            int(content["validation_photos"]),
            cls._from_json(content["titled"]) if "titled" in content else None,
        )

    def write(self, path: Path, *, run_fingerprint: str) -> None:
        """Write the file atomically."""
        header = make_header("operating-points", fingerprint=self.fingerprint, made_from={"run": run_fingerprint})
        write_json(path, {**header, **self._as_json()})

    @classmethod
    def read(cls, path: Path, *, run_fingerprint: str) -> OperatingPoints:
        """Read the file. Raise BadArtefact if it is damaged or was made for other weights."""
        remedy = f"make it again with `prodrec neighbours {path.parent}`"
        content = read_json_file(
            path, kind="operating-points", schema=OperatingPointsFile, remedy=remedy, run_fingerprint=run_fingerprint
        )
        return cls._from_json(content)
