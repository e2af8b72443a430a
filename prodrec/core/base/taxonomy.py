"""The category tree as flat arrays: the class names of every level, and the parent of every class.

Shapes: L levels from the shallowest (0) to the leaves (L-1); C_l classes of level l; N classes to look up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.arrays import load_array
from prodrec.core.base.artefact import Fingerprint
from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.texts import Texts

PATH_SEPARATOR = " / "
"""Separator of the names of a class and its ancestors when a path is shown."""


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """Names of the levels, names of the classes of each level, and the parent of each class.

    levels:  L names, shallowest first; the last one is the level of the leaves
    names:   names[l][c] is the name of class c of level l; sequences of strings are converted to Texts
    parents: L arrays int32 [C_l]; parents[l][c] is the parent of class c of level l, a class of level l-1. parents[0]
             contains only -1.

    Raise ValueError if a parent does not exist, or a level contains a name twice.
    """

    levels: tuple[str, ...]
    names: tuple[Texts, ...]
    parents: tuple[NDArray[np.int32], ...]

    __hash__ = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if not len(self.levels) == len(self.names) == len(self.parents) >= 1:
            raise ValueError("levels, names and parents do not match")
        object.__setattr__(self, "names", tuple(Texts.from_strings(names) for names in self.names))
        object.__setattr__(self, "parents", tuple(np.asarray(parents, dtype=np.int32) for parents in self.parents))
        for depth, (level, names, parents) in enumerate(zip(self.levels, self.names, self.parents, strict=True)):
            lowest, end = (0, len(self.names[depth - 1])) if depth else (-1, 0)
            if parents.shape != (len(names),):
                raise ValueError(f"level {level}: {len(names)} classes, parents {parents.shape}")
            if not ((parents >= lowest) & (parents < end)).all():
                raise ValueError(f"level {level} has parents that do not exist")
            duplicate = names.first_duplicate()
            if duplicate is not None:
                raise ValueError(f"level {level} has a class {names[duplicate]!r} twice")

    @property
    def depth(self) -> int:
        """Number of levels."""
        return len(self.levels)

    @property
    def leaf_level(self) -> str:
        """Name of the level of the leaves."""
        return self.levels[-1]

    @property
    def leaves(self) -> Texts:
        """Names of the leaves."""
        return self.names[-1]

    def count(self, level: str) -> int:
        """Return the number of classes of `level`."""
        return len(self.names[self.levels.index(level)])

    def ancestors(self) -> NDArray[np.int32]:
        """Return the ancestor of every leaf at every level: int32 [leaves, L]. The last column is the leaf itself."""
        return self._ancestors

    @cached_property
    def _ancestors(self) -> NDArray[np.int32]:
        ancestors = np.stack([self.ancestors_of_level(self.leaf_level, level) for level in self.levels], axis=1)
        ancestors.flags.writeable = False
        return ancestors

    def ancestors_of_level(self, lower: str, upper: str) -> NDArray[np.int32]:
        """Return the ancestor at level `upper` of every class of level `lower`: int32 [classes of lower].

        `lower` is at least as deep as `upper`. At the same depth, a class is its own ancestor.
        """
        return self.ancestors_of(np.arange(self.count(lower), dtype=np.int32), lower, upper)

    def ancestors_of(self, class_N: NDArray[np.integer], lower: str, upper: str) -> NDArray[np.int32]:
        """Return the ancestor at level `upper` of each of N classes of level `lower`: int32 [N]."""
        ancestor_N = class_N.astype(np.int32, copy=False)
        for depth in range(self.levels.index(lower), self.levels.index(upper), -1):
            ancestor_N = self.parents[depth][ancestor_N]
        return ancestor_N

    def path(self, index: int, level: str | None = None) -> tuple[str, ...]:
        """Return the names from the shallowest level down to class `index` of `level`, by default a leaf."""
        depth = self.depth if level is None else self.levels.index(level) + 1
        classes = [index]
        for parents in reversed(self.parents[1:depth]):
            classes.append(int(parents[classes[-1]]))
        return tuple(names[c] for names, c in zip(self.names, reversed(classes), strict=False))

    def known_path(self, label_L: Sequence[int] | NDArray[np.integer]) -> tuple[str, ...]:
        """Return the names of a row's classes, down to the deepest level at which it has a label (not -1)."""
        depth = sum(int(label) >= 0 for label in label_L)
        return self.path(int(label_L[depth - 1]), self.levels[depth - 1])

    def add_to(self, fingerprint: Fingerprint) -> None:
        """Add levels, names and parents to `fingerprint`."""
        fingerprint.add("levels", self.levels)
        for names, parents in zip(self.names, self.parents, strict=True):
            fingerprint.add("class names", names).add("parents", parents)

    def save(self, directory: Path) -> dict[str, Any]:
        """Create `directory`, and write the classes of every level l to l.names*.npy and l.parents.npy in it.

        Return the names of the levels and the numbers of classes, for the JSON file of the artefact.
        """
        directory.mkdir()
        for depth, (names, parents) in enumerate(zip(self.names, self.parents, strict=True)):
            names.save(directory / f"{depth}.names")
            np.save(directory / f"{depth}.parents.npy", parents, allow_pickle=False)
        counts = [len(names) for names in self.names]
        return {"levels": [{"name": n, "classes": count} for n, count in zip(self.levels, counts, strict=True)]}

    @classmethod
    def load(cls, directory: Path, description: Mapping[str, Any]) -> Taxonomy:
        """Open the files that `save` wrote, memory-mapped. `description` is the value that it returned.

        Raise BadArtefact if a file is missing or damaged, ValueError as the constructor does.
        """
        counts = [int(level["classes"]) for level in description["levels"]]
        if (directory / f"{len(counts)}.parents.npy").exists():
            raise BadArtefact(
                f"{directory} has the classes of more levels than the {len(counts)} that are described; make the "
                "artefact again."
            )
        return cls(
            levels=tuple(str(level["name"]) for level in description["levels"]),
            names=tuple(Texts.load(directory / f"{depth}.names") for depth in range(len(counts))),
            parents=tuple(
                load_array(directory / f"{depth}.parents.npy", np.int32, (count,)) for depth, count in enumerate(counts)
            ),
        )

    def __eq__(self, other: object) -> bool:
        return self.difference(other) is None if isinstance(other, Taxonomy) else NotImplemented

    def difference(self, other: Taxonomy) -> str | None:
        """Return the first difference, worded for a message ("… here and … there"), or None if the two are equal."""
        if self.levels != other.levels:
            return f"its levels are {', '.join(self.levels)} here and {', '.join(other.levels)} there"
        for level, here, there in zip(self.levels, self.names, other.names, strict=True):
            if here == there:
                continue
            index = here.first_difference(there)
            if index is not None:
                return f"class {index} of level {level} is {here[index]!r} here and {there[index]!r} there"
            return f"level {level} has {len(here)} classes here and {len(there)} there"
        for depth, (level, here_C, there_C) in enumerate(zip(self.levels, self.parents, other.parents, strict=True)):
            for child in np.flatnonzero(here_C != there_C)[:1]:
                parent_names = self.names[depth - 1]
                return (
                    f"{self.names[depth][child]!r} of level {level} is under {parent_names[here_C[child]]!r} here "
                    f"and under {parent_names[there_C[child]]!r} there"
                )
        return None


@dataclass(frozen=True)
class Attribute:
    """An attribute and the names of its states.

    The code of a product is 0 if it does not have the attribute, else 1 + the index of its state (S eq. 7).
    """

    name: str
    states: tuple[str, ...]
