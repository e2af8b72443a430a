"""The category paths of an index as classes of a run: those that the run knows, and new ones.

Shapes: C classes of a level.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from prodrec.core.base.taxonomy import Taxonomy

Path = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class IndexClasses:
    """The classes of the paths of an index.

    taxonomy: the classes of the run, and after them those that only the index has
    class_of: the class of every path at the level of the vote; a path that ends above it has none
    new:      number of new classes at every level
    """

    taxonomy: Taxonomy
    class_of: dict[Path, int]
    new: dict[str, int]


def tree_paths(paths: Collection[Path], taxonomy: Taxonomy) -> dict[Path, Path]:
    """Return each path as the tree of a run has it: a class has one parent, even if a table names others.

    A path without a class that the run knows is returned as it is.
    """
    result = {path: path for path in paths}
    for depth, level in enumerate(taxonomy.levels, start=1):
        is_last = depth == taxonomy.depth
        at_level = [path for path in paths if len(path) == depth or (is_last and len(path) > depth)]
        index_P = taxonomy.names[depth - 1].find([path[depth - 1] for path in at_level])
        for path, index in zip(at_level, index_P.tolist(), strict=True):
            if index >= 0:
                result[path] = (*taxonomy.path(index, level), *path[depth:])
    return result


def merge_paths(paths: Iterable[Path], taxonomy: Taxonomy, level: str) -> IndexClasses:
    """Return the classes at `level` of all paths that reach it.

    A name that a level has already, in another path, is followed by its own path in brackets.
    """
    from prodrec.core.base.taxonomy import PATH_SEPARATOR, Taxonomy

    depth = taxonomy.levels.index(level) + 1
    long_paths = sorted({path for path in paths if len(path) >= depth})
    cut = sorted({path[:depth] for path in long_paths})
    known: list[dict[Path, int]] = []
    names: list[list[str]] = []
    parents: list[list[int]] = []
    for at in range(taxonomy.depth):
        of_level: dict[Path, int] = {}
        new_names: list[str] = []
        new_parents: list[int] = []
        prefixes = sorted({path[: at + 1] for path in cut if at < depth})
        index_P = taxonomy.names[at].find([prefix[-1] for prefix in prefixes]) if prefixes else np.empty(0, np.int64)
        for prefix, index in zip(prefixes, index_P.tolist(), strict=True):
            if index >= 0 and taxonomy.path(index, taxonomy.levels[at]) == prefix:
                of_level[prefix] = index
                continue
            name = (
                prefix[-1]
                if index < 0 and prefix[-1] not in new_names
                else f"{prefix[-1]} ({PATH_SEPARATOR.join(prefix[:-1])})"
            )
            of_level[prefix] = len(taxonomy.names[at]) + len(new_names)
            new_names.append(name)
            new_parents.append(known[-1][prefix[:-1]] if at else -1)
        known.append(of_level)
        names.append(new_names)
        parents.append(new_parents)
    new = {name: len(new_names) for name, new_names in zip(taxonomy.levels, names, strict=True) if new_names}
    class_of = {path: known[depth - 1][path[:depth]] for path in long_paths}
    if not new:
        return IndexClasses(taxonomy, class_of, {})
    merged = Taxonomy(
        taxonomy.levels,
        tuple([*old, *added] for old, added in zip(taxonomy.names, names, strict=True)),  # type: ignore[misc]
        tuple(
            np.concatenate([old_C, np.array(added, np.int32)])
            for old_C, added in zip(taxonomy.parents, parents, strict=True)
        ),
    )
    return IndexClasses(merged, class_of, new)
