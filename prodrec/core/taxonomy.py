"""The category tree: ordered class names of every level, and who is whose parent.

Shapes: L levels from the shallowest (0) to the leaves (L-1); C_l classes at level l.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATH_SEPARATOR = " / "


@dataclass(frozen=True)
class Taxonomy:
    """Levels by name, class names of each level in index order, and each class's parent in the level above.

    levels:  L names, shallowest first; the last one is the level of the leaves.
    names:   L sequences of class names, names[l][c].
    parents: L int32 arrays, parents[l][c] = index of c's parent in level l-1; parents[0] is all -1.
    """

    levels: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    parents: tuple[NDArray[np.int32], ...]

    def __post_init__(self) -> None:
        assert len(self.levels) == len(self.names) == len(self.parents) >= 1
        for level, (names, parents) in enumerate(zip(self.names, self.parents, strict=True)):
            assert len(names) == len(parents) and len(set(names)) == len(names)
            above = len(self.names[level - 1]) if level else 0
            assert all(0 <= p < above for p in parents) if level else all(p == -1 for p in parents)

    @property
    def depth(self) -> int:
        return len(self.levels)

    @property
    def leaf_level(self) -> str:
        return self.levels[-1]

    @property
    def leaves(self) -> tuple[str, ...]:
        """Class names of the leaf level, in index order."""
        return self.names[-1]

    def count(self, level: str) -> int:
        """Number of classes at `level`."""
        return len(self.names[self.levels.index(level)])

    def ancestors(self) -> NDArray[np.int32]:
        """Class index of every leaf at every level: int32 [leaves, L]; the last column is the leaf itself."""
        return np.stack([self.above(self.leaf_level, level) for level in self.levels], axis=1)

    def above(self, lower: str, upper: str) -> NDArray[np.int32]:
        """Class at level `upper` of every class of `lower`, which is as deep or deeper: int32 [classes of lower]."""
        above_C = np.arange(self.count(lower), dtype=np.int32)
        for depth in range(self.levels.index(lower), self.levels.index(upper), -1):
            above_C = self.parents[depth][above_C]
        return above_C

    def path(self, number: int, level: str | None = None) -> tuple[str, ...]:
        """Names from the shallowest level to class `number` of `level`, which is that of the leaves unless given."""
        depth = self.depth if level is None else self.levels.index(level) + 1
        steps = [number]
        for parents in reversed(self.parents[1:depth]):
            steps.append(int(parents[steps[-1]]))
        return tuple(self.names[level][c] for level, c in enumerate(reversed(steps)))

    def as_json(self) -> dict[str, Any]:
        """Plain lists, for dataset.json and run.json."""
        levels = zip(self.levels, self.names, self.parents, strict=True)
        return {
            "levels": [{"name": level, "classes": list(names), "parents": p.tolist()} for level, names, p in levels]
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Taxonomy:
        """The inverse of `as_json`."""
        levels: Sequence[Mapping[str, Any]] = data["levels"]
        return cls(
            levels=tuple(level["name"] for level in levels),
            names=tuple(tuple(level["classes"]) for level in levels),
            parents=tuple(np.asarray(level["parents"], dtype=np.int32) for level in levels),
        )

    def difference(self, other: Taxonomy) -> str | None:
        """The first place where the other tree differs, for a message ("…here, …there"), or None where it does not."""
        if self.levels != other.levels:
            return f"its levels are {', '.join(self.levels)} here and {', '.join(other.levels)} there"
        for level, here, there in zip(self.levels, self.names, other.names, strict=True):
            for i, (a, b) in enumerate(zip(here, there, strict=False)):
                if a != b:
                    return f"class {i} of level {level} is {a!r} here and {b!r} there"
            if len(here) != len(there):
                return f"level {level} has {len(here)} classes here and {len(there)} there"
        for depth, (level, here_C, there_C) in enumerate(zip(self.levels, self.parents, other.parents, strict=True)):
            for child in np.flatnonzero(here_C != there_C)[:1]:
                above = self.names[depth - 1]
                return (
                    f"{self.names[depth][child]!r} of level {level} is under {above[here_C[child]]!r} here "
                    f"and under {above[there_C[child]]!r} there"
                )
        return None


@dataclass(frozen=True)
class Attribute:
    """One attribute and its states; a product's code is 0 where it is absent, else 1 + its state's index (S eq. 7)."""

    name: str
    states: tuple[str, ...]
