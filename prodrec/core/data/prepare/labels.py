"""Build a tree with one parent for every class from the category names of the rows.

Shapes: N kept rows, L levels, C classes of one level before unused ones are removed, P (class, parent) pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.core.data.prepare.majority import count_pairs


@dataclass(frozen=True, eq=False)
class AmbiguousParents:
    """The classes of one level that occur under several parents, as P pairs; the pairs of a class are adjacent.

    rows_P:   int64, the number of rows with the class under the parent
    chosen_P: bool, whether this is the parent in the tree; it is the first pair of the class
    """

    level: str
    classes_P: Texts
    parents_P: Texts
    rows_P: NDArray[np.int64]
    chosen_P: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """The category tree and the classes of every row.

    labels_NL:         int32, the class of every row at every level; -1 at levels below the end of its path
    ambiguous_parents: the classes that occur under several parents, for every level but the first
    rows_moved:        the number of rows whose class differs, at any level, from the one in their table
    """

    taxonomy: Taxonomy
    labels_NL: NDArray[np.int32]
    ambiguous_parents: list[AmbiguousParents]
    rows_moved: int


def build_taxonomy(
    levels: tuple[str, ...], names: Sequence[Sequence[str]], codes_NL: NDArray[np.int32]
) -> LabelledRows:
    """Build the tree of the class names and label the rows.

    A class under several parents gets the parent that most rows name; if several are equally frequent, the first by
    name. The deepest class of a row determines its labels above; its labels at deeper levels are -1.

    names:    the class names of every level in alphabetical order, from `factorize`
    codes_NL: the index of every row's class in `names`, from `factorize`; -1 where its path has ended
    """
    ambiguous: list[AmbiguousParents] = []
    parents: list[NDArray[np.int64]] = []
    for level in range(1, len(levels)):
        has_class_N = codes_NL[:, level] >= 0
        pairs = count_pairs(codes_NL[has_class_N, level], codes_NL[has_class_N, level - 1], len(names[level - 1]))
        parent_C = np.full(len(names[level]), -1, np.int64)
        parent_C[pairs.key_P[pairs.is_majority_P]] = pairs.partner_P[pairs.is_majority_P]
        parents.append(parent_C)
        is_ambiguous_P = np.bincount(pairs.key_P, minlength=1)[pairs.key_P] > 1
        ambiguous.append(
            AmbiguousParents(
                level=levels[level],
                classes_P=Texts.from_strings(names[level]).take(pairs.key_P[is_ambiguous_P]),
                parents_P=Texts.from_strings(names[level - 1]).take(pairs.partner_P[is_ambiguous_P]),
                rows_P=pairs.rows_P[is_ambiguous_P],
                chosen_P=pairs.is_majority_P[is_ambiguous_P],
            )
        )
    return _remove_unused_classes(levels, names, parents, codes_NL, ambiguous)


def _remove_unused_classes(
    levels: tuple[str, ...],
    names: Sequence[Sequence[str]],
    parents: list[NDArray[np.int64]],
    codes_NL: NDArray[np.int32],
    ambiguous: list[AmbiguousParents],
) -> LabelledRows:
    """Remove classes without rows, in themselves or below them; renumber the others.

    parents: for every level but the first, int64 [C], the parent of every class
    """
    used_codes: list[NDArray[np.int64]] = []
    labels_NL = np.empty_like(codes_NL)
    is_moved_N = np.zeros(len(codes_NL), bool)
    code_N = codes_NL[:, -1].astype(np.int64)
    for level in reversed(range(len(levels))):
        is_moved_N |= code_N != codes_NL[:, level]
        used = np.flatnonzero(np.bincount(code_N[code_N >= 0], minlength=len(names[level])))
        new_code_C = np.full(len(names[level]) + 1, -1, np.int32)  # code -1 takes the last entry
        new_code_C[used] = np.arange(len(used))
        labels_NL[:, level] = new_code_C[code_N]
        used_codes.insert(0, used)
        if level:
            code_N = np.where(code_N >= 0, np.append(parents[level - 1], -1)[code_N], codes_NL[:, level - 1])
    new_names = tuple(Texts.from_strings(names[level]).take(used) for level, used in enumerate(used_codes))
    new_parents = [np.full(len(used_codes[0]), -1, np.int32)]
    for level in range(1, len(levels)):
        old_parents = parents[level - 1][used_codes[level]]
        new_parents.append(np.searchsorted(used_codes[level - 1], old_parents).astype(np.int32))
    taxonomy = Taxonomy(levels, new_names, tuple(new_parents))
    return LabelledRows(taxonomy, labels_NL, ambiguous, int(is_moved_N.sum()))
