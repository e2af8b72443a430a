"""The category tree: ordered class names of every level, and who is whose parent, in flat arrays.

Shapes: L levels from the shallowest (0) to the leaves (L-1); C_l classes at level l.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.arrays import load_array
from prodrec.core.base.artefact import Fingerprint
from prodrec.core.base.texts import Texts

PATH_SEPARATOR = " / "


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """Levels by name, class names of each level in index order, and each class's parent in the level above.

    levels:  L names, shallowest first; the last one is the level of the leaves.
    names:   L Texts of class names, names[l][c]; any other sequences of strings become such.
    parents: L int32 arrays, parents[l][c] = index of c's parent in level l-1; parents[0] is all -1.
    """

    levels: tuple[str, ...]
    names: tuple[Texts, ...]
    parents: tuple[NDArray[np.int32], ...]

    __hash__ = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        assert len(self.levels) == len(self.names) == len(self.parents) >= 1, "levels, names and parents do not match"
        object.__setattr__(self, "names", tuple(Texts.of(names) for names in self.names))
        object.__setattr__(self, "parents", tuple(np.asarray(parents, dtype=np.int32) for parents in self.parents))
        for level, (names, parents) in enumerate(zip(self.names, self.parents, strict=True)):
            lowest, below = (0, len(self.names[level - 1])) if level else (-1, 0)
            name = self.levels[level]
            assert parents.shape == (len(names),), f"level {name}: {len(names)} classes, parents {parents.shape}"
            assert ((parents >= lowest) & (parents < below)).all(), f"level {name} has parents that do not exist"
            repeated = names.first_repeated()
            assert repeated is None, f"level {name} has a class {names[repeated or 0]!r} twice"

    @property
    def depth(self) -> int:
        return len(self.levels)

    @property
    def leaf_level(self) -> str:
        return self.levels[-1]

    @property
    def leaves(self) -> Texts:
        """Class names of the leaf level, in index order."""
        return self.names[-1]

    def count(self, level: str) -> int:
        """Number of classes at `level`."""
        return len(self.names[self.levels.index(level)])

    def ancestors(self) -> NDArray[np.int32]:
        """Class index of every leaf at every level: int32 [leaves, L]; the last column is the leaf itself."""
        return self._ancestors

    @cached_property
    def _ancestors(self) -> NDArray[np.int32]:
        found = np.stack([self.above(self.leaf_level, level) for level in self.levels], axis=1)
        found.flags.writeable = False
        return found

    def above(self, lower: str, upper: str) -> NDArray[np.int32]:
        """Class at level `upper` of every class of `lower`, which is as deep or deeper: int32 [classes of lower]."""
        return self.climb(np.arange(self.count(lower), dtype=np.int32), lower, upper)

    def climb(self, class_N: NDArray[np.integer], lower: str, upper: str) -> NDArray[np.int32]:
        """The same for N classes of `lower`: int32 [N]."""
        above_N = class_N.astype(np.int32, copy=False)
        for depth in range(self.levels.index(lower), self.levels.index(upper), -1):
            above_N = self.parents[depth][above_N]
        return above_N

    def path(self, number: int, level: str | None = None) -> tuple[str, ...]:
        """Names from the shallowest level to class `number` of `level`, which is that of the leaves unless given."""
        depth = self.depth if level is None else self.levels.index(level) + 1
        steps = [number]
        for parents in reversed(self.parents[1:depth]):
            steps.append(int(parents[steps[-1]]))
        return tuple(self.names[level][c] for level, c in enumerate(reversed(steps)))

    def add_to(self, fingerprint: Fingerprint) -> None:
        """Make this tree a part of `fingerprint`."""
        fingerprint.add("levels", self.levels)
        for names, parents in zip(self.names, self.parents, strict=True):
            fingerprint.add("class names", names).add("parents", parents)

    def save(self, directory: Path) -> dict[str, Any]:
        """Write names and parents of level number l as `directory`/l.NAME.npy; what the artefact's JSON holds of it."""
        directory.mkdir()
        for level, (names, parents) in enumerate(zip(self.names, self.parents, strict=True)):
            names.save(directory / f"{level}.names")
            np.save(directory / f"{level}.parents.npy", parents, allow_pickle=False)
        counts = [len(names) for names in self.names]
        return {"levels": [{"name": n, "classes": count} for n, count in zip(self.levels, counts, strict=True)]}

    @classmethod
    def load(cls, directory: Path, found: Mapping[str, Any]) -> Taxonomy:
        """Open what `save` wrote, memory-mapped; `found` is what it returned. Raises BadArtefact."""
        counts = [int(level["classes"]) for level in found["levels"]]
        return cls(
            levels=tuple(str(level["name"]) for level in found["levels"]),
            names=tuple(Texts.load(directory / f"{number}.names") for number in range(len(counts))),
            parents=tuple(
                load_array(directory / f"{number}.parents.npy", np.int32, (count,))
                for number, count in enumerate(counts)
            ),
        )

    def __eq__(self, other: object) -> bool:
        return self.difference(other) is None if isinstance(other, Taxonomy) else NotImplemented

    def difference(self, other: Taxonomy) -> str | None:
        """The first place where the other tree differs, for a message ("…here, …there"), or None where it does not."""
        if self.levels != other.levels:
            return f"its levels are {', '.join(self.levels)} here and {', '.join(other.levels)} there"
        for level, here, there in zip(self.levels, self.names, other.names, strict=True):
            if here == there:
                continue
            number = here.first_difference(there)
            if number is not None:
                return f"class {number} of level {level} is {here[number]!r} here and {there[number]!r} there"
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
